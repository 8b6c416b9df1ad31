package content

import "time"

// A Record is where an upload stood: everything a new process needs to go on.
type Record struct {
	Session string      // the registry's upload location: for its owner's eyes
	Size    int64       // of the blob
	Offset  int64       // bytes of which the registry has said that it has them
	Hash    []HashState // in ascending order; none where they may not be trusted
	Saved   time.Time   // when it was written
}

// A HashState is the state of a hash when it had taken the first Offset bytes,
// from [encoding.BinaryMarshaler].
type HashState struct {
	Offset int64
	State  []byte
}

// A Journal remembers, beyond the process, where an upload stood. Keys are
// opaque; what cannot be saved is simply not there the next time, and records
// expire. It is shared by all uploads of a process.
//
// A session must not be written to by two at once: of several processes one has
// a key, from its Load or Save until it drops it or ends. To the others there is
// no record, and what they save is an error.
type Journal interface {
	Load(key string) (Record, bool)
	Save(key string, r Record) error
	Drop(key string) error
}
