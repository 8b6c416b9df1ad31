package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/internal/testlink"
)

const megabyte = 1e6

// scattered returns how long it takes to scatter size bytes that h gives, which
// have to be all of them, and how many came again.
func scattered(t *testing.T, h content.Source, lanes int, size int64) (took time.Duration, again int64) {
	t.Helper()
	return scatteredSpans(t, h, lanes, size, content.Spans{{Len: size}})
}

// scatteredSpans is scattered for some spans of a blob.
func scatteredSpans(t *testing.T, h content.Source, lanes int, size int64, spans content.Spans) (took time.Duration, again int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { took, again = scatter(t, &Copier{Lanes: lanes}, h, size, spans) })
	return took, again
}

// scatter is scatteredSpans by c, under synctest already.
func scatter(t *testing.T, c *Copier, h content.Source, size int64, spans content.Spans) (took time.Duration, again int64) {
	t.Helper()
	to := &receiver{}
	began := time.Now()
	s, err := c.blob(t.Context(), h, zeros(size), 1).(content.Spreadable).Spread(t.Context(), spans)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Scatter(to); err != nil {
		t.Fatal(err)
	}
	took, again = time.Since(began), to.bytes-spans.Bytes()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !slices.Equal(to.there, spans) {
		t.Errorf("%v came of %v", to.there, spans)
	}
	return took, again
}

func TestASlowConnectionGetsCompany(t *testing.T) {
	const size = 100 << 20
	for _, tt := range []struct {
		name   string
		host   link
		faster float64 // than over one connection, at least
		peak   int     // connections at once, at most
		asked  int     // requests, at most
	}{
		{"a cap for each connection", link{delay: 50 * time.Millisecond, each: 2 * megabyte}, 8, mostLanes, 200},
		{"a fast line", link{delay: time.Millisecond, each: 500 * megabyte}, 0.99, 1, 1},
		{"a cap in total", link{delay: 50 * time.Millisecond, each: 50 * megabyte, total: 5 * megabyte}, 0.95, 5, 50}, // four are tried once, beside one that ends
		{"a host that bears four", link{delay: 50 * time.Millisecond, each: 2 * megabyte, most: 4}, 3.2, 4, 80},
		{"a host that answers three", link{delay: 50 * time.Millisecond, each: 2 * megabyte, queue: 3}, 2.5, 3, 60},
		{"a host that gives the whole", link{delay: 50 * time.Millisecond, each: 2 * megabyte, plain: true}, 0.99, 2, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &simulated{name: "a", link: tt.host}
			took, again := scattered(t, h, 0, size)
			alone := size / h.each
			if h.total > 0 {
				alone = size / min(h.each, h.total)
			}
			if faster := alone / took.Seconds(); faster < tt.faster {
				t.Errorf("%.2f times as fast as one connection, want %.2f", faster, tt.faster)
			}
			if h.peak > tt.peak || h.asked > tt.asked {
				t.Errorf("%d connections and %d requests, want %d and %d at most", h.peak, h.asked, tt.peak, tt.asked)
			}
			if again+h.gave-size > size/50 {
				t.Errorf("%d bytes came again, %d more were given", again, h.gave-size)
			}
			if h.open != 0 {
				t.Errorf("%d connections are open", h.open)
			}
			t.Logf("%.1f times as fast, %d connections, %d requests, %d refused", alone/took.Seconds(), h.peak, h.asked, h.refused)
		})
	}
}

// What an earlier run left is as many holes as it had lanes.
func TestHolesAreFilledOverAsManyConnections(t *testing.T) {
	const size, holes = 100 << 20, 50
	var spans content.Spans
	for i := range int64(holes) {
		spans = append(spans, content.Range{Off: i * size / holes, Len: size / holes / 2})
	}
	h := &simulated{name: "a", link: link{delay: 20 * time.Millisecond, each: 2 * megabyte}}
	took, again := scatteredSpans(t, h, 0, size, spans)
	if alone := float64(spans.Bytes()) / h.each; took.Seconds() > alone/6 {
		t.Errorf("%v, and over one connection %.1f s", took, alone)
	}
	if again > size/50 {
		t.Errorf("%d bytes came again", again)
	}
}

