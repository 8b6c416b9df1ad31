package httpx_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

func TestSilenceIsBrokenOffWhileTheNetworkIsWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		before  time.Duration // until the answer
		writes  []time.Duration
		between time.Duration // how slow the reader is
		want    error
	}{
		{"an answer in time", time.Second, []time.Duration{0, 0}, 0, nil},
		{"no answer", time.Hour, nil, 0, httpx.ErrStalled},
		{"a body that pauses", time.Second, []time.Duration{20 * time.Second, 20 * time.Second}, 0, nil},
		{"a body that stops", time.Second, []time.Duration{0, time.Hour}, 0, httpx.ErrStalled},
		{"a reader that is slow", time.Second, []time.Duration{0, 0, 0}, 10 * time.Minute, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := httpx.Stall{Limit: 30 * time.Second, Next: &slowServer{before: tt.before, writes: tt.writes}}
				resp, err := rt.RoundTrip(get(t, "https://a.example/"))
				if err == nil {
					_, err = io.Copy(io.Discard, slowReader{resp.Body, func() error { return httpx.Wait(t.Context(), tt.between) }})
					_ = resp.Body.Close()
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if tt.want != nil && !errors.Is(err, content.ErrUnavailable) {
					t.Errorf("%v has no class", err)
				}
			})
		})
	}
}

type slowServer struct {
	before time.Duration
	writes []time.Duration // the pause before each piece
}

func (s *slowServer) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if err := httpx.Wait(ctx, s.before); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { _ = r.Close() })
	go func() {
		for _, d := range s.writes {
			if httpx.Wait(ctx, d) != nil {
				return
			}
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
		_ = w.Close()
	}()
	return &http.Response{StatusCode: http.StatusOK, Body: r}, nil
}

type slowReader struct {
	io.Reader
	pause func() error
}

func (r slowReader) Read(p []byte) (int, error) {
	if err := r.pause(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

func TestATrickleIsSilence(t *testing.T) {
	const kib = 1 << 10
	for _, tt := range []struct {
		name    string
		pieces  []trickle
		between time.Duration // how slow the other side is
		want    error
		within  time.Duration
	}{
		{"a byte every ten seconds", []trickle{{100, 1, 10 * time.Second}}, 0, httpx.ErrStalled, 70 * time.Second},
		{"just too slow", []trickle{{200, kib - 10, time.Second}}, 0, httpx.ErrStalled, 70 * time.Second},
		{"just fast enough", []trickle{{200, kib + 10, time.Second}}, 0, nil, 200 * time.Second},
		{"a trickle after much at once", []trickle{{1, 60 * kib, time.Second}, {100, 1, 5 * time.Second}}, 0, httpx.ErrStalled, 80 * time.Second},
		{"a trickle for less than a minute at a time", []trickle{{10, 100, 5 * time.Second}, {1, 80 * kib, time.Second}, {10, 100, 5 * time.Second}}, 0, nil, 101 * time.Second},
		{"a slow other side", []trickle{{100, 10, time.Millisecond}}, time.Minute, nil, 2 * time.Hour},
	} {
		for _, way := range []string{"down", "up"} {
			t.Run(tt.name+" "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					err := trickled(t.Context(), way, tt.pieces, tt.between)
					if !errors.Is(err, tt.want) || time.Since(began) > tt.within {
						t.Errorf("%v after %s, want %v within %s", err, time.Since(began), tt.want, tt.within)
					}
				})
			})
		}
	}
}

// A trickle is so many times so many bytes, each after some time.
type trickle struct {
	times, bytes int
	after        time.Duration
}

// trickled moves pieces over a network that takes its time, while the other side
// takes some too.
func trickled(ctx context.Context, way string, pieces []trickle, between time.Duration) error {
	var line []trickle
	for _, p := range pieces {
		line = append(line, slices.Repeat([]trickle{{1, p.bytes, p.after}}, p.times)...)
	}
	if way == "up" {
		return trickledUp(ctx, line, between)
	}
	return trickledDown(ctx, line, between)
}

