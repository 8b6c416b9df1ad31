package transfer_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

// A dripping source gives a tenth of a blob a second, in the name of two hosts
// in turn, and breaks once on the way.
type dripping struct {
	content.Source
	every time.Duration
}

// Open implements [content.Source].
func (s dripping) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	rc, err := s.Source.Open(ctx, d, r)
	if err != nil {
		return nil, err
	}
	return &drip{ReadCloser: rc, ctx: ctx, every: s.every, desc: d}, nil
}

type drip struct {
	io.ReadCloser
	ctx   context.Context //nolint:containedctx // of Open, as a body has it
	every time.Duration
	desc  ocispec.Descriptor
	n     int64
}

func (r *drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(r.every):
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	}
	trace := content.TraceOf(r.ctx)
	step := max(1, r.desc.Size/10)
	if r.n == 500 {
		trace.Again(content.Retry{Host: "one", Desc: r.desc, Offset: r.n, Reason: errors.New("connection reset")})
	}
	n, err := r.ReadCloser.Read(p[:min(int64(len(p)), step)])
	trace.Got([]string{"one", "two"}[r.n/step%2], int64(n))
	r.n += int64(n)
	return n, err
}

func TestEventsSayHowFastARunIsAndHowLongItTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &maker{t: t}
		layer := strings.Repeat("0123456789", 100)
		src.manifest(ocispec.Manifest{
			Versioned: versioned, MediaType: ocispec.MediaTypeImageManifest,
			Config: src.blob(ocispec.MediaTypeImageConfig, layer[:40]), Layers: []ocispec.Descriptor{src.blob(ocispec.MediaTypeImageLayerGzip, layer)},
		}, ocispec.MediaTypeImageManifest, "v1")
		var events []transfer.Event
		c := transfer.Copier{Jobs: 1, Observe: func(e transfer.Event) { events = append(events, e) }}
		job := transfer.Job{Src: &dripping{src, time.Second}, Ref: "v1", Dst: []transfer.Target{{Sink: &content.Memory{}, Names: []string{"v1"}}}}
		plan, err := c.Plan(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		result, err := c.Run(t.Context(), plan)
		if err != nil {
			t.Fatal(err)
		}

		var kinds []transfer.Kind
		for _, e := range events {
			kinds = append(kinds, e.Kind)
			checkPace(t, e.Pace)
		}
		if kinds[0] != transfer.RunStarted || kinds[len(kinds)-1] != transfer.RunDone || !slices.Contains(kinds, transfer.RunProgress) {
			t.Errorf("events are %v", kinds)
		}
		i := slices.Index(kinds, transfer.Retrying)
		if i < 0 || events[i].Host != "one" || events[i].Bytes != 500 || events[i].Err.Error() != "connection reset" {
			t.Errorf("no event of the retry at byte 500: %v", kinds)
		}
		last := events[len(events)-1].Pace
		if last.Done != 1040 || last.Retries != 1 || last.Hosts["one"].Bytes+last.Hosts["two"].Bytes != 1040 || last.Hosts["two"].Speed == 0 {
			t.Errorf("at the end: %+v", last)
		}
		if result.Retries != 1 || result.Served["one"]+result.Served["two"] != 1040 {
			t.Errorf("the result has %d retries and %v", result.Retries, result.Served)
		}
	})
}

// checkPace looks at a pace, where there is one, of 1040 bytes of which the first
// thousand come at 100 a second.
func checkPace(t *testing.T, p *transfer.Pace) {
	t.Helper()
	if p == nil {
		return
	}
	if p.Total != 1040 || p.Done > p.Total {
		t.Errorf("%d of %d bytes, want at most all of 1040", p.Done, p.Total)
	}
	if p.Done < 200 && p.Left != 0 {
		t.Errorf("%s left after %d bytes: nobody can tell yet", p.Left, p.Done)
	}
	if p.Done < 400 || p.Done > 900 {
		return
	}
	rest := time.Duration((p.Total-p.Done)/100) * time.Second
	if p.Speed < 80 || p.Speed > 105 || p.Left < rest || p.Left > rest+3*time.Second {
		t.Errorf("%d bytes in: %.0f B/s, %s left; want about 100 and %s", p.Done, p.Speed, p.Left, rest)
	}
}