// With WHERRY_SOAK links are drawn anew each time, and the seed is told: numbers that
// only fit some links do not help.
func TestTheNumberOfLanesIsFound(t *testing.T) {
	links, most, fixed := 1, 8e6, []int{1, 4, 12, 24}
	seed := uint64(20261201) // what a commit is held to does not change from run to run
	if os.Getenv("WHERRY_SOAK") != "" {
		links, most, fixed = 50, 120e6, []int{1, 2, 3, 4, 6, 8, 12, 16, 24}
		seed = rand.Uint64()
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	var shares []float64
	for i := range links {
		shape := testlink.Draw(rnd, most)
		size := 5 * shape.Rate(24)
		best, lanes := math.MaxFloat64, 0
		for _, n := range fixed {
			if took := usual(t, shape, n, size); took < best {
				best, lanes = took, n
			}
		}
		share := best / usual(t, shape, 0, size)
		t.Logf("seed %d link %d: %+v: %.2f of what %d lanes bring", seed, i, shape, share, lanes)
		if share < 0.8 {
			t.Errorf("link %d of seed %d: %.2f of the best", i, seed, share)
		}
		shares = append(shares, share)
	}
	slices.Sort(shares)
	t.Logf("seed %d: %.3f at worst, %.3f in the middle, %d of %d below 0.9", seed, shares[0], shares[len(shares)/2], below(shares, 0.9), len(shares))
	if good := len(shares) - below(shares, 0.9); good*10 < len(shares)*9 {
		t.Errorf("seed %d: %d of %d links have nine tenths of the best", seed, good, len(shares))
	}
}

// usual returns the median of the seconds that pulls over links of a shape take whose
// pauses and resets are others each time.
func usual(t *testing.T, shape testlink.Shape, lanes int, size int64) float64 {
	t.Helper()
	var all []float64
	for range 3 {
		shape.Seed++
		all = append(all, overLink(t, shape, lanes, size).Seconds())
	}
	slices.Sort(all)
	return all[1]
}

func below(sorted []float64, bar float64) int {
	n, _ := slices.BinarySearch(sorted, bar)
	return n
}

// Where bytes come seldom, or answers late, lanes are not silent: nobody stands in for
// them, and nothing is taken from them again and again.
func TestWhoIsSlowIsNotPressed(t *testing.T) {
	const record = 16 << 10 // of TLS
	for _, tt := range []struct {
		name  string
		host  link
		size  int64
		peak  int
		asked int
		slack float64 // times as long as one connection may take, or as all of them together
	}{
		{"a slow line", link{delay: 5 * time.Millisecond, each: megabyte, total: megabyte / 10, grain: record}, 10 << 20, 6, 60, 1.1},
		{"a quarter of a megabyte a second", link{delay: 5 * time.Millisecond, each: megabyte, total: megabyte / 4, grain: record}, 20 << 20, 6, 120, 1.1},
		{"an end that is not at hand", link{delay: 3 * time.Millisecond, each: 10 * megabyte, total: 40 * megabyte, cold: 400 * time.Millisecond}, 200 << 20, 8, 400, 1.6},
		{"an end that is far away", link{delay: 3 * time.Millisecond, each: 10 * megabyte, total: 40 * megabyte, cold: 3 * time.Second}, 200 << 20, 8, 400, 4},
		{"our own limit", link{delay: 20 * time.Millisecond, each: 60e3, most: 3, own: true}, 8 << 20, 3, 240, 1.2},
		{"its limit", link{delay: 20 * time.Millisecond, each: 60e3, most: 3}, 8 << 20, 3, 160, 1.2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &simulated{name: "a", link: tt.host}
			took, again := scattered(t, h, 0, tt.size)
			most := h.each * float64(max(h.most, 1))
			if h.total > 0 {
				most = h.total
			}
			if limit := tt.slack * float64(tt.size) / most; took.Seconds() > limit {
				t.Errorf("it took %v, want %.0f s at most", took, limit)
			}
			if h.peak > tt.peak || h.asked > tt.asked || again > tt.size/20 {
				t.Errorf("%d connections, %d requests, and %d bytes again; want %d, %d and %d at most", h.peak, h.asked, again, tt.peak, tt.asked, tt.size/20)
			}
		})
	}
}

