package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// A registry that has no referrers API has no compare-and-swap either. Who read
// a fallback index before another wrote it, and writes it after that one has
// looked whether its entry stayed, takes the entry away unseen. So everybody
// looks once more, later than such a write can come; see [Repository.Commit].
const (
	settleLeast  = time.Second            // from our last write to that look, at least
	settleFactor = 5                      // and this many times the longest that reading and writing took
	settleMost   = 10 * time.Second       // however long that took: a host may have asked to wait in between
	mergeTries   = 10                     // times that others may overwrite us in a row
	mergeLooks   = 16                     // indexes looked at in parallel
	absentPause  = 100 * time.Millisecond // before an index that is said to be absent is asked for again
)

// A mergeMemory has the fallback indexes of a host that this process writes.
type mergeMemory struct {
	mu      sync.Mutex
	known   map[mergeKey]*merge
	slowest time.Duration // from the begin of reading an index to the end of writing it
}

type mergeKey struct {
	repository string
	subject    digest.Digest
}

// A merge is what this process has to say in one fallback index. One goroutine
// at a time writes the index, with all that waits to be in it.
type merge struct {
	repository *Repository
	subject    digest.Digest
	busy       chan struct{} // held by who writes

	mu      sync.Mutex
	waiting []ocispec.Descriptor // in order of arrival; taken from the front by who writes
	merged  []ocispec.Descriptor // were in the index, and are not confirmed
	wrote   time.Time            // last write that may have changed something unconfirmed; zero is none
}

// of returns the merge for subject in r, always the same one.
func (h *mergeMemory) of(r *Repository, subject digest.Digest) *merge {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := mergeKey{r.name, subject}
	m, ok := h.known[key]
	if !ok {
		if h.known == nil {
			h.known = map[mergeKey]*merge{}
		}
		m = &merge{repository: r, subject: subject, busy: make(chan struct{}, 1)}
		h.known[key] = m
	}
	return m
}

// in returns the merges in a repository.
func (h *mergeMemory) in(repository string) []*merge {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []*merge
	for key, m := range h.known {
		if key.repository == repository {
			found = append(found, m)
		}
	}
	return found
}

func (h *mergeMemory) took(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slowest = max(h.slowest, d)
}

// settle is how long after a write of ours those of others may come that had
// read the index before it: they are taken to be as slow as we were, or slower.
func (h *mergeMemory) settle() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return min(max(settleLeast, settleFactor*h.slowest), settleMost)
}

// mergeReferrer adds d to the fallback index of subject. Many who wait for the
// same index are served by one write. Where that fails each of them tries for
// itself; d is then listed by the next write that succeeds.
func (r *Repository) mergeReferrer(ctx context.Context, subject digest.Digest, d ocispec.Descriptor) error {
	m := r.host.merges.of(r, subject)
	m.enter(d)
	free, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer free()
	batch := m.batch()
	if !slices.ContainsFunc(batch, func(b ocispec.Descriptor) bool { return b.Digest == d.Digest }) {
		return nil // who held the lock before wrote it too
	}
	if _, err := m.write(ctx, batch); err != nil {
		return err
	}
	m.done(batch)
	return nil
}

