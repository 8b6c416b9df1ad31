package httpx_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/internal/httpx"
)

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

type try struct {
	status int
	err    error
}

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
		resp.ContentLength = -1 // nobody says how long it is
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

// An answer that says that it is longer is not read: it may never come.
func TestAnswersThatSayTheyAreTooLongAreNotReadWhole(t *testing.T) {
	read := false
	rt := &httpx.Replay{Tries: 3, Backoff: 1, Next: roundTrip(func(*http.Request) (*http.Response, error) {
		resp := answer(200, "")
		resp.ContentLength = 101
		resp.Body = io.NopCloser(readFunc(func([]byte) (int, error) {
			read = true
			return 0, io.EOF
		}))
		return resp, nil
	})}
	req := get(t, "https://a.example/")
	resp, err := rt.RoundTrip(req.WithContext(httpx.Whole(req.Context(), 100)))
	if err != nil || read || resp.ContentLength != 101 {
		t.Errorf("got %+v, %v; read: %t", resp, err, read)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

type brokenReader struct{}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, value, date string
		want              time.Duration
		asked             bool
	}{
		{"nothing", "", "", 0, false},
		{"seconds", "8", "", 8 * time.Second, true},
		{"none", "0", "", 0, false},
		{"very many seconds", "99999999999", "", 365 * 24 * time.Hour, true},
		{"more than there are", "99999999999999999999999", "", 365 * 24 * time.Hour, true},
		{"less than none", "-3", "", 0, false},
		{"a date by our clock", "Mon, 23 Nov 2026 12:00:04 GMT", "", 4 * time.Second, true},
		{"a date by theirs", "Mon, 23 Nov 2026 13:00:04 GMT", "Mon, 23 Nov 2026 13:00:00 GMT", 4 * time.Second, true},
		{"a date that is over", "Mon, 23 Nov 2026 11:00:00 GMT", "", 0, false},
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
