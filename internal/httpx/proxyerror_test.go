package httpx_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

func TestAProxyThatDoesNotConnectIsNamed(t *testing.T) {
	for status, want := range map[int]struct {
		class     error
		permanent bool
	}{
		403: {content.ErrUnavailable, true},
		407: {content.ErrUnauthorized, true},
		502: {content.ErrUnavailable, false},
		503: {content.ErrUnavailable, false},
	} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Echo", "s3cret")
			w.WriteHeader(status)
		}))
		at, err := url.Parse(proxy.URL)
		if err != nil {
			t.Fatal(err)
		}
		at.User = url.UserPassword("ann", "s3cret")
		tr := httpx.NewTransport(httpx.Dial{Proxy: http.ProxyURL(at)})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://r.example/v2/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close() // it is an answer of nobody
		}
		if !errors.Is(err, want.class) || httpx.IsPermanent(err) != want.permanent {
			t.Errorf("%d: %v", status, err)
		}
		if said := err.Error(); !strings.Contains(said, "the proxy "+at.Host+" does not connect to r.example:443: ") || strings.Contains(said, "s3cret") {
			t.Errorf("%d: %s", status, said)
		}
		tr.CloseIdleConnections()
		proxy.Close()
	}
}
