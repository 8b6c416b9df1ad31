package kept

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

// tenth returns n under make soak, and else a tenth of it.
func tenth(n int) int {
	if os.Getenv("WHERRY_SOAK") != "" {
		return n
	}
	return n / 10
}

// inMemory returns a folder that is in memory where there is such a place: disks
// take long to make many small files durable.
func inMemory(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "wherry-*") //nolint:usetesting // the folder for tests may be on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// A sequence is what happens to one store, one thing after the other.
type sequence struct {
	model
	r      *rand.Rand
	folder string   // in which the store is, and copies of it
	copies int      // that were made
	log    []string // what was done
}

// steps are what may happen, each as often as its weight says. A step returns the
// state that it leads to when nothing strikes it.
var steps = []struct {
	name   string
	weight int
	do     func(q *sequence, t *testing.T, d *doom) (state, error)
}{
	{"pull", 6, (*sequence).pull},
	{"pull while others prune", 1, (*sequence).pullWhilePruned},
	{"load", 2, (*sequence).load},
	{"tag", 3, (*sequence).tag},
	{"rmi a name", 3, (*sequence).removeName},
	{"rmi an image", 1, (*sequence).removeImage},
	{"prune", 2, (*sequence).prune},
	{"prune within the grace period", 1, (*sequence).pruneYoung},
}

// step does one of the steps. Every third is struck at one of its moments: it is
// cancelled, or all that works on the store is killed.
func (q *sequence) step(t *testing.T) {
	t.Helper()
	sum := 0
	for _, s := range steps {
		sum += s.weight
	}
	at, n := q.r.IntN(sum), 0
	for at >= steps[n].weight {
		at -= steps[n].weight
		n++
	}
	d := &doom{}
	var killed string
	switch q.r.IntN(6) {
	case 0:
		d.left, d.strike = 1+q.r.IntN(40), func() {}
	case 1:
		d.left, d.strike = 1+q.r.IntN(40), func() {
			q.copies++
			killed = filepath.Join(q.folder, fmt.Sprint("copy", q.copies))
			snapshot(t, q.path, killed)
		}
	}
	q.log = append(q.log, steps[n].name)
	want, err := steps[n].do(q, t, d)
	if killed != "" {
		q.log = append(q.log, "killed")
		q.leave(t, killed)
	}
	switch {
	case d.struck && (killed != "" || err != nil):
		q.settle(t, want)
	case err != nil:
		t.Errorf("%s: %v", steps[n].name, err)
	default:
		q.state = want
	}
	q.check(t)
}

// leave goes on with a copy of the store.
func (q *sequence) leave(t *testing.T, to string) {
	t.Helper()
	if err := os.RemoveAll(q.path); err != nil {
		t.Error(err)
	}
	q.path = to
}

var tags = []string{"app:1", "app:2", "team/app:1", "registry.example/db:1"}

func (q *sequence) aTag() string { return tags[q.r.IntN(len(tags))] }

func (q *sequence) aRoot() digest.Digest { return q.world.roots[q.r.IntN(len(q.world.roots))] }

func sorted[M ~map[K]V, K string | digest.Digest, V any](m M) []K {
	return slices.Sorted(maps.Keys(m))
}

// job returns what brings image d under a tag, or under its digest alone.
func (q *sequence) job(d digest.Digest, src content.Source, s *layout.Store, filter transfer.Filter) (transfer.Job, state) {
	want := q.clone()
	name := q.aTag()
	names := []string{name, d.String()}
	if q.r.IntN(6) == 0 {
		names = names[1:]
	} else {
		want.tags[name] = d
	}
	want.roots[d] = true
	come := []digest.Digest{d}
	for i, child := range q.world.manifests[d].Children() {
		if len(filter.Platforms) == 0 || slices.Contains(filter.Platforms, platforms[i]) {
			come = append(come, child.Digest)
		}
	}
	for n := 0; n < len(come); n++ {
		want.whole[come[n]] = true
		if filter.Referrers {
			come = append(come, q.world.about[come[n]]...)
		}
	}
	return transfer.Job{Name: name, Src: src, Ref: d.String(), Filter: filter, Dst: []transfer.Target{{Name: "store", Sink: s, Names: names}}}, want
}

