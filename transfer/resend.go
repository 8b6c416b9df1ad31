package transfer

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// insist calls put, which stores m. Where the target refuses m for blobs that it
// has lost, or never had whatever it said, those are moved, once in a run, and
// put is called once more.
func (tr *targetRun) insist(ctx context.Context, m content.Manifest, put func() error) error {
	err := put()
	if err != nil && errors.Is(err, content.ErrConflict) && tr.resend(ctx, m) {
		return put()
	}
	return err
}

// resend moves the blobs of m that the target lacks by now. It reports whether m
// may be welcome after that. Of several manifests with one blob the first to be
// refused moves it, and the others wait.
func (tr *targetRun) resend(ctx context.Context, m content.Manifest) bool {
	if isSequential(tr.plan.sink) {
		return false
	}
	tr.resending.Lock()
	defer tr.resending.Unlock()
	mended := false
	for _, d := range m.Blobs() {
		if content.IsForeign(d.MediaType) && !tr.planned(d) {
			continue // it was left out
		}
		if !tr.resent[d.Digest] {
			moved, err := tr.moveLost(ctx, d)
			if err != nil {
				return false // the refusal says more
			}
			if !moved {
				continue
			}
		}
		mended = true
	}
	return mended
}

// moveLost moves d if the target lacks it.
func (tr *targetRun) moveLost(ctx context.Context, d ocispec.Descriptor) (moved bool, err error) {
	there, err := tr.plan.sink.Has(ctx, d)
	if there || err != nil {
		return false, err
	}
	t := &task{desc: d}
	t.addSource(tr.image.job.Src)
	u := t.useOf(tr.plan.sink)
	u.waiting = []*targetRun{tr}
	tr.copier.move(ctx, t, func(*use) {})
	if u.err != nil {
		return false, u.err
	}
	if tr.resent == nil {
		tr.resent = map[digest.Digest]bool{}
	}
	tr.resent[d.Digest] = true
	tr.copier.tally.forget(blobKey{d.Digest, d.Size})
	tr.recount(u, d)
	return true, nil
}

// recount takes the place of what was counted for d before it was moved again.
func (tr *targetRun) recount(u *use, d ocispec.Descriptor) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if u.outcome == content.Stored {
		tr.result.Bytes += d.Size
	}
	if tr.planned(d) || u.outcome == content.Existed {
		return
	}
	tr.result.Existed--
	if u.outcome == content.Mounted {
		tr.result.Mounted++
		return
	}
	tr.result.Stored++
}

// planned reports whether d was to be moved from the beginning.
func (tr *targetRun) planned(d ocispec.Descriptor) bool {
	return slices.ContainsFunc(tr.plan.Missing, func(m ocispec.Descriptor) bool { return m.Digest == d.Digest })
}
