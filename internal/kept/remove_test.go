package kept

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/layout"
)

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