// copy runs jobs into the store.
func (q *sequence) copy(t *testing.T, s *layout.Store, d *doom, jobs ...transfer.Job) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	strike := d.strike
	d.strike = func() {
		strike()
		cancel(errDoomed)
	}
	c := transfer.Copier{Jobs: 1, Observe: func(transfer.Event) { d.pass() }}
	plan, err := c.Plan(ctx, jobs...)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	result, err := c.Run(ctx, plan)
	if err == nil {
		err = result.Err()
	}
	return errors.Join(err, plan.Close(), s.Close())
}

// pull brings an image with what refers to it, or without. Of an index some
// platforms come.
func (q *sequence) pull(t *testing.T, d *doom) (state, error) {
	t.Helper()
	s, root := q.open(t), q.aRoot()
	filter := transfer.Filter{Sparse: true, Referrers: q.r.IntN(3) > 0}
	if m := q.world.manifests[root]; m.IsIndex() {
		for _, p := range platforms {
			if q.r.IntN(2) == 0 { // none is all
				filter.Platforms = append(filter.Platforms, p)
			}
		}
	}
	job, want := q.job(root, &doomedSource{&q.world.registry, d}, s, filter)
	return want, q.copy(t, s, d, job)
}

// pullWhilePruned is a pull in the middle of which all that is not needed is
// removed by somebody else.
func (q *sequence) pullWhilePruned(t *testing.T, d *doom) (state, error) {
	t.Helper()
	if d.left > 0 {
		return q.pull(t, d)
	}
	var before state
	d.left, d.strike = 1+q.r.IntN(30), func() {
		s := q.open(t)
		_, err := s.Collect(t.Context(), layout.CollectOptions{Grace: -1})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Error(err)
		}
		q.collected(before)
	}
	before = q.state
	s, root := q.open(t), q.aRoot()
	job, want := q.job(root, &doomedSource{&q.world.registry, d}, s, transfer.Filter{Referrers: true})
	c := transfer.Copier{Jobs: 1, Observe: func(transfer.Event) { d.pass() }}
	plan, err := c.Plan(t.Context(), job)
	if err != nil {
		return want, err
	}
	result, err := c.Run(t.Context(), plan)
	if err == nil {
		err = result.Err()
	}
	if d.struck {
		q.collected(q.state)
		// What has come is named by now.
		reached := q.reached(want)
		maps.DeleteFunc(want.whole, func(d digest.Digest, _ bool) bool { return !reached[d] })
	}
	d.struck = false
	return want, errors.Join(err, plan.Close(), s.Close())
}

// load brings two images whole, without what refers to them.
func (q *sequence) load(t *testing.T, d *doom) (state, error) {
	t.Helper()
	s, src := q.open(t), &doomedSource{&q.world.registry, d}
	first, want := q.job(q.aRoot(), src, s, transfer.Filter{})
	before := q.state
	q.state = want
	second, both := q.job(q.aRoot(), src, s, transfer.Filter{})
	q.state = before
	if second.Name == first.Name { // whichever comes last would have it
		return want, q.copy(t, s, d, first)
	}
	return both, q.copy(t, s, d, first, second)
}

// tag gives an image another name.
func (q *sequence) tag(t *testing.T, _ *doom) (state, error) {
	t.Helper()
	want := q.clone()
	if len(q.tags) == 0 {
		return want, nil
	}
	from := sorted(q.tags)[q.r.IntN(len(q.tags))]
	to := q.aTag()
	s := q.open(t)
	d, err := s.Resolve(t.Context(), from)
	if err == nil {
		err = s.Tag(t.Context(), d, to)
	}
	want.tags[to] = q.tags[from]
	return want, errors.Join(err, s.Close())
}

// removeName takes a name away and, where it was the image's last, the image. What
// is called by its digest in another repository stays, as with docker.
func (q *sequence) removeName(t *testing.T, d *doom) (state, error) {
	t.Helper()
	want := q.clone()
	if len(q.tags) == 0 {
		return want, nil
	}
	name := sorted(q.tags)[q.r.IntN(len(q.tags))]
	s := q.open(t)
	root := want.tags[name]
	image, err := s.Find(t.Context(), root.String())
	if err != nil {
		return want, errors.Join(err, s.Close())
	}
	r, err := s.Remove(t.Context(), name)
	delete(want.tags, name)
	gone := len(want.tagged(root)) == 0 && !calledBesides(image, name)
	if gone {
		delete(want.roots, root)
	}
	if err == nil && (r.Gone != nil) != gone {
		err = fmt.Errorf("%s was the last name of %s: %t, but %+v", name, root, gone, r)
	}
	var forget []digest.Digest
	if r.Gone != nil {
		forget = append(forget, r.Gone.Digest)
	}
	if err == nil {
		err = q.collect(t, s, d, want, layout.CollectOptions{Forget: forget})
	}
	return want, errors.Join(err, s.Close())
}

