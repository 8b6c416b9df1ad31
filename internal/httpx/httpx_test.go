package httpx_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/internal/httpx"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func get(t *testing.T, target string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
}

// A try is what one request comes to: an answer, or an error.
// A script answers with one try after the other, the last one for ever.
func (brokenReader) Read([]byte) (int, error) { return 0, syscall.ECONNRESET }

// A redirector leads from one URL to another and keeps the headers it saw.
// A slowServer answers after a while, with a body that comes in pieces.
// A slowTaker takes a byte of an upload now and then.
func TestBodiesShareOneRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		rt := httpx.Rate{Down: httpx.NewLimiter(1 << 20), Up: httpx.NewLimiter(1 << 20), Next: roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.Body != nil {
				if _, err := io.Copy(io.Discard, req.Body); err != nil {
					return nil, err
				}
			}
			return answer(200, strings.Repeat("x", 10<<20)), nil
		})}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "https://a.example/", strings.NewReader(strings.Repeat("x", 10<<20)))
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Body.Close() != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d < 19*time.Second || d > 21*time.Second {
			t.Errorf("10 MiB up and 10 MiB down at 1 MiB/s took %s", d)
		}
	})
}
