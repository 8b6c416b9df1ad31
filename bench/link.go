package main

import (
	"context"
	"slices"
	"time"

	"github.com/wherry-dev/wherry/internal/testlink"
)

// longLink is a registry far away, behind a service that caps each connection, as those that deliver content do.
var longLink = testlink.Shape{RTT: 50 * time.Millisecond, PerConn: 10e6}

// longLinks are pulls over it. Peers take their time, so they run less often.
var longLinks = []scenario{
	longLayer("wan-layer", plain), longImage("wan-image", plain),
	longLayer("wan-layer-tls", secure), longImage("wan-image-tls", secure),
}

const (
	longRuns  = 3
	layerSize = 400_000_000
	overTLS   = " The registry speaks https and offers HTTP/2; the link caps TCP connections, whatever goes on in them."
	overLink  = "over a link of 50 ms there and back and 10 MB/s a connection to an OCI layout on a memory file system. " +
		"No run goes before that does not count, and peers run once: they wait for the link, which is the same each time."
)

// A speech is what a registry speaks.
type speech string

const (
	plain  speech = ""
	secure speech = ", TLS with HTTP/2 offered"
)

// registry is the source that speaks so.
func (s speech) registry(b *bench) *registry {
	if s == secure {
		return b.secure
	}
	return b.src
}

// note ends a scenario's note.
func (s speech) note() string {
	if s == secure {
		return overTLS
	}
	return ""
}

// ready starts what is needed for it.
func (s speech) ready(ctx context.Context, b *bench) error {
	if s == secure {
		return b.secured(ctx)
	}
	return nil
}

// over is the image of a repository at the near end of the link.
func (s speech) over(link *testlink.Link, repository string) place {
	p := placeOf(link.Addr(), repository)
	p.tls = s == secure
	return p
}

func longLayer(name string, s speech) scenario {
	return scenario{
		name: name, title: "Pull a layer of 400 MB over a long link" + string(s), runs: longRuns, peerRuns: 1, cold: true, behind: s.registry,
		note: "An image of one layer with 400 MB of random bytes " + overLink + s.note(),
		ready: func(ctx context.Context, b *bench) (err error) {
			if b.layer.repository == "" {
				if b.layer, err = b.src.pushRandom(ctx, "layer", layerSize); err != nil {
					return err
				}
			}
			return s.ready(ctx, b)
		},
		args: func(b *bench, t tool, dir string) []string {
			return t.pull(s.over(b.link, b.layer.repository), layoutOf(dir))
		},
		check: func(_ context.Context, b *bench, dir string) error { return checkLayout(layoutOf(dir), b.layer) },
		bars:  func(r result) []bar { return []bar{r.faster(8)} },
	}
}

func longImage(name string, s speech) scenario {
	return scenario{
		name: name, title: "Pull the real image over a long link" + string(s), runs: longRuns, peerRuns: 1, cold: true, behind: s.registry,
		note: "The real image " + overLink + s.note(), ready: s.ready,
		args: func(b *bench, t tool, dir string) []string {
			return t.pull(s.over(b.link, b.real.repository), layoutOf(dir))
		},
		check: func(_ context.Context, b *bench, dir string) error { return checkLayout(layoutOf(dir), b.real) },
		bars:  func(r result) []bar { return []bar{r.faster(2.8)} },
	}
}

var (
	mirrors       = mirrored("mirrors", plain)
	mirrorsSecure = mirrored("mirrors-tls", secure)
)

// mirrored is the pull from four mirrors, the first of which is slow, and from the other three alone.
func mirrored(name string, s speech) scenario {
	return scenario{
		name: name, title: "Pull from mirrors, one of them slow" + string(s), ready: s.ready,
		note: "The real image, named by its digest, from four mirrors, each behind a link of its own of 50 ms there and back and 10 MB/s a connection, " +
			"but for the first, whose connections have 1 MB/s; and from the other three alone. The registry itself is behind such a link too." + s.note(),
		alone: func(ctx context.Context, b *bench, r *result) error {
			arms := []struct {
				name  string
				links []testlink.Shape // of the registry, and of its mirrors
			}{
				{"three mirrors", slices.Repeat([]testlink.Shape{longLink}, 4)},
				{"and a slow one", slices.Insert(slices.Repeat([]testlink.Shape{longLink}, 4), 1, slowLink)},
			}
			for _, a := range arms {
				r.Tools = append(r.Tools, row{Name: a.name})
			}
			var shares []float64
			for round := range r.Runs {
				for i := range arms {
					i := (i + round) % len(arms)
					sample, share, err := b.fromMirrors(ctx, s, name, arms[i].links)
					if err != nil {
						return err
					}
					report(name, arms[i].name, sample)
					r.Tools[i].Samples = append(r.Tools[i].Samples, sample)
					if i == 1 {
						shares = append(shares, share)
					}
				}
			}
			with, without := r.Tools[1].column(wall), r.Tools[0].column(wall)
			r.Table = [][]string{{"of the bytes, the slow one gave", percent(spreadOf(shares).median)}}
			r.Bars = []bar{atMost("wall with the slow one ÷ without", "%.2f", spreadOf(ratios(with, without)).median, 1.10)}
			return nil
		},
	}
}

// slowLink is longLink at a tenth of its rate.
var slowLink = testlink.Shape{RTT: longLink.RTT, PerConn: longLink.PerConn / 10}