// A host that refuses more for long gives what it has begun to, and then it is told.
func TestAHostThatRefusesAllFromThenOnIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 100 << 20
		h := &simulated{name: "a", link: link{delay: 20 * time.Millisecond, each: 2 * megabyte, most: 3, shuts: true}}
		began := time.Now()
		s, err := (&Copier{}).blob(t.Context(), h, zeros(size), 1).(content.Spreadable).Spread(t.Context(), content.Spans{{Len: size}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Scatter(&receiver{}); !errors.Is(err, content.ErrRateLimited) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took > time.Minute || h.refused > 60 {
			t.Errorf("it took %v and %d refusals", took, h.refused)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A host that goes away in the middle, and what follows.
func TestWhatOneHostDoesNotGiveAnotherDoes(t *testing.T) {
	const size = 64 << 20
	line := func(name string, each float64) *simulated {
		return &simulated{name: name, link: link{delay: 20 * time.Millisecond, each: each}}
	}
	for _, tt := range []struct {
		name    string
		mirrors []*simulated
		own     int64 // bytes the own host gives, at most
		slower  float64
	}{
		{"good ones", []*simulated{line("a", 2*megabyte), line("b", 2*megabyte), line("c", 2*megabyte)}, 0, 1},
		{"one that is slow", []*simulated{line("a", 2*megabyte), line("b", 2*megabyte), line("c", 2*megabyte), line("slow", megabyte/5)}, 0, 1.1},
		{"one that breaks before its first byte", []*simulated{
			{name: "dead", link: link{delay: 20 * time.Millisecond, each: megabyte, dead: true}},
			line("a", 2*megabyte), line("b", 2*megabyte), line("c", 2*megabyte),
		}, 0, 1.1},
		{"none", nil, size, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			own := line("own", 2*megabyte)
			three := &mirrored{own: line("own", 2*megabyte), mirrors: []*simulated{line("a", 2*megabyte), line("b", 2*megabyte), line("c", 2*megabyte)}}
			good, _ := scattered(t, three, 4, size)
			took, again := scattered(t, &mirrored{own: own, mirrors: tt.mirrors}, 4, size)
			if took.Seconds() > tt.slower*1.05*good.Seconds() {
				t.Errorf("%v, and %v with three good ones", took, good)
			}
			if own.gave > tt.own || again > size/20 {
				t.Errorf("the own host gave %d bytes, and %d came twice", own.gave, again)
			}
		})
	}
}

// What our own settings allow at once is shared with others, who end.
func TestLanesThatOurSettingsRefusedAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 100 << 20
		h := &simulated{name: "a", link: link{delay: 20 * time.Millisecond, each: 2 * megabyte, most: 2, own: true}}
		time.AfterFunc(5*time.Second, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.most = 0
		})
		took, _ := scatter(t, &Copier{}, h, size, content.Spans{{Len: size}})
		if h.peak < 6 || took > 15*time.Second {
			t.Errorf("%d connections at most, and %v; two alone take %.0f s", h.peak, took, size/h.each/2)
		}
		if h.refused > 12 {
			t.Errorf("%d were refused in 5 s", h.refused)
		}
	})
}

// A number of lanes that is told is not insisted on where the host bears fewer.
func TestAHostThatBearsFewerLanesThanToldIsNotPressed(t *testing.T) {
	const size = 64 << 20
	h := &simulated{name: "a", link: link{delay: 20 * time.Millisecond, each: 2 * megabyte, most: 2}}
	scattered(t, h, 6, size)
	if h.peak > 2 || h.refused > 6 {
		t.Errorf("%d were refused", h.refused)
	}
}

// Who sent wrong bytes is found out by asking others what they have there: the own
// host, whose word counts, and where it cannot be asked any other.
func TestWhoSentWrongBytesIsToldFromTheOthers(t *testing.T) {
	const size = 64 << 20
	for _, tt := range []struct {
		name    string
		own     link
		mirrors int
		blamed  int
	}{
		{"the own host is there", link{}, 2, 1},
		{"the own host is gone, two others agree", link{gone: true}, 3, 1},
		{"the own host is gone, one against the other", link{gone: true}, 2, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mirrored{own: &simulated{name: "own", link: tt.own}}
				for i := range tt.mirrors {
					line := link{delay: 20 * time.Millisecond, each: 2 * megabyte, counts: i == 0}
					m.mirrors = append(m.mirrors, &simulated{name: string(rune('a' + i)), link: line})
				}
				wrong := judged(t, m, size)
				blamed, ok := errors.AsType[*content.BlamedError](wrong)
				if !ok || len(blamed.Hosts) != tt.blamed || !slices.Contains(blamed.Hosts, "a") || m.mirrors[0].blamed != 1 {
					t.Errorf("%v, want %d blamed, a among them", wrong, tt.blamed)
				}
				if tt.own.gone && m.own.asked > 1 {
					t.Errorf("the own host was asked %d times, and it cannot be", m.own.asked)
				}
			})
		})
	}
}

// judged scatters a blob of src and has what came judged as wrong.
func judged(t *testing.T, src content.Source, size int64) error {
	t.Helper()
	b := (&Copier{}).blob(t.Context(), src, zeros(size), 1)
	s, err := b.(content.Spreadable).Spread(t.Context(), content.Spans{{Len: size}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Scatter(&receiver{}), s.Close()); err != nil {
		t.Fatal(err)
	}
	return b.(content.Judge).Judge(t.Context(), content.ErrCorrupt)
}

// A mirrored source has mirrors.
type mirrored struct {
	own     *simulated
	mirrors []*simulated
}

func (m *mirrored) Manifest(context.Context, string) (content.Manifest, error) {
	return content.Manifest{}, content.ErrNotFound
}

func (m *mirrored) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	return m.own.Open(ctx, d, r)
}

