package httpx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
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

func TestRequestsAreReplayedWhileThatMayHelp(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	gone := &net.DNSError{Err: "no such host", IsNotFound: true}
	ok := try{status: 200}
	tests := []struct {
		name   string
		tries  []try
		method string
		once   bool
		want   int // requests
	}{
		{"fine at once", []try{ok}, "GET", false, 1},
		{"503 twice", []try{{status: 503}, {status: 503}, ok}, "GET", false, 3},
		{"522 once", []try{{status: 522}, ok}, "GET", false, 2},
		{"500 for ever", []try{{status: 500}}, "GET", false, 5},
		{"501 is an answer", []try{{status: 501}, ok}, "GET", false, 1},
		{"404 is an answer", []try{{status: 404}, ok}, "GET", false, 1},
		{"reset once", []try{{err: syscall.ECONNRESET}, ok}, "GET", false, 2},
		{"refused by a host never met", []try{{err: refused}}, "GET", false, 2},
		{"refused by a host that answered before", []try{{status: 503}, {err: refused}}, "GET", false, 5},
		{"a name that does not exist", []try{{err: gone}, ok}, "GET", false, 1},
		{"an address that is forbidden", []try{{err: &httpx.RefusedError{Reason: "x"}}, ok}, "GET", false, 1},
		{"a body that cannot be read again", []try{{status: 503}, ok}, "PUT", false, 1},
		{"marked once", []try{{status: 503}, ok}, "GET", true, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := &script{tries: tt.tries}
				rt := &httpx.Replay{Tries: 5, Backoff: time.Second, MaxWait: time.Minute, Next: next}
				ctx := t.Context()
				if tt.once {
					ctx = httpx.Once(ctx)
				}
				var body io.Reader
				if tt.method == http.MethodPut {
					body = strings.NewReader("x")
				}
				resp, err := rt.RoundTrip(httptest.NewRequestWithContext(ctx, tt.method, "https://a.example/", body))
				if err == nil {
					err = resp.Body.Close()
				}
				if last := tt.tries[min(next.n, len(tt.tries))-1]; !errors.Is(err, last.err) || next.n != tt.want {
					t.Errorf("%d requests, %v; want %d, %v", next.n, err, tt.want, last.err)
				}
			})
		})
	}
}

// A try is what one request comes to: an answer, or an error.
type try struct {
	status int
	err    error
}

// A script answers with one try after the other, the last one for ever.
type script struct {
	tries []try
	n     int
}

func (s *script) RoundTrip(*http.Request) (*http.Response, error) {
	at := s.tries[min(s.n, len(s.tries)-1)]
	s.n++
	if at.err != nil {
		return nil, at.err
	}
	return answer(at.status, ""), nil
}

func TestBackoffGrowsAndIsDrawnFromTheWholeSpan(t *testing.T) {
	for n, most := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 6: 30 * time.Second, 1000: 30 * time.Second,
	} {
		low, high := time.Hour, time.Duration(0)
		for range 1000 {
			d := httpx.Backoff(time.Second, n)
			low, high = min(low, d), max(high, d)
		}
		if low > most/10 || high > most || high < most*9/10 {
			t.Errorf("after %d failures: %s to %s, want 0 to %s", n, low, high, most)
		}
	}
}

func TestWholeAnswersAreReplayedWhenTheyBreak(t *testing.T) {
	n := 0
	rt := &httpx.Replay{Tries: 3, Backoff: 1, Next: roundTrip(func(*http.Request) (*http.Response, error) {
		n++
		resp := answer(200, "all of it")
		if n < 3 {
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("al"), brokenReader{}))
		}
		return resp, nil
	})}
	for _, tt := range []struct {
		limit int64
		want  string
	}{{100, "all of it"}, {3, "all "}} {
		n = 0
		req := get(t, "https://a.example/")
		resp, err := rt.RoundTrip(req.WithContext(httpx.Whole(req.Context(), tt.limit)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if string(got) != tt.want || err != nil || resp.Body.Close() != nil {
			t.Errorf("limit %d: got %q, %v; want %q", tt.limit, got, err, tt.want)
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, syscall.ECONNRESET }

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, value, date string
		want              time.Duration
		asked             bool
	}{
		{"nothing", "", "", 0, false},
		{"seconds", "8", "", 8 * time.Second, true},
		{"none", "0", "", 0, true},
		{"very many seconds", "99999999999", "", 365 * 24 * time.Hour, true},
		{"more than there are", "99999999999999999999999", "", 0, false},
		{"less than none", "-3", "", 0, false},
		{"a date by our clock", "Mon, 23 Nov 2026 12:00:04 GMT", "", 4 * time.Second, true},
		{"a date by theirs", "Mon, 23 Nov 2026 13:00:04 GMT", "Mon, 23 Nov 2026 13:00:00 GMT", 4 * time.Second, true},
		{"a date that is over", "Mon, 23 Nov 2026 11:00:00 GMT", "", 0, true},
		{"nonsense", "soon", "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"Retry-After": {tt.value}, "Date": {tt.date}}
			if got, asked := httpx.RetryAfter(h, now); got != tt.want || asked != tt.asked {
				t.Errorf("%s, %t; want %s, %t", got, asked, tt.want, tt.asked)
			}
		})
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("8", "")
	f.Add("Mon, 23 Nov 2026 13:00:04 GMT", "Mon, 23 Nov 2026 13:00:00 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		d, asked := httpx.RetryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, time.Unix(0, 0))
		if d < 0 || d > 366*24*time.Hour || !asked && d != 0 {
			t.Errorf("%q, %q: %s, %t", value, date, d, asked)
		}
	})
}

