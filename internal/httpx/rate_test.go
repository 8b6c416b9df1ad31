package httpx_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/wherry-dev/wherry/internal/httpx"
)

// A load is what arrived when, of all bodies together.
type load struct {
	mu   sync.Mutex
	at   []time.Duration // ascending
	size []int
}

func (l *load) add(at time.Duration, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.size = append(l.at, at), append(l.size, n)
}

// windows returns the least and the most that arrived in any window of that
// length, from the first byte to the end.
func (l *load) windows(length, end time.Duration) (least, most int) {
	sum, from := 0, 0
	least = 1 << 62
	for to, at := range l.at {
		sum += l.size[to]
		for l.at[from] <= at-length {
			sum -= l.size[from]
			from++
		}
		most = max(most, sum)
		if at >= length && at <= end-time.Second {
			least = min(least, sum)
		}
	}
	return least, most
}

// endless is a body that gives whatever is asked for, in pieces of at most that
// size, and takes some time for each.
type endless struct {
	piece int
	takes time.Duration
}

func (b endless) Read(p []byte) (int, error) {
	<-time.After(b.takes)
	return min(len(p), b.piece), nil
}

func (endless) Close() error { return nil }

// short is a body of some bytes that come together with its end, as those of
// net/http do.
type short struct{ n int }

func (b *short) Read(p []byte) (int, error) {
	n := min(len(p), b.n)
	b.n -= n
	if b.n == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (*short) Close() error { return nil }

const cap20 = 20_000_000 // bytes a second

// A way is a direction in which bodies go.
type way func(ctx context.Context, l *rate.Limiter, body io.ReadCloser, read func(io.Reader))

// down reads body as that of an answer.
func down(ctx context.Context, l *rate.Limiter, body io.ReadCloser, read func(io.Reader)) {
	rt := httpx.Rate{Down: l, Next: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{Body: body}, nil
	})}
	resp, err := rt.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, "https://r.example/", nil))
	if err != nil {
		return
	}
	defer resp.Body.Close()
	read(resp.Body)
}

// up sends body as that of a request.
func up(ctx context.Context, l *rate.Limiter, body io.ReadCloser, read func(io.Reader)) {
	rt := httpx.Rate{Up: l, Next: roundTrip(func(req *http.Request) (*http.Response, error) {
		read(req.Body)
		return &http.Response{Body: http.NoBody}, nil
	})}
	resp, err := rt.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodPatch, "https://r.example/", body))
	if err == nil {
		_ = resp.Body.Close()
	}
}

// A reader opens one body after the other and reads each with a buffer.
type reader struct {
	open   func() io.ReadCloser
	buffer int
}

// run moves bodies until ctx ends and notes what arrives.
func (r reader) run(ctx context.Context, l *rate.Limiter, by way, got *load, began time.Time) {
	buf := make([]byte, r.buffer)
	for ctx.Err() == nil {
		by(ctx, l, r.open(), func(body io.Reader) {
			for ctx.Err() == nil {
				n, err := body.Read(buf)
				if ctx.Err() == nil {
					got.add(time.Since(began), n)
				}
				if err != nil {
					return
				}
			}
		})
	}
}

func of(piece int, takes time.Duration) func() io.ReadCloser {
	return func() io.ReadCloser { return endless{piece, takes} }
}

func TestAllBodiesTogetherKeepToTheRate(t *testing.T) {
	const lasts = 35 * time.Second
	for _, tt := range []struct {
		name    string
		readers int
		reader  func(i int) reader
	}{
		{"one", 1, func(int) reader { return reader{of(1<<20, 0), 32 << 10} }},
		{"one with large reads", 1, func(int) reader { return reader{of(4<<20, 0), 4 << 20} }},
		{"sixteen", 16, func(int) reader { return reader{of(64<<10, 0), 64 << 10} }},
		{"sixteen, large and small, fast and slow", 16, func(i int) reader {
			return reader{of(1<<(10+i%12), time.Duration(i)*time.Millisecond), 1 << (11 + i%11)}
		}},
		{"sixteen with many short bodies", 16, func(i int) reader {
			return reader{func() io.ReadCloser { return &short{(1 + i) * 5000} }, 128 << 10}
		}},
	} {
		for direction, by := range map[string]way{"down": down, "up": up} {
			t.Run(tt.name+" "+direction, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					limit, began := httpx.NewLimiter(cap20), time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), lasts)
					defer cancel()
					var got load
					var wg sync.WaitGroup
					for i := range tt.readers {
						wg.Go(func() { tt.reader(i).run(ctx, limit, by, &got, began) })
					}
					wg.Wait()
					least, most := got.windows(10*time.Second, lasts)
					if low, high := 10*cap20*95/100, 10*cap20*105/100; least < low || most > high {
						t.Errorf("%d to %d bytes in ten seconds, want %d to %d", least, most, low, high)
					}
					if _, most := got.windows(100*time.Millisecond, lasts); most > cap20/5 {
						t.Errorf("%d bytes in a tenth of a second", most)
					}
				})
			})
		}
	}
}

// What waits for its turn when its request ends takes nothing from the others.
func TestWhoStopsWaitingForTheRateGivesItBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := httpx.NewLimiter(1 << 20) // a burst of 51 KiB
		buf := make([]byte, 1<<20)
		once := func(ctx context.Context) (err error) {
			down(ctx, limit, endless{1 << 20, 0}, func(body io.Reader) { _, err = body.Read(buf) })
			return err
		}
		if err := errors.Join(once(t.Context()), once(t.Context())); err != nil { // the burst, and what has to be waited for
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := once(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Millisecond {
			t.Errorf("error %v after %s, want that of the context after 1ms", err, time.Since(began))
		}
		if err := once(t.Context()); err != nil || time.Since(began) > 51*time.Millisecond {
			t.Errorf("error %v after %s, want to go on after 50ms", err, time.Since(began))
		}
	})
}

func TestNoRateIsNoLimit(t *testing.T) {
	if slices.ContainsFunc([]int64{0, -1}, func(n int64) bool { return httpx.NewLimiter(n) != nil }) {
		t.Error("a limiter without a limit")
	}
}
