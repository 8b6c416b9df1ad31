package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// Run carries out p. The Result has every image's outcome, also where the
// error, which joins all failures, is not nil.
func (c *Copier) Run(ctx context.Context, p *Plan) (*Result, error) {
	r := c.prepare(p)
	total := r.bytes()
	c.tally.begin(total, time.Now())
	defer c.tally.end()
	c.observe(Event{Kind: RunStarted, Bytes: total})
	var seen traffic
	ctx = c.trace(ctx, &seen)
	var watch, wg sync.WaitGroup
	done := make(chan struct{})
	watch.Go(func() { c.tell(done) })
	wg.Go(func() { r.runSequence(ctx) })
	for i := range c.jobs() {
		next := r.pool.largest
		if i > 0 && i == c.jobs()-1 {
			next = r.pool.smallest
		}
		wg.Go(func() { r.work(ctx, next) })
	}
	each(len(r.idle), askJobs, func(i int) { r.finish(ctx, r.idle[i]) })
	wg.Wait()
	r.commit(ctx)
	close(done)
	watch.Wait()
	seen.result(r.result)
	for _, tr := range r.all {
		if tr.result.Err == nil {
			c.remember(tr.image, tr.plan)
		}
	}
	err := r.result.Err()
	c.observe(Event{Kind: RunDone, Pace: c.tally.final(time.Now()), Err: err})
	return r.result, err
}

// A runner is one run under way.
type runner struct {
	copier   *Copier
	result   *Result
	pool     *pool
	sequence []step       // for sequential sinks, in plan order
	idle     []*targetRun // targets that wait for no blob
	all      []*targetRun
}

// A step is what is done next for the sequential sinks: move a blob or
// finish an image.
type step struct {
	task   *task
	target *targetRun
}

// A targetRun is one image on its way to one destination.
type targetRun struct {
	copier *Copier
	image  *ImagePlan
	plan   *TargetPlan
	result *TargetResult

	mu      sync.Mutex
	pending int                                      // blobs that are not settled
	lacking int64                                    // bytes of blobs that failed
	err     error                                    // of the first blob that failed
	listed  map[digest.Digest]map[digest.Digest]bool // what the target lists as referrers, by subject

	resending sync.Mutex // held by who moves blobs again
	resent    map[digest.Digest]bool
}

// prepare turns a plan into tasks, each blob once.
func (c *Copier) prepare(p *Plan) *runner {
	r := &runner{copier: c, result: &Result{}}
	tasks := map[blobKey]*task{}
	var order []*task
	for _, image := range p.Images {
		res := image.result()
		r.result.Images = append(r.result.Images, res)
		for i, t := range image.Targets {
			tr := &targetRun{copier: c, image: image, plan: t, result: res.Targets[i]}
			if image.Err != nil || t.Err != nil || t.Done {
				c.observe(Event{Kind: ImageDone, Image: image.Name, Target: t.Name, Desc: image.Root, Err: cmp.Or(image.Err, t.Err)})
				continue
			}
			r.all = append(r.all, tr)
			order = append(order, tr.tasks(tasks)...)
		}
	}
	r.schedule(order)
	return r
}

// tasks enters the target's missing blobs into known and returns the tasks
// that were new.
func (tr *targetRun) tasks(known map[blobKey]*task) []*task {
	var fresh []*task
	for _, d := range tr.plan.Missing {
		key := blobKey{d.Digest, d.Size}
		t, ok := known[key]
		if !ok {
			t = &task{desc: d}
			known[key] = t
			fresh = append(fresh, t)
		}
		t.addSource(tr.image.job.Src)
		u := t.useOf(tr.plan.sink)
		u.waiting = append(u.waiting, tr)
		tr.pending++
	}
	return fresh
}

// schedule puts the tasks that touch a sequential sink into the sequence, and all
// others to the pool.
func (r *runner) schedule(order []*task) {
	var free []*task
	ordered := map[*targetRun][]*task{}
	for _, t := range order {
		if !t.sequential() {
			free = append(free, t)
			continue
		}
		owner := t.firstSequential()
		ordered[owner] = append(ordered[owner], t)
	}
	r.pool = newPool(free)
	for _, tr := range r.all {
		for _, t := range ordered[tr] {
			r.sequence = append(r.sequence, step{task: t})
		}
		switch {
		case isSequential(tr.plan.sink):
			r.sequence = append(r.sequence, step{target: tr})
		case tr.pending == 0:
			r.idle = append(r.idle, tr)
		}
	}
}

