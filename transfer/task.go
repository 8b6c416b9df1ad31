package transfer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A task is one blob of the run and the sinks that lack it, however many
// images share it.
type task struct {
	desc ocispec.Descriptor
	srcs []content.Source // every place in the run that has it, none twice
	uses []*use
}

// A blobKey tells tasks apart. An image that states a wrong size of a blob it
// shares fails with a task of its own.
type blobKey struct {
	digest digest.Digest
	size   int64
}

// A use is one sink that a task's blob goes to.
type use struct {
	sink    content.Sink
	waiting []*targetRun // targets that need it there
	outcome content.Outcome
	err     error
	over    bool // no other source is tried
}

// useOf returns the task's use of sink.
func (t *task) useOf(sink content.Sink) *use {
	i := slices.IndexFunc(t.uses, func(u *use) bool { return u.sink == sink })
	if i >= 0 {
		return t.uses[i]
	}
	u := &use{sink: sink}
	t.uses = append(t.uses, u)
	return u
}

// failed reports whether none of the sinks has the blob.
func (t *task) failed() bool {
	return !slices.ContainsFunc(t.uses, func(u *use) bool { return u.err == nil })
}

func (t *task) sequential() bool {
	return slices.ContainsFunc(t.uses, func(u *use) bool { return isSequential(u.sink) })
}

func isSequential(sink content.Sink) bool {
	_, ok := content.As[content.Sequential](sink)
	return ok
}

// waves splits the uses: the first wave reads the source, once for all of it.
// The sinks of the second share a registry with one of the first, which can
// mount by then what would else be sent twice.
func waves(uses []*use) (first, second []*use) {
	seen := map[string]bool{}
	for _, u := range uses {
		origin, ok := content.As[content.Originer](u.sink)
		if !ok {
			first = append(first, u)
			continue
		}
		host, _ := origin.Origin()
		if seen[host] {
			second = append(second, u)
			continue
		}
		seen[host] = true
		first = append(first, u)
	}
	return first, second
}

// addSource notes one more place that has the blob.
func (t *task) addSource(src content.Source) {
	if !slices.Contains(t.srcs, src) {
		t.srcs = append(t.srcs, src)
	}
}

// move puts the blob of t into all its sinks. Where one source fails, another
// image's source of the same blob is tried. ended is told of each use, as soon as its
// sink has the blob or will not get it: none waits for a slower one.
func (c *Copier) move(ctx context.Context, t *task, ended func(*use)) {
	end := func(u *use) {
		c.observe(Event{Kind: BlobDone, Target: u.target(), Desc: t.desc, Bytes: t.desc.Size, Outcome: u.outcome, Err: u.err})
		ended(u)
	}
	var left []*use
	for _, u := range t.uses {
		if u.givenUp() {
			end(u)
			continue
		}
		left = append(left, u)
	}
	for i, src := range t.srcs {
		if len(left) == 0 {
			break
		}
		more := i < len(t.srcs)-1
		c.moveFrom(ctx, src, t.desc, left, func(u *use) {
			if u.over = !more || !sourceFailed(u.err) || ctx.Err() != nil; u.over {
				end(u)
			}
		})
		left = slices.DeleteFunc(left, func(u *use) bool { return u.over })
	}
}

// givenUp reports whether the destination has failed all who wait for the blob
// there, and notes why: nobody waits for a dead destination once for each blob.
func (u *use) givenUp() bool {
	var failed error
	for _, tr := range u.waiting {
		if failed = tr.failedThere(); failed == nil {
			return false
		}
	}
	u.err = failed
	return failed != nil
}

func sourceFailed(err error) bool {
	known, ok := errors.AsType[*Error](err)
	return ok && known.Side == Src
}

// moveFrom puts blob d of src into the sinks of uses, and calls tried for each of
// them when that went well or failed, for several at once.
func (c *Copier) moveFrom(ctx context.Context, src content.Source, d ocispec.Descriptor, uses []*use, tried func(*use)) {
	first, second := waves(uses)
	blob := c.blob(ctx, src, d, len(first))
	if len(first) == 1 {
		second = uses // one after the other
	} else {
		putAll(ctx, first, blob, tried)
	}
	for _, u := range second {
		put(ctx, u, blob)
		tried(u)
	}
}

func put(ctx context.Context, u *use, blob content.Blob) {
	d := blob.Descriptor()
	outcome, err := u.sink.PutBlob(ctx, blob)
	u.outcome, u.err = outcome, at(Dst, OpPut, d, interrupted(ctx, err))
}

func (u *use) target() string {
	if len(u.waiting) == 0 {
		return ""
	}
	return u.waiting[0].plan.Name
}

// putAll reads the source once for all of uses.
func putAll(ctx context.Context, uses []*use, blob content.Blob, tried func(*use)) {
	f := newFan(blob, len(uses))
	var wg sync.WaitGroup
	wg.Go(func() { f.pump(ctx) })
	for i, u := range uses {
		wg.Go(func() {
			f.branches[i].put(ctx, u)
			tried(u)
		})
	}
	wg.Wait()
}

// A pool hands out tasks, the largest first. One worker takes the smallest
// instead, so that small blobs are never all behind large ones.
type pool struct {
	mu    sync.Mutex
	tasks []*task // largest first
}

func newPool(tasks []*task) *pool {
	slices.SortStableFunc(tasks, func(a, b *task) int { return cmp.Compare(b.desc.Size, a.desc.Size) })
	return &pool{tasks: tasks}
}

func (p *pool) largest() *task {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tasks) == 0 {
		return nil
	}
	t := p.tasks[0]
	p.tasks = p.tasks[1:]
	return t
}

func (p *pool) smallest() *task {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tasks) == 0 {
		return nil
	}
	last := len(p.tasks) - 1
	t := p.tasks[last]
	p.tasks = p.tasks[:last]
	return t
}