func trickledUp(ctx context.Context, line []trickle, between time.Duration) error {
	body := slowReader{zeros{}, func() error { return httpx.Wait(ctx, between) }}
	stall := httpx.Stall{Limit: 30 * time.Second, Next: roundTrip(func(req *http.Request) (*http.Response, error) {
		for _, p := range line {
			if _, err := io.ReadFull(req.Body, make([]byte, p.bytes)); err != nil {
				return nil, err
			}
			if err := httpx.Wait(req.Context(), p.after); err != nil {
				return nil, err
			}
		}
		return answer(http.StatusAccepted, ""), nil
	})}
	resp, err := stall.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodPatch, "https://a.example/", body))
	if err == nil {
		_ = resp.Body.Close()
	}
	return err
}

func trickledDown(ctx context.Context, line []trickle, between time.Duration) error {
	r, w := io.Pipe()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { _ = r.Close() }() // it never fails
	wg.Go(func() {
		for _, p := range line {
			if httpx.Wait(ctx, p.after) != nil {
				return
			}
			if _, err := w.Write(make([]byte, p.bytes)); err != nil {
				return
			}
		}
		_ = w.Close()
	})
	stall := httpx.Stall{Limit: 30 * time.Second, Next: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: r}, nil
	})}
	resp, err := stall.RoundTrip(httptest.NewRequestWithContext(ctx, http.MethodGet, "https://a.example/", nil))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, slowReader{resp.Body, func() error { return httpx.Wait(ctx, between) }})
	return err
}

// zeros is a source without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestASlowSourceOfAnUploadIsNotAStall(t *testing.T) {
	for _, tt := range []struct {
		name   string
		source time.Duration // between its bytes
		server time.Duration // until it takes more
		want   error
	}{
		{"a slow source", 10 * time.Minute, 0, nil},
		{"a server that takes nothing", 0, time.Hour, httpx.ErrStalled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := httpx.Stall{Limit: 30 * time.Second, Next: slowTaker(tt.server)}
				body := slowReader{strings.NewReader("abc"), func() error { return httpx.Wait(t.Context(), tt.source) }}
				resp, err := rt.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodPut, "https://a.example/", body))
				if err == nil {
					_ = resp.Body.Close()
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
			})
		})
	}
}

type slowTaker time.Duration

func (s slowTaker) RoundTrip(req *http.Request) (*http.Response, error) {
	for {
		if err := httpx.Wait(req.Context(), time.Duration(s)); err != nil {
			return nil, err
		}
		_, err := req.Body.Read(make([]byte, 1))
		if errors.Is(err, io.EOF) {
			return answer(http.StatusCreated, ""), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func TestAnAnswerToABodyHasTheTimeThatStoringItTakes(t *testing.T) {
	const limit = 30 * time.Second
	for _, tt := range []struct {
		name   string
		method string
		size   int64
		want   time.Duration // until it is given up
	}{
		{"a small blob", http.MethodPut, 5 << 20, limit + time.Second},
		{"a blob of a GiB", http.MethodPut, 1 << 30, limit + 204800*time.Millisecond},
		{"the end of a session", http.MethodPut, 0, 10 * limit},
		{"the begin of a session", http.MethodPost, 0, limit},
		{"a question", http.MethodGet, 0, limit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				req := httptest.NewRequestWithContext(t.Context(), tt.method, "https://a.example/", http.NoBody)
				req.ContentLength = tt.size
				began := time.Now()
				_, err := httpx.Stall{Limit: limit, Next: &slowServer{before: time.Hour}}.RoundTrip(req) //nolint:bodyclose // there is none
				if got := time.Since(began); !errors.Is(err, httpx.ErrStalled) || got != tt.want {
					t.Errorf("%v after %s, want %s", err, got, tt.want)
				}
			})
		})
	}
}
