package content

import (
	"strings"
	"time"
)

// Facts remember, beyond the process, small things that were learnt and would
// cost requests to learn again: that a host lacks an API, what referred to an
// image when it was last copied. They hold no secrets, they expire, and
// everything works without them. They are safe for concurrent use.
type Facts interface {
	Fact(key string) (value string, known bool)
	Remember(key, value string)
}

// Learn has f remember value, for [Recall]. A nil f remembers nothing.
func Learn(f Facts, key, value string) {
	if f != nil {
		f.Remember(key, value+datedAt+time.Now().UTC().Format(time.RFC3339))
	}
}

// Recall returns what f was to learn of key within that time: things that change say
// nothing for ever. A nil f knows nothing.
func Recall(f Facts, key string, within time.Duration) (value string, known bool) {
	if f == nil {
		return "", false
	}
	all, known := f.Fact(key)
	value, at, dated := strings.Cut(all, datedAt)
	learnt, err := time.Parse(time.RFC3339, at)
	if !known || !dated || err != nil || time.Since(learnt) > within {
		return "", false
	}
	return value, true
}

// datedAt stands between a value and the time at which it was learnt.
const datedAt = " at "
