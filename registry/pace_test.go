package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// pacedOver is stackOver for a host whose settings allow p.
func pacedOver(p pace, next http.RoundTripper) *httpx.Replay {
	g := &gates{backoff: time.Second}
	g.of(&url.URL{Scheme: "https", Host: "a.example"}, func() pace { return p })
	return &httpx.Replay{Next: &gated{next: next, gates: g, maxWait: time.Minute}, Tries: 5, Backoff: time.Second, MaxWait: time.Minute}
}

// A logbook notes when requests began, by their path.
type logbook struct {
	begun time.Time
	takes time.Duration // each request
	mu    sync.Mutex
	lines []string
}

func (l *logbook) RoundTrip(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	l.lines = append(l.lines, fmt.Sprintf("%s %s", strings.TrimPrefix(req.URL.Path, "/v2/"), time.Since(l.begun)))
	l.mu.Unlock()
	return answer(200), httpx.Wait(req.Context(), l.takes)
}

func paths(ctx context.Context, path string) *http.Request {
	req := request(ctx, "a.example")
	req.URL.Path += path
	return req
}

func TestASmallRequestDoesNotQueueBehindBlobs(t *testing.T) {
	whole := func(ctx context.Context) context.Context { return httpx.Whole(httpx.Lane(ctx), 100) }
	for _, tt := range []struct {
		name string
		pace pace
		want string
	}{
		{"where a place is kept for it", pace{}, "small 0s"},
		{"where the host bears one request", pace{atOnce: 1}, "small 1s"},
		{"where the host bears two", pace{atOnce: 2}, "small 0s"},
		{"where requests have a pace", pace{every: 3 * time.Second}, "small 3s"},
	} {
		for kind, mark := range map[string]func(context.Context) context.Context{
			"a manifest": func(ctx context.Context) context.Context { return ctx }, "a token for a blob": whole,
		} {
			t.Run(kind+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &logbook{begun: time.Now(), takes: time.Second}
					rt := pacedOver(tt.pace, l)
					var g errgroup.Group
					for range 40 {
						g.Go(func() error { return fetch(rt, paths(httpx.Lane(t.Context()), "blob")) })
					}
					synctest.Wait()
					g.Go(func() error { return fetch(rt, paths(mark(t.Context()), "small")) })
					if err := g.Wait(); err != nil {
						t.Error(err)
					}
					if !slices.Contains(l.lines, tt.want) {
						t.Errorf("%q is not among\n%s", tt.want, strings.Join(l.lines, "\n"))
					}
				})
			})
		}
	}
}

func TestRequestsKeepThePaceOfTheirHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logbook{begun: time.Now(), takes: 10 * time.Second}
		rt := pacedOver(paceOf(&Host{RequestsPerSecond: 4}), l)
		var g errgroup.Group
		for range 3 {
			g.Go(func() error { return fetch(rt, paths(t.Context(), "get")) })
		}
		synctest.Wait()
		g.Go(func() error {
			upload := paths(t.Context(), "put")
			upload.Method, upload.Body = http.MethodPut, pulling(func() error { return nil })
			return fetch(rt, upload)
		})
		g.Go(func() error { // at its own pace
			return fetch(rt, request(t.Context(), "b.example"))
		})
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		slices.Sort(l.lines)
		want := []string{" 0s", "get 0s", "get 250ms", "get 500ms", "put 750ms"}
		if !slices.Equal(l.lines, want) {
			t.Errorf("%q, want %q", l.lines, want)
		}
	})
}

func TestNoMoreRequestsWaitAtOnceThanTheSettingsAllow(t *testing.T) {
	for _, tt := range []struct {
		allowed int
		mark    func(context.Context) context.Context
		want    int
	}{
		{1, httpx.Lane, 1},
		{3, func(ctx context.Context) context.Context { return ctx }, 3},
		{100, func(ctx context.Context) context.Context { return ctx }, maxWaiting},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &logbook{begun: time.Now(), takes: time.Second}
			rt := pacedOver(paceOf(&Host{Concurrency: tt.allowed}), l)
			var g errgroup.Group
			for range 10 * tt.want {
				g.Go(func() error { return fetch(rt, paths(tt.mark(t.Context()), "x")) })
			}
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
			for second := range 10 {
				line := fmt.Sprintf("x %s", time.Duration(second)*time.Second)
				if n := len(slices.DeleteFunc(slices.Clone(l.lines), func(s string) bool { return s != line })); n != tt.want {
					t.Errorf("%d allowed: %d began after %d s, want %d", tt.allowed, n, second, tt.want)
				}
			}
		})
	}
}

