package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry"
)

// noTime is why hops are skipped that come too late.
const noTime = "there was no time left"

// pulled does what a pull does, up to the first byte of a blob.
func (x *exam) pulled(ctx context.Context, repo *registry.Repository) {
	if isOver(ctx) {
		x.skip(noTime, HopManifest, HopPlatform, HopBlob, HopRange)
		return
	}
	if l, named := x.client.RateLimit(x.at.Host); named && nearlySpent(l) {
		x.skip("the registry counts it as a pull, and of those there is only "+l.String(), HopManifest, HopPlatform, HopBlob, HopRange)
		return
	}
	m, ok := x.manifest(ctx, repo, x.image.root)
	if !ok {
		return
	}
	if m, ok = x.platform(ctx, repo, m); !ok {
		return
	}
	x.image.blobs = m.Blobs()
	d, found := biggest(m)
	if !found {
		x.skip("the image has no blob at the registry", HopBlob, HopRange)
		return
	}
	x.blob(ctx, repo, d)
}

// nearlySpent reports whether what is left of a limit is too dear for looking.
func nearlySpent(l registry.RateLimit) bool { return l.Remaining*10 <= l.Limit }

// manifest gets one manifest.
func (x *exam) manifest(ctx context.Context, repo *registry.Repository, d ocispec.Descriptor) (m content.Manifest, ok bool) {
	ok = x.timed(func() finding {
		before := x.stopped()
		a := x.ask(ctx, d.Digest.String(), func(ctx context.Context) (err error) {
			m, err = repo.Manifest(ctx, d.Digest.String())
			return err
		})
		x.pulls += pullsOf(a.exchanges)
		switch {
		case a.err == nil:
			return fine(HopManifest, d.Digest.String(), fmt.Sprintf("%d bytes of %s", m.Size(), m.MediaType()))
		case x.stopped() > before:
			return skipped(HopManifest, d.Digest.String(), "the way there is not open")
		case errors.Is(a.err, content.ErrNotFound):
			return wrong(HopManifest, Problem{
				MissingManifest, d.Digest.String(), "is not at " + x.at.Host + ", which names it", "the image is damaged there: have it pushed again",
			})
		}
		return judgeRefusal(HopManifest, a)
	})
	return m, ok && m.Size() > 0
}

// pullsOf returns how many of the exchanges a host that counts pulls counts.
func pullsOf(exchanges []exchange) (n int) {
	for _, e := range exchanges {
		if e.method == http.MethodGet && e.status == http.StatusOK && e.token == nil {
			n++
		}
	}
	return n
}

// platform picks the image for the wanted platform out of an index.
func (x *exam) platform(ctx context.Context, repo *registry.Repository, m content.Manifest) (content.Manifest, bool) {
	want := x.doctor.platform()
	if !m.IsIndex() {
		return m, x.single(ctx, repo, m)
	}
	d, err := content.PickPlatform(m, want)
	if err != nil {
		x.add(x.doctor.missingPlatform(x.at.Host, err), 0)
		return content.Manifest{}, false
	}
	x.add(fine(HopPlatform, x.at.Host, want.String()+" is "+d.Digest.String()), 0)
	return x.manifest(ctx, repo, d)
}

// single compares what an image is for that is not in an index with the platform
// that was named.
func (x *exam) single(ctx context.Context, repo *registry.Repository, m content.Manifest) bool {
	if !x.doctor.namesPlatform() {
		return x.add(fine(HopPlatform, x.at.Host, "one image, not one for each platform"), 0)
	}
	want := x.doctor.platform()
	before := x.stopped()
	began := time.Now()
	a := x.ask(ctx, "the config of "+m.Digest().String(), func(ctx context.Context) error {
		return content.CheckPlatform(ctx, repo, m, []content.Platform{want}, content.Limits{})
	})
	failure, _ := errors.AsType[*registry.Error](a.err)
	answered := failure != nil && failure.Status != 0
	switch took := time.Since(began); {
	case x.stopped() > before:
		return false // the way to where the config is is not open, which was said
	case a.err == nil:
		return x.add(fine(HopPlatform, x.at.Host, "one image, for "+want.String()), took)
	case errors.Is(a.err, content.ErrNotFound) && !answered:
		return x.add(x.doctor.missingPlatform(x.at.Host, a.err), took)
	case errors.Is(a.err, content.ErrInvalid), errors.Is(a.err, content.ErrCorrupt):
		return x.add(judgeRefusal(HopPlatform, a), took)
	}
	return x.add(judgeBlob(a), 0)
}

// missingPlatform is about an image that there is not for our platform. Whoever
// named the platform gets nothing.
func (d *Doctor) missingPlatform(host string, err error) finding {
	f := wrong(HopPlatform, Problem{
		MissingPlatform, host, "has this image not for " + d.platform().String() + " (" + err.Error() + ")", "take one of the platforms there are: --platform OS/ARCH",
	})
	if d.namesPlatform() {
		f.Status = Fail
	}
	return f
}

// blob reads one byte of a blob, which is not its first.
func (x *exam) blob(ctx context.Context, repo *registry.Repository, d ocispec.Descriptor) {
	began := time.Now()
	before := x.stopped()
	r := content.Range{Off: min(1, d.Size-1), Len: 1}
	a := x.ask(ctx, "blob "+d.Digest.String(), func(ctx context.Context) error {
		_, err := drained(repo.Open(ctx, d, r))
		return err
	})
	took := time.Since(began)
	if x.stopped() > before {
		return // the way to where the blobs are is not open, which was said
	}
	if x.add(judgeBlob(a), took) && d.Size > 1 {
		x.add(judgeRange(a), 0)
	}
}

// judgeBlob is about the way to a blob.
func judgeBlob(a asked) finding {
	led := "" // where the registry keeps its blobs
	for _, e := range a.exchanges {
		if e.leads != "" && e.url.Host != e.leads {
			led = e.leads
		}
	}
	e := a.last()
	elsewhere := led != "" && e.url.Host == led
	switch {
	case a.err == nil && led == "":
		return fine(HopBlob, a.host, "from the registry itself")
	case a.err == nil:
		return fine(HopBlob, a.host, "from "+led)
	case errors.Is(a.err, content.ErrInvalid) && !elsewhere:
		return judgeRefusal(HopBlob, a)
	case elsewhere:
		return wrong(HopBlob, Problem{
			BlobHost, led, "is where " + a.host + " keeps its blobs, and does not give them: " + statusOrSilence(e.status),
			"let " + led + " through firewall and proxy; or set a mirror",
		})
	case errors.Is(a.err, content.ErrNotFound):
		return wrong(HopBlob, Problem{MissingBlob, a.host, "does not have " + a.what + ", which its manifest names", "the image is damaged there: have it pushed again"})
	}
	return judgeRefusal(HopBlob, a)
}

// judgeRange is about whether a part of a blob can be had.
func judgeRange(a asked) finding {
	e := a.last()
	for _, one := range a.exchanges {
		if one.ranged && one.status != 0 && one.leads == "" {
			e = one // what came of the first question for a part
			break
		}
	}
	if e.status == http.StatusPartialContent && a.last().ranged {
		return fine(HopRange, e.url.Host, "parts of blobs can be had")
	}
	return wrong(HopRange, Problem{
		NoRange, e.url.Host, "does not give parts of blobs: a layer that breaks off begins anew",
		"a proxy may take the Range header away: have " + e.url.Host + " exempted; else expect big layers to fail on bad lines, or set a mirror",
	})
}
