package httpx_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		rt := httpx.Stall{Limit: 30 * time.Second, Next: roundTrip(func(*http.Request) (*http.Response, error) {
			one := slowReader{strings.NewReader(strings.Repeat("x", 1000)), func() error { return httpx.Wait(t.Context(), 10*time.Second) }}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(oneByte{one})}, nil
		})}
		resp, err := rt.RoundTrip(get(t, "https://a.example/"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if !errors.Is(err, httpx.ErrStalled) || time.Since(began) > 2*time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(1, len(p))]) }

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
