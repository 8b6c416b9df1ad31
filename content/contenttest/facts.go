package contenttest

import (
	"strings"
	"sync"
	"time"
)

// Facts are [content.Facts] in memory, for any number of goroutines. The zero
// Facts know nothing yet.
type Facts struct {
	mu    sync.Mutex
	known map[string]string
}

// NewFacts returns facts that know pairs: a key and its value, and so on.
func NewFacts(pairs ...string) *Facts {
	f := &Facts{}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Remember(pairs[i], pairs[i+1])
	}
	return f
}

// Fact implements [content.Facts].
func (f *Facts) Fact(key string) (value string, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	value, known = f.known[key]
	return value, known
}

// Remember implements [content.Facts].
func (f *Facts) Remember(key, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[string]string{}
	}
	f.known[key] = value
}

// Len returns how many facts there are.
func (f *Facts) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.known)
}

// Age makes all that was remembered with [content.Learn] older by age.
func (f *Facts) Age(age time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, dated := range f.known {
		value, learnt, _ := strings.Cut(dated, " at ")
		at, err := time.Parse(time.RFC3339, learnt)
		if err == nil {
			f.known[key] = value + " at " + at.Add(-age).Format(time.RFC3339)
		}
	}
}
