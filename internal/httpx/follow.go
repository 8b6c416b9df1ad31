package httpx

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/wherry-dev/wherry/content"
)

// maxHops is what browsers and net/http allow.
const maxHops = 10

// Follow follows the redirects of GET and HEAD. A hop never weakens the scheme
// and never carries a request's Authorization or Cookie on: what stands below
// Follow adds credentials where they belong. The request of the answer has, in
// its Response, the chain that led there.
type Follow struct {
	Next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (f Follow) RoundTrip(req *http.Request) (*http.Response, error) {
	follow := (req.Method == http.MethodGet || req.Method == http.MethodHead) && !marked(req.Context(), stayKey{})
	for hops := 0; ; hops++ {
		resp, err := f.Next.RoundTrip(req)
		if err != nil {
			return nil, f.explain(req, err)
		}
		resp.Request = req
		if !follow || !isRedirect(resp) {
			return resp, nil
		}
		Drain(resp.Body)
		if hops == maxHops {
			return nil, fmt.Errorf("more than %d redirects: %s: %w", maxHops, strings.Join(Chain(req), " → "), content.ErrUnavailable)
		}
		if req, err = next(req, resp); err != nil {
			return nil, err
		}
	}
}

// explain adds the way that led to a request that failed.
func (f Follow) explain(req *http.Request, err error) error {
	if req.Response == nil {
		return err
	}
	return fmt.Errorf("redirected %s: %w", strings.Join(Chain(req), " → "), err)
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return resp.Header.Get("Location") != ""
	}
	return false
}

func next(req *http.Request, resp *http.Response) (*http.Request, error) {
	to, err := Target(req.URL, resp.Header.Get("Location"))
	if err != nil {
		return nil, fmt.Errorf("redirect from %s: %w", Redact(req.URL), err)
	}
	hop := req.Clone(req.Context())
	hop.URL, hop.Host, hop.Response = to, "", resp
	hop.Header.Del("Authorization")
	hop.Header.Del("Cookie")
	return hop, nil
}

// Target resolves a URL that a server named against the one it was asked with
// (RFC 3986). Nothing but http and https is followed, never from https to http,
// never with user information. The query stays byte for byte.
func Target(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	switch {
	case err != nil:
		return nil, &RefusedError{Reason: "the host named a URL that cannot be read"}
	case to.Scheme != "https" && to.Scheme != "http", to.Host == "", to.Opaque != "":
		return nil, &RefusedError{Target: Redact(to), Reason: "not an http or https URL"}
	case to.User != nil:
		return nil, &RefusedError{Target: Redact(to), Reason: "the URL holds user information"}
	case from.Scheme == "https" && to.Scheme == "http":
		return nil, &RefusedError{Target: Redact(to), Reason: "it leads from https to http"}
	}
	return to, nil
}

// SameOrigin reports whether two URLs have scheme, host and port in common.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// address returns a URL's host with its port, whatever was written.
func address(u *url.URL) string { return net.JoinHostPort(u.Hostname(), port(u)) }

// Chain returns the redacted URLs that led to req, req's own last.
func Chain(req *http.Request) []string {
	chain := []string{Redact(req.URL)}
	for resp := req.Response; resp != nil && resp.Request != nil; resp = resp.Request.Response {
		chain = append([]string{Redact(resp.Request.URL)}, chain...)
	}
	return chain
}