// An asker asks to wait so many seconds with its first answers, one after the other.
type asker struct {
	mu   sync.Mutex
	asks []string
}

func (a *asker) RoundTrip(*http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.asks) == 0 {
		return answer(200), nil
	}
	seconds := a.asks[0]
	a.asks = a.asks[1:]
	return answer(503, "Retry-After", seconds), nil
}

func isOneOf(err error, classes ...error) bool {
	return slices.ContainsFunc(classes, func(class error) bool { return errors.Is(err, class) })
}

func TestWhoWaitsTellsItOnceForAll(t *testing.T) {
	for _, tt := range []struct {
		name string
		asks []string // Retry-After of the first answers, one after the other
		want []time.Duration
	}{
		{"a wait", []string{"8"}, []time.Duration{8 * time.Second}},
		{"two waits", []string{"8", "20"}, []time.Duration{8 * time.Second, 28 * time.Second}},
		{"one that is over at once", []string{"0"}, nil},
		{"one that is too long", []string{"3600"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var mu sync.Mutex
				var got []time.Duration
				g := &gates{waiting: func(host string, until time.Time) {
					mu.Lock()
					defer mu.Unlock()
					if host != DockerHub {
						t.Errorf("told of %s", host)
					}
					got = append(got, until.Sub(began))
				}}
				next := &asker{asks: tt.asks}
				rt := &httpx.Replay{Next: &gated{next: next, gates: g, maxWait: time.Minute}, Tries: 5, MaxWait: time.Minute}
				var all errgroup.Group
				for range 6 {
					all.Go(func() error { return fetch(rt, request(t.Context(), hubAddress)) })
					synctest.Wait()
				}
				if err := all.Wait(); err != nil && !isOneOf(err, content.ErrUnavailable, content.ErrRateLimited) {
					t.Error(err)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("told of waits until %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestWhoWaitsWhenItGetsTooLongWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		asks := map[string]string{"/v2/short": "10", "/v2/long": "7200"}
		rt := pacedOver(pace{}, roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.URL.Path == "/v2/long" {
				return answer(429, "Retry-After", asks[req.URL.Path]), httpx.Wait(req.Context(), 2*time.Second)
			}
			return answer(429, "Retry-After", asks[req.URL.Path]), nil
		}))
		var g errgroup.Group
		for _, path := range []string{"long", "short"} {
			g.Go(func() error {
				if err := fetch(rt, paths(t.Context(), path)); !errors.Is(err, content.ErrRateLimited) {
					t.Errorf("%s: %v", path, err)
				}
				return nil
			})
			synctest.Wait()
		}
		if err := g.Wait(); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestSpellingsOfOneAddressShareItsGate(t *testing.T) {
	var g gates
	first := g.of(&url.URL{Scheme: "https", Host: "A.example"}, func() pace { return pace{} })
	for _, u := range []url.URL{{Scheme: "https", Host: "a.example:443"}, {Scheme: "http", Host: "a.example:80"}} {
		if g.of(&u, func() pace { return pace{} }) != first {
			t.Errorf("%s has a gate of its own", &u)
		}
	}
	if g.of(&url.URL{Scheme: "https", Host: "a.example:5000"}, func() pace { return pace{} }) == first {
		t.Error("another port has the same gate")
	}
}

func TestNoMoreBlobsAreReadAtOnceThanTheSettingsAllow(t *testing.T) {
	h := &host{bodies: slots{allowed: 1}}
	leave, err := h.takeBody(t.Context(), asking{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.takeBody(ctx, asking{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a second blob: %v, want it to wait", err)
	}
	leave()
	leave() // at the blob's last byte, and when it is closed
	if _, err := h.takeBody(t.Context(), asking{}); err != nil {
		t.Error(err)
	}
}