func TestRedirectsAreFollowedByOurRules(t *testing.T) {
	for _, tt := range []struct {
		name, from, to string
		status         int
		want           string // the URL that answers; "" is an error
	}{
		{"to another host", "https://a.example/x", "https://b.example/y?sig=1", 307, "https://b.example/y?sig=1"},
		{"relative", "https://a.example/x/y", "../z?a=%2F", 302, "https://a.example/z?a=%2F"},
		{"to http from http", "http://a.example/x", "http://b.example/y", 301, "http://b.example/y"},
		{"to http from https", "https://a.example/x", "http://a.example/x", 308, ""},
		{"to a file", "https://a.example/x", "file:///etc/passwd", 302, ""},
		{"with user information", "https://a.example/x", "https://ann:pw@b.example/", 302, ""},
		{"to nowhere", "https://a.example/x", "", 302, "https://a.example/x"},
		{"to nonsense", "https://a.example/x", "https://%zz", 302, ""},
		{"to itself", "https://a.example/x", "/x", 302, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hops := &redirector{status: tt.status, from: tt.from, to: tt.to}
			rt := httpx.Follow{Next: hops}
			req := get(t, tt.from)
			req.Header = http.Header{"Authorization": {"Basic x"}, "Cookie": {"a=b"}, "Range": {"bytes=1-2"}}
			resp, err := rt.RoundTrip(req)
			got := ""
			if err == nil {
				got = resp.Request.URL.String()
				_ = resp.Body.Close()
			}
			if got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "pw") || len(hops.asked) > 11 {
				t.Errorf("%d requests, %v", len(hops.asked), err)
			}
			for _, h := range hops.asked[1:] {
				if h.Get("Authorization") != "" || h.Get("Cookie") != "" || h.Get("Range") != "bytes=1-2" {
					t.Errorf("a hop carried %v", h)
				}
			}
		})
	}
}

// A redirector leads from one URL to another and keeps the headers it saw.
type redirector struct {
	status   int
	from, to string
	asked    []http.Header
}

func (r *redirector) RoundTrip(req *http.Request) (*http.Response, error) {
	r.asked = append(r.asked, req.Header)
	if req.URL.String() != r.from {
		return answer(http.StatusOK, ""), nil
	}
	resp := answer(r.status, "")
	resp.Header.Set("Location", r.to)
	return resp, nil
}

func TestAnEndlessChainIsShownWithoutItsSecrets(t *testing.T) {
	n := 0
	rt := httpx.Follow{Next: roundTrip(func(*http.Request) (*http.Response, error) {
		n++
		resp := answer(302, "")
		resp.Header.Set("Location", "/next?token=s3cret&n="+strings.Repeat("1", n))
		return resp, nil
	})}
	resp, err := rt.RoundTrip(get(t, "https://a.example/start"))
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, content.ErrUnavailable) || n != 11 || strings.Contains(err.Error(), "s3cret") ||
		!strings.Contains(err.Error(), "https://a.example/start → https://a.example/next?token=REDACTED&n=1 → ") {
		t.Errorf("%d requests, %v", n, err)
	}
}

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

// A slowServer answers after a while, with a body that comes in pieces.
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

// A slowTaker takes a byte of an upload now and then.
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

