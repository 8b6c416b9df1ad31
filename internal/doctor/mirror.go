package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry"
)

// approach walks the hops to a mirror.
func (x *exam) approach(ctx context.Context) {
	if x.reach(ctx, x.own()) {
		x.api(ctx)
	}
}

// mirror compares what a mirror that answers has with what the registry has.
func (x *exam) mirror(ctx context.Context, t target, origin picture) {
	if x.stopped() > 0 || t.repository == "" {
		return
	}
	if isOver(ctx) {
		x.skip(noTime, HopFreshness, HopBytes)
		return
	}
	repo, err := x.client.Repository(x.at.Host, x.at.Repository)
	if err != nil {
		x.add(wrong(HopTag, Problem{BadSetting, x.at.Host, "has a setting that does not work: " + err.Error(), "mend or remove that setting"}), 0)
		return
	}
	if !x.fresh(ctx, t, repo, origin.root) {
		return
	}
	x.serves = x.honest(ctx, repo, origin) && x.stopped() == 0
}

// fresh asks a mirror what the target stands for, and reports whether it has it.
func (x *exam) fresh(ctx context.Context, t target, repo *registry.Repository, origin ocispec.Descriptor) bool {
	began := time.Now()
	before := x.stopped()
	a := x.ask(ctx, t.String(), func(ctx context.Context) (err error) {
		x.image.root, err = repo.Resolve(ctx, t.ref)
		return err
	})
	took := time.Since(began)
	if x.stopped() > before || !x.token(a) {
		return false
	}
	f := judgeFreshness(t, a, x.image.root, origin, x.where())
	ok := x.add(f, took)
	if latency := a.last().took; a.err == nil && latency > x.limits.Slow {
		x.add(wrong(HopFreshness, Problem{
			MirrorSlow, x.at.Host, "takes " + latency.Round(time.Millisecond).String() + " to say what a tag stands for", "look for a nearer mirror, or put this one last" + x.where(),
		}), latency)
	}
	return a.err == nil && (ok || f.problem != nil && f.problem.Cause == MirrorStale)
}

// judgeFreshness compares what a mirror says a tag stands for with what the
// registry says; the latter is empty where it did not say.
func judgeFreshness(t target, a asked, there, origin ocispec.Descriptor, where string) finding {
	switch {
	case errors.Is(a.err, content.ErrNotFound):
		return fine(HopFreshness, a.host, "alive; does not have "+t.what())
	case a.err != nil:
		return judgeRefusal(HopFreshness, a)
	case t.isDigest():
		return fine(HopFreshness, a.host, "alive; has it")
	case origin.Digest == "":
		return fine(HopFreshness, a.host, t.what()+" is "+there.Digest.String()+" there; the registry does not say whether that is right")
	case origin.Digest != there.Digest:
		return wrong(HopFreshness, Problem{
			MirrorStale, a.host, fmt.Sprintf("has another image under %s: %s, and the registry %s", t.what(), there.Digest, origin.Digest),
			"have the mirror refreshed (shorten the time for which it keeps tags); until then keep it from telling what tags stand for: capabilities: [pull]" + where,
		})
	}
	return fine(HopFreshness, a.host, "alive; "+t.what()+" is what it is at the registry")
}

// A sample is what was read of a mirror's blobs.
type sample struct {
	bytes   int64
	took    time.Duration
	lies    error // bytes that are not what they should be
	err     error
	checked int
	blobs   []ocispec.Descriptor // of the image
}

// honest reads of what a mirror has and compares it with its digests. Where pulls
// fail at the registry it reports whether the mirror has all of the image.
func (x *exam) honest(ctx context.Context, repo *registry.Repository, origin picture) (all bool) {
	const most = 3 * time.Second
	ctx, cancel := context.WithTimeout(ctx, min(most, x.limits.Request))
	defer cancel()
	before := x.stopped()
	x.timed(func() finding {
		s := x.sample(ctx, repo, origin)
		if x.stopped() > before {
			return skipped(HopBytes, x.at.Host, "the way there is not open")
		}
		all = s.err == nil && s.lies == nil && origin.fails && has(ctx, repo, s.blobs)
		return judgeSample(x.at.Host, s, x.limits.Rate, x.where())
	})
	return all
}

