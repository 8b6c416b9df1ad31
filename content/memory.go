package content

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Memory is a place in memory: for tests, and for the little that is made
// rather than moved. The zero Memory is empty and works; it must not be copied
// after use.
type Memory struct {
	mu        sync.RWMutex
	blobs     map[digest.Digest][]byte
	manifests map[digest.Digest]Manifest
	names     map[string]digest.Digest
}

// Manifest implements [Source].
func (s *Memory) Manifest(_ context.Context, ref string) (Manifest, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, named := s.names[ref]
	if !named {
		d = digest.Digest(ref)
	}
	m, ok := s.manifests[d]
	if !ok {
		return Manifest{}, fmt.Errorf("manifest %q: %w", ref, ErrNotFound)
	}
	return m, nil
}

// Resolve implements [Resolver].
func (s *Memory) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	m, err := s.Manifest(ctx, ref)
	return m.Descriptor(), err
}

// Open implements [Source].
func (s *Memory) Open(_ context.Context, d ocispec.Descriptor, r Range) (io.ReadCloser, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, ErrNotFound)
	}
	off, n, err := r.Resolve(int64(len(b)))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(b[off : off+n])), nil
}

// Has implements [Sink].
func (s *Memory) Has(_ context.Context, d ocispec.Descriptor) (bool, error) {
	if err := CheckDigest(d.Digest); err != nil {
		return false, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.blobs[d.Digest]
	return ok && int64(len(b)) == d.Size, nil
}

// PutBlob implements [Sink].
func (s *Memory) PutBlob(ctx context.Context, b Blob) (Outcome, error) {
	d := b.Descriptor()
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	has, err := s.Has(ctx, d)
	if err != nil {
		return 0, err
	}
	if has {
		return Existed, nil
	}
	rc, err := b.Open(ctx, Range{})
	if err != nil {
		return 0, err
	}
	defer rc.Close()
	r, err := VerifyReader(rc, d)
	if err != nil {
		return 0, err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs == nil {
		s.blobs = map[digest.Digest][]byte{}
	}
	s.blobs[d.Digest] = raw
	return Stored, nil
}

// PutManifest implements [Sink].
func (s *Memory) PutManifest(ctx context.Context, m Manifest, names ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(ctx, m, names)
}

// put is PutManifest for who holds the lock.
func (s *Memory) put(ctx context.Context, m Manifest, names []string) error {
	if err := firstError(context.Cause(ctx), m.Ambiguous()); err != nil {
		return err
	}
	if err := s.complete(m); err != nil {
		return err
	}
	if s.manifests == nil {
		s.manifests, s.names = map[digest.Digest]Manifest{}, map[string]digest.Digest{}
	}
	s.manifests[m.Digest()] = m
	for _, name := range names {
		if name != m.Digest().String() {
			s.names[name] = m.Digest()
		}
	}
	return nil
}

// Holder implements [NameKeeper].
func (s *Memory) Holder(_ context.Context, name string) (ocispec.Descriptor, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, held := s.names[name]
	if !held {
		return ocispec.Descriptor{}, fmt.Errorf("name %q: %w", name, ErrNotFound)
	}
	return s.manifests[d].Descriptor(), nil
}

// PutNewNames implements [NameKeeper].
func (s *Memory) PutNewNames(ctx context.Context, m Manifest, names ...string) (kept []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var free []string
	for _, name := range names {
		if _, held := s.names[name]; held {
			kept = append(kept, name)
			continue
		}
		free = append(free, name)
	}
	if len(kept) > 0 && len(free) == 0 {
		return kept, nil
	}
	return kept, s.put(ctx, m, free)
}

// complete reports what m needs and s has not.
func (s *Memory) complete(m Manifest) error {
	for _, d := range m.Blobs() {
		if _, ok := s.blobs[d.Digest]; !ok && !IsForeign(d.MediaType) {
			return fmt.Errorf("manifest %s: blob %s: %w", m.Digest(), d.Digest, ErrNotFound)
		}
	}
	return nil
}

// Tags implements [TagLister]: all names, sorted.
func (s *Memory) Tags(context.Context) iter.Seq2[string, error] {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := slices.Sorted(maps.Keys(s.names))
	return func(yield func(string, error) bool) {
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Referrers implements [ReferrerLister], sorted by digest.
func (s *Memory) Referrers(_ context.Context, subject digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []ocispec.Descriptor
	for _, d := range slices.Sorted(maps.Keys(s.manifests)) {
		m := s.manifests[d]
		to, ok := m.Subject()
		if ok && to.Digest == subject && (artifactType == "" || artifactType == m.ArtifactType()) {
			found = append(found, ReferrerDescriptor(m))
		}
	}
	return func(yield func(ocispec.Descriptor, error) bool) {
		for _, d := range found {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// ReferrerDescriptor returns m's descriptor as a referrers listing has it: with
// artifact type and annotations.
func ReferrerDescriptor(m Manifest) ocispec.Descriptor {
	d := m.Descriptor()
	d.Annotations = m.Annotations()
	return d
}

// Untag implements [Deleter].
func (s *Memory) Untag(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.names[name]; !ok {
		return fmt.Errorf("name %q: %w", name, ErrNotFound)
	}
	delete(s.names, name)
	return nil
}

// DeleteManifest implements [Deleter].
func (s *Memory) DeleteManifest(_ context.Context, d digest.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.manifests[d]; !ok {
		return fmt.Errorf("manifest %s: %w", d, ErrNotFound)
	}
	delete(s.manifests, d)
	maps.DeleteFunc(s.names, func(_ string, to digest.Digest) bool { return to == d })
	return nil
}