// removeImage takes an image away with all its names.
func (q *sequence) removeImage(t *testing.T, d *doom) (state, error) {
	t.Helper()
	want := q.clone()
	if len(q.roots) == 0 {
		return want, nil
	}
	root := sorted(q.roots)[q.r.IntN(len(q.roots))]
	s := q.open(t)
	err := q.take(t, s, root)
	want.remove(root)
	if err == nil {
		err = q.collect(t, s, d, want, layout.CollectOptions{Forget: []digest.Digest{root}})
	}
	return want, errors.Join(err, s.Close())
}

// take takes an image away with the names that it has.
func (q *sequence) take(t *testing.T, s *layout.Store, root digest.Digest) error {
	t.Helper()
	image, err := s.Find(t.Context(), root.String())
	if err != nil {
		return err
	}
	_, err = s.RemoveImage(t.Context(), root, image.Names)
	return err
}

// prune removes what has no tag, and all that nothing needs: because no grace
// period counts, or because it is over.
func (q *sequence) prune(t *testing.T, d *doom) (state, error) {
	t.Helper()
	want := q.clone()
	s := q.open(t)
	var errs []error
	o := layout.CollectOptions{Grace: -1}
	if q.r.IntN(2) == 0 {
		o = layout.CollectOptions{Now: time.Now().Add(2 * time.Hour)}
	}
	for _, root := range sorted(q.roots) {
		if len(q.tagged(root)) == 0 {
			errs = append(errs, q.take(t, s, root))
			want.remove(root)
			o.Forget = append(o.Forget, root)
		}
	}
	err := errors.Join(errs...)
	if err == nil {
		err = q.collect(t, s, d, want, o)
	}
	if err = errors.Join(err, s.Close()); err == nil {
		before := q.state
		q.state = want
		q.checkPruned(t)
		q.checkSignatures(t)
		q.state = before
	}
	return want, err
}

// pruneYoung removes nothing: all that is there has just been stored.
func (q *sequence) pruneYoung(t *testing.T, d *doom) (state, error) {
	t.Helper()
	before := q.blobs(t)
	s := q.open(t)
	err := q.collect(t, s, d, q.clone(), layout.CollectOptions{})
	if after := q.blobs(t); !maps.Equal(before, after) {
		t.Errorf("there were %d blobs, all of them young, and are %d", len(before), len(after))
	}
	return q.clone(), errors.Join(err, s.Close())
}

// collect removes what the images of want do not need.
func (q *sequence) collect(t *testing.T, s *layout.Store, d *doom, want state, o layout.CollectOptions) error {
	t.Helper()
	q.collected(want)
	reached := q.reached(want)
	maps.DeleteFunc(q.whole, func(d digest.Digest, _ bool) bool { return !reached[d] })
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	strike := d.strike
	d.strike = func() {
		strike()
		cancel(errDoomed)
	}
	_, err := s.Collect(doomed{ctx, d}, o)
	return err
}

// Whatever happens to a store, it keeps what it promises: named images with the
// platforms that were pulled, what refers to them, and nothing else for long.
func TestAStoreKeepsWhatItPromises(t *testing.T) {
	w, folder := newWorld(), inMemory(t)
	for seed := range tenth(1000) {
		q := &sequence{
			model:  model{state: newState(), world: w, path: filepath.Join(folder, fmt.Sprint("store", seed))},
			r:      rand.New(rand.NewPCG(uint64(seed), 0)),
			folder: folder,
		}
		for range 8 {
			if q.step(t); t.Failed() {
				t.Fatalf("sequence %d: %s", seed, strings.Join(q.log, ", "))
			}
		}
		q.checkSignatures(t)
		q.checkBytes(t)
		if err := os.RemoveAll(q.path); err != nil {
			t.Error(err)
		}
	}
}
