package transfer

import (
	"context"
	"fmt"
	"io"
	"sync"
	"unique"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"github.com/wherry-dev/wherry/content"
)

// A File is where a plan keeps manifests that are too many for memory. Its bytes
// are of no use to anybody once it is closed.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
}

const (
	// spoolParsed is how many bytes the manifests have that a plan keeps as they
	// were read. Read into descriptors they take a few times as much.
	spoolParsed = 4 << 20

	// spoolAtOnce is how many bytes the manifests have that are being read or
	// written at once, by all images together: as many images as that may be large.
	spoolAtOnce = 8 << 20
)

// A spool keeps the manifests that a plan has read until a run writes them, so
// that none is read twice. The latest are at hand; of the others there are the
// bytes, in a file where there is one to be had.
type spool struct {
	limits content.Limits
	open   func() (File, error) // nil where there is no file
	room   *semaphore.Weighted

	mu     sync.Mutex
	slots  map[node]*slot
	recent []node // those that are at hand, the oldest first
	parsed int64  // their bytes
	file   File
	end    int64
	failed bool // there is no file, or no more goes into it
}

// A slot is where one manifest is: at hand, in memory as bytes, or in the file.
type slot struct {
	size   int64
	at     int64 // in the file
	parsed *content.Manifest
	raw    []byte
}

// A node is a manifest that a plan refers to. Sources may call the same bytes by
// different types.
type node struct {
	digest    digest.Digest
	mediaType string
}

func nodeOf(m content.Manifest) node {
	return node{m.Digest(), unique.Make(m.MediaType()).Value()} // there are few types
}

func (n node) descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: n.mediaType, Digest: n.digest}
}

func newSpool(limits content.Limits, open func() (File, error)) *spool {
	return &spool{limits: limits, open: open, failed: open == nil, room: semaphore.NewWeighted(spoolAtOnce), slots: map[node]*slot{}}
}

// enter waits until manifests of that many bytes may be in memory besides those
// of others, and returns what ends that. It may be called more than once.
func (s *spool) enter(ctx context.Context, size int64) (leave func(), err error) {
	size = max(1, min(size, spoolAtOnce))
	if err := s.room.Acquire(ctx, size); err != nil {
		return nil, context.Cause(ctx)
	}
	return sync.OnceFunc(func() { s.room.Release(size) }), nil
}

// keep takes m.
func (s *spool) keep(m content.Manifest) node {
	n := nodeOf(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.slots[n]; known {
		return n
	}
	s.slots[n] = &slot{size: m.Size(), parsed: &m}
	s.recent = append(s.recent, n)
	for s.parsed += m.Size(); s.parsed > spoolParsed; {
		oldest := s.slots[s.recent[0]]
		s.recent = s.recent[1:]
		s.parsed -= oldest.size
		s.putAway(oldest)
	}
	return n
}

// putAway keeps of a manifest at hand the bytes alone. Where the file takes them
// no more they stay in memory: a plan is no reason to fail for a want of space.
func (s *spool) putAway(to *slot) {
	raw := to.parsed.Raw()
	to.parsed, to.raw = nil, raw
	if s.file == nil && !s.failed {
		file, err := s.open()
		s.file, s.failed = file, err != nil
	}
	if s.failed {
		return
	}
	if _, err := s.file.WriteAt(raw, s.end); err != nil {
		s.failed = true
		return
	}
	to.raw, to.at = nil, s.end
	s.end += to.size
}

// get returns a manifest that was kept.
func (s *spool) get(n node) (content.Manifest, error) {
	s.mu.Lock()
	where, file := *s.slots[n], s.file
	s.mu.Unlock()
	if where.parsed != nil {
		return *where.parsed, nil
	}
	if where.raw == nil {
		where.raw = make([]byte, where.size)
		if file == nil {
			return content.Manifest{}, invalidf("manifest %s: its plan was closed", n.digest)
		}
		if _, err := file.ReadAt(where.raw, where.at); err != nil {
			return content.Manifest{}, fmt.Errorf("manifest %s was put aside and cannot be read: %w", n.digest, err)
		}
	}
	d := n.descriptor()
	d.Size = where.size
	return content.VerifyManifest(d, where.raw, s.limits)
}

// size returns how many bytes a manifest has that was kept.
func (s *spool) size(n node) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots[n].size
}

// Close gives up what is in the file.
func (s *spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	file := s.file
	s.file, s.failed = nil, true
	if file == nil {
		return nil
	}
	return file.Close()
}

// A library gives a plan's sources a memory: many tags lead to few images, and
// images share children.
type library struct {
	spool *spool
	mu    sync.Mutex
	of    map[content.Source]*shelf
}

// at returns src with a memory; the same src gives the same.
func (l *library) at(src content.Source) content.Source {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.of[src]
	if !ok {
		s = &shelf{Source: src, spool: l.spool, kept: map[digest.Digest]node{}, coming: map[digest.Digest]*reading{}}
		l.of[src] = s
	}
	return s
}

// A shelf is a source that reads no manifest twice by digest.
type shelf struct {
	content.Source
	spool *spool

	mu     sync.Mutex
	kept   map[digest.Digest]node // in the spool
	coming map[digest.Digest]*reading
}

// A reading is a manifest on its way.
type reading struct {
	done chan struct{} // closed when the rest is known
	m    content.Manifest
	err  error
}

// Unwrap shows the abilities of the source.
func (s *shelf) Unwrap() any { return s.Source }

// Manifest implements [content.Source]. Two that want the same digest at once
// wait for one answer. A failure is not kept, and whoever waited for somebody
// else's tries once itself.
func (s *shelf) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	d := digest.Digest(ref)
	if content.CheckDigest(d) != nil {
		return s.Source.Manifest(ctx, ref)
	}
	n, r, leads := s.look(d)
	switch {
	case leads:
		return s.lead(ctx, d, r)
	case r == nil:
		if m, err := s.spool.get(n); err == nil {
			return m, nil
		}
		return s.Source.Manifest(ctx, ref)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return content.Manifest{}, context.Cause(ctx)
	}
	if r.err != nil {
		return s.Source.Manifest(ctx, ref)
	}
	return r.m, nil
}

// look finds d: kept as a node, or coming, read by somebody else or now by the caller.
func (s *shelf) look(d digest.Digest) (n node, r *reading, leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, kept := s.kept[d]; kept {
		return n, nil, false
	}
	r, coming := s.coming[d]
	if !coming {
		r = &reading{done: make(chan struct{})}
		s.coming[d] = r
	}
	return node{}, r, !coming
}

// lead reads d for all who want it.
func (s *shelf) lead(ctx context.Context, d digest.Digest, r *reading) (content.Manifest, error) {
	r.m, r.err = s.Source.Manifest(ctx, d.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.err == nil {
		s.kept[d] = s.spool.keep(r.m)
	}
	delete(s.coming, d)
	close(r.done)
	return r.m, r.err
}