// firstSequential returns the first target in the plan that gets t in order.
func (t *task) firstSequential() *targetRun {
	for _, u := range t.uses {
		if isSequential(u.sink) {
			return u.waiting[0]
		}
	}
	return nil
}

// bytes returns how many bytes of blobs there are to be moved, each blob once.
func (r *runner) bytes() int64 {
	var sum int64
	for _, t := range r.pool.tasks {
		sum += t.desc.Size
	}
	for _, s := range r.sequence {
		if s.task != nil {
			sum += s.task.desc.Size
		}
	}
	return sum
}

func (r *runner) runSequence(ctx context.Context) {
	for _, s := range r.sequence {
		if s.task != nil {
			r.move(ctx, s.task)
			continue
		}
		r.finish(ctx, s.target)
	}
}

func (r *runner) work(ctx context.Context, next func() *task) {
	for t := next(); t != nil; t = next() {
		r.move(ctx, t)
	}
}

// move moves a blob, and finishes each target that waited for nothing else as soon
// as its sink has it. Targets of the sequence are finished there.
func (r *runner) move(ctx context.Context, t *task) {
	r.copier.move(ctx, t, func(u *use) {
		for _, tr := range u.waiting {
			if tr.settle(u, t.desc) && !isSequential(u.sink) {
				r.finish(ctx, tr)
			}
		}
	})
	if key := (blobKey{t.desc.Digest, t.desc.Size}); t.failed() {
		r.copier.tally.failed(key)
	} else {
		r.copier.tally.settled(key)
	}
}

// settle counts one blob and reports whether it was the last. The bytes count
// for the first of the targets that share a sink; for the others they are there.
func (tr *targetRun) settle(u *use, d ocispec.Descriptor) (last bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.pending--
	switch {
	case u.err != nil:
		tr.err = cmp.Or(tr.err, u.err)
		tr.lacking += d.Size
		if sink, ok := content.As[content.Bounded](u.sink); ok {
			tr.lacking -= sink.Held(d)
		}
	case u.outcome == content.Existed || u.waiting[0] != tr:
		tr.result.Existed++
	case u.outcome == content.Mounted:
		tr.result.Mounted++
	default:
		tr.result.Stored++
		tr.result.Bytes += d.Size
	}
	return tr.pending == 0
}

// failedThere returns the failure of the destination, if there was one. One of
// the source, or of one blob's content, leaves the other blobs worth moving.
func (tr *targetRun) failedThere() error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if sourceFailed(tr.err) || !errors.Is(tr.err, content.ErrUnavailable) && !errors.Is(tr.err, content.ErrNoSpace) {
		return nil
	}
	return tr.err
}

// finish writes the manifests of an image whose blobs are all there, and its
// names last.
func (r *runner) finish(ctx context.Context, tr *targetRun) {
	err := tr.err
	if err == nil {
		err = interrupted(ctx, tr.write(ctx))
	}
	if errors.Is(err, content.ErrNoSpace) && tr.lacking > 0 {
		err = fmt.Errorf("%w; %s are still missing", err, units.HumanSize(float64(tr.lacking)))
	}
	tr.result.Err = err
	if err != nil {
		tr.result.Names = nil
	}
	r.copier.observe(Event{Kind: ImageDone, Image: tr.image.Name, Target: tr.plan.Name, Desc: tr.image.Root, Err: err})
}

// commit ends the run at the sinks that want to know and got at least one whole
// image, at all of them side by side.
func (r *runner) commit(ctx context.Context) {
	bySink := map[content.Sink][]*targetRun{}
	var sinks []content.Sink
	for _, tr := range r.all {
		if _, ok := content.As[content.Committer](tr.plan.sink); !ok || tr.result.Err != nil {
			continue
		}
		if bySink[tr.plan.sink] == nil {
			sinks = append(sinks, tr.plan.sink)
		}
		bySink[tr.plan.sink] = append(bySink[tr.plan.sink], tr)
	}
	each(len(sinks), askJobs, func(i int) {
		committer, _ := content.As[content.Committer](sinks[i])
		err := committer.Commit(ctx)
		if err == nil {
			return
		}
		for _, tr := range bySink[sinks[i]] {
			tr.result.Names, tr.result.Err = nil, at(Dst, OpCommit, ocispec.Descriptor{}, interrupted(ctx, err))
		}
	})
}
