package registry

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// The gate is tested from inside, with a clock of its own: nothing else in the package waits for a host.

func answer(status int, header ...string) *http.Response {
	w := httptest.NewRecorder()
	for i := 0; i < len(header); i += 2 {
		w.Header().Set(header[i], header[i+1])
	}
	w.WriteHeader(status)
	return w.Result()
}

func stackOver(next http.RoundTripper) http.RoundTripper {
	g := &gated{next: next, gates: &gates{backoff: time.Second}, maxWait: time.Minute}
	return &httpx.Replay{Next: g, Tries: 5, Backoff: time.Second, MaxWait: g.maxWait}
}

func request(ctx context.Context, host string) *http.Request {
	return httptest.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v2/", nil)
}

func TestRetryAfterClosesTheGateForEverybody(t *testing.T) {
	for _, tt := range []struct {
		name string
		code int
		head []string
		min  time.Duration
		max  time.Duration
	}{
		{"in seconds", 429, []string{"Retry-After", "8"}, 8 * time.Second, 8 * time.Second},
		{"with 503 too", 503, []string{"Retry-After", "8"}, 8 * time.Second, 8 * time.Second},
		{"as a date, by the host's own clock", 429, []string{
			"Retry-After", "Mon, 02 Jan 2006 15:04:12 GMT", "Date", "Mon, 02 Jan 2006 15:04:05 GMT",
		}, 7 * time.Second, 7 * time.Second},
		{"without a time", 429, nil, 0, time.Second},
		{"but not on an answer that is fine", 200, []string{"Retry-After", "8"}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var asked atomic.Int64
				rt := stackOver(roundTrip(func(*http.Request) (*http.Response, error) {
					if asked.Add(1) == 1 {
						return answer(tt.code, tt.head...), nil
					}
					if d := time.Since(began); d < tt.min || d > tt.max {
						t.Errorf("asked again after %s, want %s to %s", d, tt.min, tt.max)
					}
					return answer(200), nil
				}))
				var g errgroup.Group
				g.Go(func() error { return fetch(rt, request(t.Context(), "a.example")) })
				synctest.Wait()
				for range 5 {
					g.Go(func() error { return fetch(rt, request(t.Context(), "a.example")) })
				}
				if err := g.Wait(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func fetch(rt http.RoundTripper, req *http.Request) error {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	return errors.Join(new(host).check(&http.Response{StatusCode: resp.StatusCode, Request: req, Body: http.NoBody, Header: resp.Header}, http.StatusOK), resp.Body.Close())
}

func TestAWaitThatIsTooLongIsAnErrorAtOnceForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var asked atomic.Int64
		rt := stackOver(roundTrip(func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			return answer(429, "Retry-After", "21600"), nil
		}))
		for range 3 {
			if err := fetch(rt, request(t.Context(), "a.example")); !errors.Is(err, content.ErrRateLimited) {
				t.Errorf("error %v, want rate limited", err)
			}
		}
		if d := time.Since(began); d != 0 || asked.Load() != 1 {
			t.Errorf("took %s and %d requests", d, asked.Load())
		}
	})
}

func TestOneHostsGateIsNotAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		rt := stackOver(roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.URL.Host == "a.example" && time.Since(began) < 5*time.Second {
				return answer(429, "Retry-After", "5"), nil
			}
			return answer(200), nil
		}))
		var g errgroup.Group
		g.Go(func() error { return fetch(rt, request(t.Context(), "a.example")) })
		synctest.Wait()
		if err := fetch(rt, request(t.Context(), "b.example")); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := g.Wait(); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestWaitingAtAGateEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		rt := stackOver(roundTrip(func(*http.Request) (*http.Response, error) { return answer(429, "Retry-After", "50"), nil }))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := fetch(rt, request(ctx, "a.example"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestSoManyRequestsWaitAtOnceAndFewerAfterARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside, peak, asked atomic.Int64
		rt := stackOver(roundTrip(func(*http.Request) (*http.Response, error) {
			n := asked.Add(1)
			peak.Store(max(peak.Load(), inside.Add(1)))
			defer inside.Add(-1)
			err := httpx.Wait(t.Context(), time.Second)
			if n == 1 {
				return answer(429, "Retry-After", "1"), err
			}
			return answer(200), err
		}))
		run := func(n int) {
			var g errgroup.Group
			for range n {
				g.Go(func() error { return fetch(rt, request(t.Context(), "a.example")) })
			}
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
		}
		run(1)
		for _, want := range []int64{maxWaiting / 2, maxWaiting} {
			peak.Store(0)
			run(int(want))
			if peak.Load() != want {
				t.Errorf("%d at once, want %d", peak.Load(), want)
			}
			run(100)
		}
		peak.Store(0)
		run(100)
		if peak.Load() != maxWaiting {
			t.Errorf("%d at once in the end, want %d", peak.Load(), maxWaiting)
		}
	})
}

func TestAnUploadDoesNotTakeThePlaceOfTheReadingItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := stackOver(roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPut {
				_, err := req.Body.Read(nil)
				return answer(201), err
			}
			return answer(200), nil
		}))
		var g errgroup.Group
		for range 3 * maxWaiting {
			g.Go(func() error {
				req := request(t.Context(), "a.example")
				req.Method = http.MethodPut
				req.Body = pulling(func() error { return fetch(rt, request(t.Context(), "a.example")) })
				resp, err := rt.RoundTrip(req)
				if err == nil {
					err = resp.Body.Close()
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// pulling is a body that makes a request of its own when it is read.
type pulling func() error

func (p pulling) Read([]byte) (int, error) { return 0, p() }
func (p pulling) Close() error             { return nil }

// It is the user's code that says what a host's settings are.
func TestSettingsAreAskedForWithoutALock(t *testing.T) {
	var g gates
	u := request(t.Context(), "a.example").URL
	first := g.of(u, func() pace {
		if !g.mu.TryLock() {
			t.Error("the gates are locked")
			return pace{}
		}
		g.mu.Unlock()
		return pace{}
	})
	again := g.of(u, func() pace {
		t.Error("settings are asked for again")
		return pace{}
	})
	if first != again {
		t.Error("two gates of one host")
	}
}
