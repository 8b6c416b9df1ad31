package httpx_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

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
