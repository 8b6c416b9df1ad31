package transfer

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/wherry-dev/wherry/content"
)

// A library keeps the manifests a plan has read by digest, so that many tags of
// few images read each manifest once.
type library struct {
	mu      sync.Mutex
	shelves map[content.Source]*shelf
}

func newLibrary() *library {
	return &library{shelves: map[content.Source]*shelf{}}
}

// of returns src with a memory; the same src gives the same shelf.
func (l *library) of(src content.Source) content.Source {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.shelves[src]
	if !ok {
		s = &shelf{Source: src, read: map[string]func() (content.Manifest, error){}}
		l.shelves[src] = s
	}
	return s
}

// A shelf is a source that reads no manifest twice by digest.
type shelf struct {
	content.Source

	mu   sync.Mutex
	read map[string]func() (content.Manifest, error)
}

// Unwrap shows the abilities of the source.
func (s *shelf) Unwrap() any { return s.Source }

// Manifest returns the manifest ref stands for. Two that want the same digest
// at once wait for one answer. A failure is not kept, and whoever waited for
// somebody else's tries once itself.
func (s *shelf) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	if content.CheckDigest(digest.Digest(ref)) != nil {
		return s.Source.Manifest(ctx, ref)
	}
	read, leads := s.take(ref, func() (content.Manifest, error) { return s.Source.Manifest(ctx, ref) })
	m, err := read()
	if err == nil {
		return m, nil
	}
	if leads {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.read, ref)
		return m, err
	}
	return s.Source.Manifest(ctx, ref)
}

// take returns the one read of ref: somebody else's, or the caller's own.
func (s *shelf) take(ref string, own func() (content.Manifest, error)) (read func() (content.Manifest, error), leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if read, ok := s.read[ref]; ok {
		return read, false
	}
	s.read[ref] = sync.OnceValues(own)
	return s.read[ref], true
}
