package kept

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

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
	return errors.Join(carry(ctx, d, jobs...), s.Close())
}

// carry runs jobs, each event of which is a moment.
func carry(ctx context.Context, d *doom, jobs ...transfer.Job) error {
	c := transfer.Copier{Jobs: 1, Observe: func(transfer.Event) { d.pass() }}
	plan, err := c.Plan(ctx, jobs...)
	if err != nil {
		return err
	}
	result, err := c.Run(ctx, plan)
	if err == nil {
		err = result.Err()
	}
	return errors.Join(err, plan.Close())
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
	err := carry(t.Context(), d, job)
	if d.struck {
		q.collected(q.state)
		// What has come is named by now.
		reached := q.reached(want)
		maps.DeleteFunc(want.whole, func(d digest.Digest, _ bool) bool { return !reached[d] })
	}
	d.struck = false
	return want, errors.Join(err, s.Close())
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
