package httpx

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/wherry-dev/wherry/content"
)

// A ProxyError is a proxy that does not connect us to a host. It is
// [content.ErrUnauthorized] where the proxy wants a login, else
// [content.ErrUnavailable].
// https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
type ProxyError struct {
	Proxy  string // host:port
	Host   string // host:port that it was asked for
	Status int
}

func (e *ProxyError) Error() string {
	return fmt.Sprintf("the proxy %s does not connect to %s: %d %s", e.Proxy, e.Host, e.Status, strings.ToLower(http.StatusText(e.Status)))
}

// Unwrap returns the class.
func (e *ProxyError) Unwrap() error {
	if e.Status == http.StatusProxyAuthRequired {
		return content.ErrUnauthorized
	}
	return content.ErrUnavailable
}

// Permanent reports whether trying again cannot help.
func (e *ProxyError) Permanent() bool { return !IsTemporary(e.Status) }

// tunnelled is for [http.Transport.OnProxyConnectResponse]. What the proxy says
// beside its status is its own, and may repeat what it was shown.
func tunnelled(_ context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Proxy: proxy.Host, Host: req.URL.Opaque, Status: resp.StatusCode}
}
