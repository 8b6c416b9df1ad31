package content

import "time"

// A Record is where an upload stood: everything a new process needs to go on.
type Record struct {
	Session string    // the registry's upload location
	Offset  int64     // bytes the registry has committed
	Hash    []byte    // state of the hash at Offset, from encoding.BinaryMarshaler
	Saved   time.Time // when it was written
}

// A Journal remembers, beyond the process, where an upload stood. Keys are
// opaque; what cannot be saved is simply not there the next time.
type Journal interface {
	Load(key string) (Record, bool)
	Save(key string, r Record) error
	Drop(key string) error
}

// Facts remember, beyond the process, small things that were learnt and would
// cost requests to learn again: that a host lacks an API, what referred to an
// image when it was last copied. They hold no secrets, they expire, and
// everything works without them.
type Facts interface {
	Fact(key string) (value string, known bool)
	Remember(key, value string)
}