// Commit implements [content.Committer]. Where referrers were added to fallback
// indexes it waits until other writers must have come to their end, looks whether
// all are listed still, and lists again what is not. An index that others keep
// overwriting is [content.ErrConflict].
func (r *Repository) Commit(ctx context.Context) error {
	merges := r.host.merges.in(r.name)
	errs := make([]error, len(merges))
	var g errgroup.Group
	g.SetLimit(mergeLooks)
	for i, m := range merges {
		g.Go(func() error {
			errs[i] = m.confirm(ctx)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// confirm looks for all that was merged until nothing is missing.
func (m *merge) confirm(ctx context.Context) error {
	for try := range mergeTries {
		batch, wrote := m.unconfirmed()
		if wrote.IsZero() || len(batch) == 0 {
			return nil
		}
		settle := m.repository.host.merges.settle()
		if try > 0 { // those who overwrote each other must not come back at the same time
			settle += httpx.Backoff(settle, 1)
		}
		if err := httpx.Wait(ctx, time.Until(wrote.Add(settle))); err != nil {
			return err
		}
		writes, err := m.again(ctx, batch)
		if err != nil {
			return err
		}
		if writes == 0 {
			m.confirmed(batch)
			return nil
		}
	}
	return m.overwritten()
}

// again merges batch once more and returns how many writes that took.
func (m *merge) again(ctx context.Context, batch []ocispec.Descriptor) (writes int, err error) {
	free, err := m.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer free()
	return m.write(ctx, batch)
}

// write adds what is missing of batch to the index, and looks again at once
// whether it stayed. It returns how many writes that took. The lock must be held.
func (m *merge) write(ctx context.Context, batch []ocispec.Descriptor) (writes int, err error) {
	r, tag := m.repository, content.FallbackTag(m.subject)
	for ; ; writes++ {
		if writes > 0 { // wait before reading: what was read gets old
			if err := httpx.Wait(ctx, httpx.Backoff(settleLeast/4, min(writes, 4))); err != nil {
				return writes, err
			}
		}
		began := time.Now()
		index, err := m.read(ctx)
		switch {
		case errors.Is(err, errNoIndex):
			return writes, nil
		case err != nil:
			return writes, fmt.Errorf("referrers of %s: %w", m.subject, err)
		}
		missing := missingFrom(index, batch)
		if len(missing) == 0 {
			return writes, nil
		}
		if writes == mergeTries {
			return writes, m.overwritten()
		}
		raw, err := withChildren(index, missing)
		if err != nil {
			return writes, fmt.Errorf("referrers of %s: %w", m.subject, err)
		}
		_, err = r.put(ctx, tag, ocispec.MediaTypeImageIndex, raw)
		m.written(began) // one that failed may have arrived
		if err != nil {
			return writes, fmt.Errorf("referrers of %s: %w", m.subject, err)
		}
		now, err := r.Resolve(ctx, tag)
		if err == nil && now.Digest == now.Digest.Algorithm().FromBytes(raw) {
			return writes + 1, nil
		}
	}
}

// read returns the index, the zero Manifest where there is none. A registry that
// keeps a tag in a file and writes it in place, as distribution 2 does, has no
// such tag for a moment in every write; who believed it would begin a new index
// and lose all entries of the others. So absence is asked for again: once, and
// longer where we have written the index ourselves.
func (m *merge) read(ctx context.Context) (content.Manifest, error) {
	looks := 2
	if _, wrote := m.unconfirmed(); !wrote.IsZero() {
		looks = 4
	}
	for look := 1; ; look++ {
		index, err := m.repository.fallbackIndex(ctx, m.subject)
		if !errors.Is(err, content.ErrNotFound) {
			return index, err
		}
		if look == looks {
			return content.Manifest{}, nil
		}
		if err := httpx.Wait(ctx, absentPause); err != nil {
			return content.Manifest{}, err
		}
	}
}

func (m *merge) overwritten() error {
	return fmt.Errorf("referrers of %s: others kept overwriting tag %s: %w", m.subject, content.FallbackTag(m.subject), content.ErrConflict)
}

// lock waits until nobody else writes the index, and returns what lets others.
func (m *merge) lock(ctx context.Context) (func(), error) {
	select {
	case m.busy <- struct{}{}:
		return func() { <-m.busy }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (m *merge) enter(d ocispec.Descriptor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting = append(m.waiting, d)
}

// batch returns all that waits. The lock must be held until done.
func (m *merge) batch() []ocispec.Descriptor {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.waiting)
}

// done notes that batch, which was first in waiting, is in the index.
func (m *merge) done(batch []ocispec.Descriptor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting = slices.Delete(m.waiting, 0, len(batch))
	m.merged = append(m.merged, batch...)
}

// written notes a write of what was read at began.
func (m *merge) written(began time.Time) {
	now := time.Now()
	m.repository.host.merges.took(now.Sub(began))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wrote = now
}

// unconfirmed returns what was merged, and when the index was last written.
func (m *merge) unconfirmed() (batch []ocispec.Descriptor, wrote time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.merged), m.wrote
}

// confirmed forgets batch. What was merged since then stays.
func (m *merge) confirmed(batch []ocispec.Descriptor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.merged = slices.DeleteFunc(m.merged, func(d ocispec.Descriptor) bool {
		return slices.ContainsFunc(batch, func(b ocispec.Descriptor) bool { return b.Digest == d.Digest })
	})
	if len(m.merged) == 0 {
		m.wrote = time.Time{}
	}
}