func TestURLsAreRedacted(t *testing.T) {
	for _, tt := range []struct{ url, want string }{
		{"https://r.example/v2/a/tags/list?n=5&last=x", "https://r.example/v2/a/tags/list?n=5&last=x"},
		{"https://ann:pw@r.example/x#frag", "https://r.example/x"},
		{"https://r.example/x?X-Amz-Signature=abc&digest=sha256:1&se=2", "https://r.example/x?X-Amz-Signature=REDACTED&digest=sha256:1&se=REDACTED"},
		{"https://r.example/x?justasecret", "https://r.example/x?REDACTED"},
		{"https://r.example/x?a=b;sig=c", "https://r.example/x?a=REDACTED&sig=REDACTED"},
		{"https://r.example/x?from=a/b&mount=sha256:1&artifactType=t", "https://r.example/x?from=a/b&mount=sha256:1&artifactType=t"},
		{"https://r.example/x?" + strings.Repeat("k", 50) + "=v", "https://r.example/x?REDACTED=REDACTED"},
	} {
		if got := httpx.RedactText(tt.url); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.url, got, tt.want)
		}
	}
	if got := httpx.RedactText("https://%zz?secret"); got != "REDACTED" {
		t.Errorf("got %s", got)
	}
}

func TestLogsHaveWhatHappenedAndNoSecret(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	rt := httpx.Log{Logger: logger, Next: roundTrip(func(*http.Request) (*http.Response, error) {
		resp := answer(401, "")
		resp.Header = http.Header{"Set-Cookie": {"c00kie"}, "Www-Authenticate": {"Bearer realm=x"}, "Location": {"/u?_state=st4te"}, "Content-Length": {"7"}}
		return resp, nil
	})}
	req := get(t, "https://r.example/x?sig=s1g")
	req.Header.Set("Authorization", "Bearer t0ken")
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, part := range []string{"method=GET", "sig=REDACTED", "status=401", "Content-Length:7", "Bearer ***", "_state=REDACTED"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %s in %s", part, out.String())
		}
	}
	for _, canary := range []string{"s1g", "t0ken", "c00kie", "st4te"} {
		if strings.Contains(out.String(), canary) {
			t.Errorf("%s is in %s", canary, out.String())
		}
	}
}

func TestAServerLeadsNowhereNearerThanItIs(t *testing.T) {
	address := map[httpx.Reach][]string{
		httpx.Public:    {"93.184.216.34", "2606:2800::1"},
		httpx.Private:   {"10.0.0.1", "192.168.1.1", "172.16.5.5", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"},
		httpx.Loopback:  {"127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"},
		httpx.LinkLocal: {"169.254.169.254", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255"},
	}
	for want, all := range address {
		for _, a := range all {
			if got := httpx.ReachOf(netip.MustParseAddr(a)); got != want {
				t.Errorf("%s: reach %d, want %d", a, got, want)
			}
		}
	}
	allowed := map[[2]httpx.Reach]bool{
		{httpx.Public, httpx.Public}: true, {httpx.Private, httpx.Public}: true, {httpx.Private, httpx.Private}: true,
		{httpx.Loopback, httpx.Public}: true, {httpx.Loopback, httpx.Private}: true, {httpx.Loopback, httpx.Loopback}: true,
		{httpx.LinkLocal, httpx.Public}: true, {httpx.LinkLocal, httpx.LinkLocal}: true,
	}
	for from := range httpx.LinkLocal + 1 {
		for to := range httpx.LinkLocal + 1 {
			if got := from.Allows(to); got != allowed[[2]httpx.Reach{from, to}] {
				t.Errorf("from %d to %d: %t", from, to, got)
			}
		}
	}
}

func TestForbiddenAddressesAreRefusedAfterDNS(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	proxy := func(*http.Request) (*url.URL, error) { return url.Parse(server.URL) }
	for _, tt := range []struct {
		name, url string
		dial      httpx.Dial
		refused   bool
	}{
		{"an address, allowed", server.URL, httpx.Dial{}, false},
		{"an address", server.URL, httpx.Dial{Allow: httpx.Public.Allows}, true},
		{"a name", byName, httpx.Dial{Allow: httpx.Public.Allows}, true},
		{"an address behind a proxy", "http://169.254.169.254/", httpx.Dial{Allow: httpx.Public.Allows, Proxy: proxy}, true},
		{"a name behind a proxy that is near", "http://a.example/", httpx.Dial{Allow: httpx.Public.Allows, Proxy: proxy}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked.Store(0)
			rt := httpx.NewTransport(tt.dial)
			defer rt.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := rt.RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			var refusal *httpx.RefusedError
			if errors.As(err, &refusal) != tt.refused || (asked.Load() == 0) != tt.refused {
				t.Errorf("error %v, %d requests; want refused: %t", err, asked.Load(), tt.refused)
			}
		})
	}
}
