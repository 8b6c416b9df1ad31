package content

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
)

// A Shelf is a source that reads no manifest twice by digest: many names lead to
// few images, and images share children. It must not be copied after use.
type Shelf struct {
	Source

	// Room is how many bytes of manifests are kept; what comes when they are
	// full is read again. 0 means all that come.
	Room int64

	mu   sync.Mutex
	kept int64
	read map[string]func() (Manifest, error)
}

// Unwrap shows the abilities of the source.
func (s *Shelf) Unwrap() any { return s.Source }

// Manifest implements [Source]. Two that want the same digest at once wait for
// one answer. A failure is not kept, and whoever waited for somebody else's
// tries once itself.
func (s *Shelf) Manifest(ctx context.Context, ref string) (Manifest, error) {
	if CheckDigest(digest.Digest(ref)) != nil {
		return s.Source.Manifest(ctx, ref)
	}
	read, leads := s.take(ref, func() (Manifest, error) { return s.Source.Manifest(ctx, ref) })
	m, err := read()
	switch {
	case leads:
		s.keep(ref, m, err)
	case err != nil:
		return s.Source.Manifest(ctx, ref)
	}
	return m, err
}

// take returns the one read of ref: somebody else's, or the caller's own.
func (s *Shelf) take(ref string, own func() (Manifest, error)) (read func() (Manifest, error), leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if read, ok := s.read[ref]; ok {
		return read, false
	}
	if s.read == nil {
		s.read = map[string]func() (Manifest, error){}
	}
	s.read[ref] = sync.OnceValues(own)
	return s.read[ref], true
}

// keep forgets a read that failed, or that there is no room for.
func (s *Shelf) keep(ref string, m Manifest, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || s.Room > 0 && s.kept+m.Size() > s.Room {
		delete(s.read, ref)
		return
	}
	s.kept += m.Size()
}