// has reports whether a mirror has all blobs of an image, which has some.
func has(ctx context.Context, repo *registry.Repository, blobs []ocispec.Descriptor) bool {
	for _, d := range blobs {
		if content.IsForeign(d.MediaType) {
			continue
		}
		if there, err := repo.Has(ctx, d); err != nil || !there {
			return false
		}
	}
	return len(blobs) > 0
}

// sample gets manifests and the smaller blobs from a mirror.
func (x *exam) sample(ctx context.Context, repo *registry.Repository, origin picture) (s sample) {
	blobs := origin.blobs
	if len(blobs) == 0 || origin.root.Digest != x.image.root.Digest {
		var err error
		if blobs, err = x.inventory(ctx, repo); err != nil {
			s.note(err)
			return s
		}
		s.checked++
	} else if _, err := repo.Manifest(ctx, x.image.root.Digest.String()); err != nil {
		s.note(err)
		return s
	}
	s.blobs = blobs
	const largest, enough = 4 << 20, 3
	blobs = slices.DeleteFunc(slices.Clone(blobs), func(d ocispec.Descriptor) bool {
		return d.Size == 0 || d.Size > largest || content.IsForeign(d.MediaType)
	})
	slices.SortStableFunc(blobs, func(a, b ocispec.Descriptor) int { return cmp.Compare(b.Size, a.Size) })
	for _, d := range blobs[:min(enough, len(blobs))] {
		began := time.Now()
		n, err := verified(ctx, repo, d)
		s.bytes += n
		s.took += time.Since(began)
		if err != nil {
			s.note(err)
			return s
		}
		s.checked++
	}
	return s
}

func (s *sample) note(err error) {
	if errors.Is(err, content.ErrCorrupt) {
		s.lies = err
		return
	}
	s.err = err
}

// inventory returns the blobs of the image that the mirror has for our platform.
func (x *exam) inventory(ctx context.Context, repo *registry.Repository) ([]ocispec.Descriptor, error) {
	m, err := repo.Manifest(ctx, x.image.root.Digest.String())
	if err != nil || !m.IsIndex() {
		return m.Blobs(), err
	}
	d, err := content.PickPlatform(m, x.doctor.platform())
	if err != nil {
		return nil, nil //nolint:nilerr // it has the index, and that is all there is to check
	}
	m, err = repo.Manifest(ctx, d.Digest.String())
	return m.Blobs(), err
}

// verified reads a whole blob. One that is not what its digest says is
// [content.ErrCorrupt].
func verified(ctx context.Context, repo *registry.Repository, d ocispec.Descriptor) (int64, error) {
	rc, err := repo.Open(ctx, d, content.Range{})
	if err != nil {
		return 0, err
	}
	v := d.Digest.Verifier()
	n, err := io.Copy(v, rc)
	if cerr := rc.Close(); err == nil {
		err = cerr
	}
	if err == nil && !v.Verified() {
		err = &content.MismatchError{Want: d, Size: n}
	}
	return n, err
}

// judgeSample is about what was read of a mirror.
func judgeSample(host string, s sample, rate int64, where string) finding {
	const enough = 16 << 10 // less says nothing of a rate
	speed := int64(float64(s.bytes) / max(s.took.Seconds(), 1e-6))
	switch {
	case s.lies != nil:
		return wrong(HopBytes, Problem{
			MirrorLies, host, "gives bytes that are not what their digest says (" + s.lies.Error() + ")", "take the mirror out" + where + ", and find out who changes what it gives: pulls go past it, at a price",
		})
	case s.bytes >= enough && speed < rate:
		return wrong(HopBytes, Problem{
			MirrorSlow, host, fmt.Sprintf("gives %d KiB a second", speed>>10), "look for a nearer mirror, or put this one last" + where,
		})
	case errors.Is(s.err, context.DeadlineExceeded):
		return wrong(HopBytes, Problem{
			MirrorSlow, host, fmt.Sprintf("gives %d bytes in %s", s.bytes, s.took.Round(time.Millisecond)), "look for a nearer mirror, or put this one last" + where,
		})
	case errors.Is(s.err, content.ErrNotFound):
		return fine(HopBytes, host, "does not have all of the image")
	case s.err != nil:
		return wrong(HopBytes, Problem{MirrorDead, host, "breaks off (" + s.err.Error() + ")", "mend the mirror, or take it out" + where})
	}
	return fine(HopBytes, host, fmt.Sprintf("%d objects, %d KiB a second: all of it right", s.checked, speed>>10))
}