// A run that stands still says so, and does not go on promising an end.
func TestEventsOfARunThatStandsStillGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &maker{t: t}
		src.app("v1")
		var last transfer.Event
		told := 0
		c := transfer.Copier{Observe: func(e transfer.Event) {
			if e.Kind == transfer.RunProgress {
				last = e
				told++
			}
		}}
		job := transfer.Job{Src: &dripping{src, time.Hour}, Ref: "v1", Dst: []transfer.Target{{Sink: &content.Memory{}, Names: []string{"v1"}}}}
		plan, err := c.Plan(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 59750*time.Millisecond)
		defer cancel()
		if _, err := c.Run(ctx, plan); err == nil {
			t.Fatal("it came to an end")
		}
		if told < 119 || last.Pace.Speed != 0 || last.Pace.Left != 0 || last.Pace.Done != 0 {
			t.Errorf("told %d times, at last %+v", told, last.Pace)
		}
	})
}

// A blob that goes to several places is one blob: its bytes come once.
func TestABlobForSeveralDestinationsCountsOnce(t *testing.T) {
	src := &maker{t: t}
	src.app("v1")
	var first, last transfer.Event
	c := transfer.Copier{Observe: func(e transfer.Event) {
		if e.Kind == transfer.RunStarted {
			first = e
		}
		last = e
	}}
	job := transfer.Job{Src: src, Ref: "v1"}
	for range 3 {
		job.Dst = append(job.Dst, transfer.Target{Sink: &content.Memory{}, Names: []string{"v1"}})
	}
	plan, err := c.Plan(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if want := plan.Bytes() / 3; first.Bytes != want || last.Pace.Total != want || last.Pace.Done != want {
		t.Errorf("begins with %d bytes, ends with %d of %d; want %d", first.Bytes, last.Pace.Done, last.Pace.Total, want)
	}
}

// A resuming sink has so many bytes of each blob, and keeps nothing.
type resuming struct {
	content.Sink
	had int64
}

// PutBlob implements [content.Sink].
func (s *resuming) PutBlob(ctx context.Context, b content.Blob) (content.Outcome, error) {
	rc, err := b.Open(ctx, content.Range{Off: min(s.had, b.Descriptor().Size-1)})
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, rc)
	return content.Stored, errors.Join(err, rc.Close())
}

// PutManifest implements [content.Sink].
func (s *resuming) PutManifest(context.Context, content.Manifest, ...string) error { return nil }

// What a destination had before counts from the beginning, and is no speed. Where
// another one has nothing, it counts when it comes.
func TestACopyThatGoesOnBeginsWhereItWas(t *testing.T) {
	for _, tt := range []struct {
		name string
		had  []int64 // by each destination
		want int64   // that the layer begins with
		most float64 // bytes a second: each that reads brings a hundred
	}{
		{"one destination", []int64{400}, 400, 101},
		{"one of two", []int64{400, 0}, 0, 202},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began, paces := goOn(t, tt.had)
			if began != tt.want {
				t.Errorf("the layer begins with %d bytes, want %d", began, tt.want)
			}
			for _, p := range paces {
				if p.Done < tt.want || p.Speed > tt.most {
					t.Errorf("%d bytes are there at %.0f B/s, want %d from the beginning, and %.0f at most", p.Done, p.Speed, tt.want, tt.most)
				}
			}
			if last := paces[len(paces)-1]; last.Done != 1040 {
				t.Errorf("at the end there are %d bytes of 1040", last.Done)
			}
		})
	}
}

// goOn copies an image with a layer of 1000 bytes to destinations that have so
// many bytes of it. It returns what the layer began with, and each pace.
func goOn(t *testing.T, had []int64) (began int64, paces []*transfer.Pace) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src := &maker{t: t}
		layer := src.blob(ocispec.MediaTypeImageLayerGzip, strings.Repeat("0123456789", 100))
		src.manifest(ocispec.Manifest{
			Versioned: versioned, MediaType: ocispec.MediaTypeImageManifest,
			Config: src.blob(ocispec.MediaTypeImageConfig, strings.Repeat("0", 40)), Layers: []ocispec.Descriptor{layer},
		}, ocispec.MediaTypeImageManifest, "v1")
		c := transfer.Copier{Jobs: 1, Observe: func(e transfer.Event) {
			if e.Kind == transfer.BlobStarted && e.Desc.Digest == layer.Digest {
				began = e.Bytes
			}
			if e.Pace != nil {
				paces = append(paces, e.Pace)
			}
		}}
		job := transfer.Job{Src: &dripping{src, time.Second}, Ref: "v1"}
		for _, n := range had {
			job.Dst = append(job.Dst, transfer.Target{Sink: &resuming{&content.Memory{}, n}, Names: []string{"v1"}})
		}
		run(t, &c, job)
	})
	return began, paces
}
