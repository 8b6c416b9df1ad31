package httpx_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

func TestAServerLeadsNowhereNearerThanItIs(t *testing.T) {
	address := map[httpx.Reach][]string{
		httpx.Public:   {"93.184.216.34", "2606:2800::1", "64:ff9b::5db8:d822", "2002:5db8:d822::1", "198.18.0.1"},
		httpx.Private:  {"10.0.0.1", "192.168.1.1", "172.16.5.5", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1", "240.0.0.1", "fec0::1", "64:ff9b::a00:1", "64:ff9b:1::5db8:d822", "2002:a00:1::1"},
		httpx.Loopback: {"127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1"},
		httpx.LinkLocal: {
			"169.254.169.254", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255",
			"0.1.2.3", "ff02::1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::", "2001::5601:5601", "::ffff:0.0.0.0", "::169.254.169.254",
			"168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "::ffff:169.254.169.254%eth0",
		},
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

// connect asks for the root of a.example over the connections of d.
func connect(ctx context.Context, t *testing.T, d httpx.Dial) error {
	t.Helper()
	rt := httpx.NewTransport(d)
	defer rt.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return err
}

func TestADialerOfOthersHasNoMoreTimeThanOurs(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"as set": time.Second, "as usual": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begun := time.Now()
				err := connect(ctx, t, httpx.Dial{Timeout: timeout, Connect: func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}})
				want := timeout
				if want == 0 {
					want = 15 * time.Second
				}
				if took := time.Since(begun); took != want || !errors.Is(err, content.ErrUnavailable) {
					t.Errorf("%v after %s, want unavailable after %s", err, took, want)
				}
			})
		})
	}
}

func TestWhereNobodyCanTellHowNearAnAddressIsNobodyIsLed(t *testing.T) {
	pipe := func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		return near, far.Close()
	}
	err := connect(t.Context(), t, httpx.Dial{Allow: httpx.Public.Allows, Connect: pipe})
	if _, refused := errors.AsType[*httpx.RefusedError](err); !refused {
		t.Errorf("error %v, want a refusal", err)
	}
}