func (m *mirrored) Replicas(context.Context, ocispec.Descriptor) []content.Replica {
	var all []content.Replica
	for _, h := range m.mirrors {
		all = append(all, h)
	}
	return append(all, m.own)
}

func TestBytesAreReadInOrderThroughAWindow(t *testing.T) {
	const size = 80 << 20
	for _, tt := range []struct {
		name   string
		pause  time.Duration // of the reader, now and then
		memory int64
	}{
		{"a quick reader", 0, 0},
		{"a slow reader", time.Second, 0},
		{"little memory", 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { readThroughWindow(t, &Copier{Memory: tt.memory}, size, tt.pause) })
		})
	}
}

func readThroughWindow(t *testing.T, c *Copier, size int64, pause time.Duration) {
	t.Helper()
	h := &simulated{name: "a", link: link{delay: 20 * time.Millisecond, each: 2 * megabyte, counts: true}}
	b := c.blob(t.Context(), h, zeros(size), 1)
	whole, began := c.memory.pages, time.Now()
	rc, err := b.Open(t.Context(), content.Range{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := readCounted(t.Context(), rc, pause)
	if err := errors.Join(err, rc.Close()); err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if alone := float64(size) / h.each; pause == 0 && time.Since(began).Seconds() > alone/2 {
		t.Errorf("%v, and over one connection %.1f s", time.Since(began), alone)
	}
	if c.memory.pages != whole || h.open != 0 {
		t.Errorf("%d of %d pages of the budget are free at the end, and %d connections open", c.memory.pages, whole, h.open)
	}
}

// readCounted reads what a host that counts gives, and pauses now and then.
func readCounted(ctx context.Context, r io.Reader, pause time.Duration) (n int64, err error) {
	p, want := make([]byte, 100_000), make([]byte, 100_000)
	for {
		m, err := r.Read(p)
		numbered(want[:m], n)
		if !bytes.Equal(p[:m], want[:m]) {
			return n, errors.New("other bytes")
		}
		n += int64(m)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if n%(8<<20) < int64(m) && httpx.Wait(ctx, pause) != nil {
			return n, context.Cause(ctx)
		}
	}
}

func TestASpreadEndsWithItsContextAndWithItsReader(t *testing.T) {
	const size = 64 << 20
	for _, tt := range []struct {
		name string
		end  func(cancel context.CancelFunc, rc io.Closer) error
	}{
		{"context", func(cancel context.CancelFunc, rc io.Closer) error { cancel(); return rc.Close() }},
		{"reader", func(_ context.CancelFunc, rc io.Closer) error { return rc.Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { endHalfway(t, size, tt.end) })
		})
	}
}

func endHalfway(t *testing.T, size int64, end func(context.CancelFunc, io.Closer) error) {
	t.Helper()
	h := &simulated{name: "a", link: link{delay: 20 * time.Millisecond, each: megabyte}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rc, err := (&Copier{}).blob(ctx, h, zeros(size), 1).Open(ctx, content.Range{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, rc, size/2); err != nil {
		t.Fatal(err)
	}
	if err := end(cancel, rc); err != nil {
		t.Error(err)
	}
	if _, err := rc.Read(make([]byte, 1)); err == nil {
		t.Error("there was more to read")
	}
	synctest.Wait()
	if h.open != 0 {
		t.Errorf("%d connections are open", h.open)
	}
}

// A spread that cannot begin is none: who closes what there is does not meet it.
func TestASpreadThatCannotBeginIsNone(t *testing.T) {
	h := &simulated{name: "a", link: link{gone: true}}
	s, err := (&Copier{}).blob(t.Context(), h, zeros(64<<20), 1).(content.Spreadable).Spread(t.Context(), content.Spans{{Len: 64 << 20}})
	if s != nil || !errors.Is(err, content.ErrUnavailable) {
		t.Errorf("Spread = %v, %v", s, err)
	}
}

// What of a blob is not asked for is there already.
func TestASpreadOfSomeSpansBeginsWithTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 32 << 20
		var told []int64
		c := &Copier{Observe: func(e Event) { told = append(told, e.Bytes) }}
		h := &simulated{name: "a", link: link{delay: time.Millisecond, each: 5 * megabyte}}
		holes := content.Spans{{Off: 1 << 20, Len: 2 << 20}, {Off: 20 << 20, Len: 8 << 20}}
		s, err := c.blob(t.Context(), h, zeros(size), 1).(content.Spreadable).Spread(t.Context(), holes)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Scatter(&receiver{}), s.Close()); err != nil {
			t.Fatal(err)
		}
		if told[0] != size-holes.Bytes() || told[len(told)-1] != size || !slices.IsSorted(told) {
			t.Errorf("told of %v bytes, want %d to %d", told, size-holes.Bytes(), size)
		}
	})
}
