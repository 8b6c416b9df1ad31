package matrix

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

// soak returns how often something is done: all the times under make soak, a
// tenth of them else.
func soak(all int) int {
	if os.Getenv("WHERRY_SOAK") != "" {
		return all
	}
	return max(all/10, 1)
}

// warnings keeps what a client warns of.
type warnings struct {
	slog.Handler
	mu    sync.Mutex
	lines []string
	on    func(line string)
}

func (w *warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
	w.on(line)
	return nil
}

func (w *warnings) about(what string, r *testregistry.Registry) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.lines {
		if strings.Contains(line, what) && strings.Contains(line, "mirror="+r.Host()+" ") {
			n++
		}
	}
	return n
}

const (
	mirrorLayers, mirrorLayer = 10, 800_000
	slowBytes                 = 50 << 10 // a second
)

// A mirrored is a registry with four mirrors, each of them bad in its own way.
type mirrored struct {
	own, liar, stale, flaky, slow *testregistry.Registry

	log    warnings
	client *registry.Client
	caught int // requests for blobs that the liar had when it was found out
}

// newMirrored turns the order of the mirrors with each round, and has every
// second liar honest for a while.
func newMirrored(t *testing.T, round int, img testimage.Image) *mirrored {
	t.Helper()
	seed := uint64(round)
	flip := testregistry.Fault{Effect: testregistry.Flip, N: 1000 + int64(round)}
	if round%2 > 0 {
		flip.Nth = 2 + round%3
	}
	m := &mirrored{
		own:   testregistry.Start(t, testregistry.Config{}),
		liar:  testregistry.Start(t, testregistry.Config{Faults: []testregistry.Fault{flip}}),
		stale: testregistry.Start(t, testregistry.Config{}),
		flaky: testregistry.Start(t, testregistry.Config{Faults: []testregistry.Fault{{
			Effect: testregistry.Answer, N: 503, Percent: 30, Seed: seed, Kind: testregistry.AnyKind,
		}}}),
		slow: testregistry.Start(t, testregistry.Config{Faults: []testregistry.Fault{{Effect: testregistry.Rate, N: slowBytes}}}),
	}
	mirrors := []*testregistry.Registry{m.liar, m.stale, m.flaky, m.slow}
	for _, r := range append(mirrors, m.own) {
		img.PutTo(r, repo, tag)
	}
	testimage.Index(99).PutTo(m.stale, repo, tag) // of two days ago
	m.log.on = func(line string) {
		if strings.Contains(line, "sent wrong bytes") {
			m.caught = m.liar.Count(testregistry.Is("GET", testregistry.KindBlob))
		}
	}
	m.client = &registry.Client{Log: slog.New(&m.log)}
	t.Cleanup(m.client.Close)
	first := round / 2 % len(mirrors)
	mirrors = slices.Concat(mirrors[first:], mirrors[:first])
	m.client.Routes = func(host, repository string) (registry.Route, error) {
		at := registry.Endpoint{Host: host, Repository: repository}
		route := registry.Route{Read: at, Write: at}
		if host == m.own.Host() {
			for _, r := range mirrors {
				e := registry.Endpoint{Host: r.Host(), Repository: repository}
				route.Mirrors = append(route.Mirrors, registry.Mirror{Endpoint: e, ResolvesTags: true})
			}
		}
		return route, nil
	}
	return m
}

// TestBadMirrorsNeverSpoilAPull pulls through four bad mirrors: every pull ends
// with the origin's image, and who gave what, or should not have, is known.
func TestBadMirrorsNeverSpoilAPull(t *testing.T) {
	var rounds errgroup.Group
	rounds.SetLimit(20) // they wait for the slow mirror, mostly
	for round := range soak(100) {
		rounds.Go(func() error {
			t.Run(strconv.Itoa(round), func(t *testing.T) { pullThroughMirrors(t, round) })
			return nil
		})
	}
	_ = rounds.Wait() // the rounds have told
}

func pullThroughMirrors(t *testing.T, round int) {
	t.Helper()
	const jobs = 2
	img := testimage.Layers(uint64(round), mirrorLayers, mirrorLayer)
	m := newMirrored(t, round, img)
	src, err := m.client.Source(m.own.Host(), repo)
	if err != nil {
		t.Fatal(err)
	}
	goals := []func(*testing.T) *goal{toLayout, toRegistry, toOCIArchive}
	g := goals[round%len(goals)](t)
	result := run(t, &transfer.Copier{Jobs: jobs}, transfer.Job{Src: src, Ref: tag, Dst: []transfer.Target{g.target(t)}})
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	g.read(t).check(t, whole(img).renamed(g.name))
	m.check(t, img, jobs)
}

func (m *mirrored) check(t *testing.T, img testimage.Image, jobs int) {
	t.Helper()
	if got := m.own.Count(testregistry.Is("HEAD", testregistry.KindManifest)); got != 1 {
		t.Errorf("the registry was asked %d times what the tag stands for", got)
	}
	for _, tt := range []struct {
		what string
		r    *testregistry.Registry
		want int
	}{
		{"sent wrong bytes", m.liar, min(m.caught, 1)},
		{"sent wrong bytes", m.stale, 0},
		{"sent wrong bytes", m.flaky, 0},
		{"sent wrong bytes", m.slow, 0},
		{"it is behind", m.stale, 1},
		{"it is behind", m.flaky, 0},
	} {
		if got := m.log.about(tt.what, tt.r); got != tt.want {
			t.Errorf("%d warnings %q, want %d:\n%s", got, tt.what, tt.want, strings.Join(m.log.lines, "\n"))
		}
	}
	// The others of the jobs were under way when it was found out.
	if lied := m.liar.Count(testregistry.Is("GET", testregistry.KindBlob)); m.caught > 0 && lied > m.caught+jobs-1 {
		t.Errorf("the liar was asked for %d blobs, %d of them before it was found out", lied, m.caught)
	}
	served := m.client.Served()
	if got := served[m.slow.Host()]; got*20 >= img.BlobBytes() {
		t.Errorf("the slow mirror served %d bytes of %d", got, img.BlobBytes())
	}
}
