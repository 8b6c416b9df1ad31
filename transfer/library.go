package transfer

import (
	"sync"

	"github.com/wherry-dev/wherry/content"
)

// A library keeps the manifests a plan has read by digest, so that many tags of
// few images read each manifest once.
type library struct {
	mu      sync.Mutex
	shelves map[content.Source]*content.Shelf
}

func newLibrary() *library {
	return &library{shelves: map[content.Source]*content.Shelf{}}
}

// of returns src with a memory; the same src gives the same shelf.
func (l *library) of(src content.Source) content.Source {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.shelves[src]
	if !ok {
		s = &content.Shelf{Source: src}
		l.shelves[src] = s
	}
	return s
}
