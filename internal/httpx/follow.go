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

// Follow follows the redirects of GET and HEAD, as far as [Policy] lets it; those
// of other methods are refused. A hop carries no Authorization or Cookie on: what
// stands below Follow adds credentials where they belong, and finds a request
// marked [Anonymous] once it was led to another origin. The request of the answer
// has, in its Response, the chain that led there.
//
// With kind TokenRedirect there is nothing below that adds any: a hop within the
// origin keeps its Authorization, and its body, whatever the method.
type Follow struct {
	Next  http.RoundTripper
	Kind  Kind         // Redirect or TokenRedirect
	Reach func() Reach // how near the registry is; nil is far away
}

// RoundTrip implements [http.RoundTripper].
func (f Follow) RoundTrip(req *http.Request) (*http.Response, error) {
	stay, nobodys := marked(req.Context(), stayKey{}), Anonymous(req.Context())
	led := false // to another origin
	for hops := 0; ; hops++ {
		resp, err := f.Next.RoundTrip(req)
		if err != nil {
			return nil, f.explain(req, err)
		}
		resp.Request = req
		if stay || !isRedirect(resp) {
			return resp, nil
		}
		Drain(resp.Body)
		if hops == maxHops {
			return nil, fmt.Errorf("more than %d redirects: %s: %w", maxHops, strings.Join(Chain(req), " → "), content.ErrUnavailable)
		}
		to, err := f.decide(req, resp)
		if err != nil {
			return nil, fmt.Errorf("redirect from %s: %w", Redact(req.URL), err)
		}
		if req, err = f.hop(req, resp, to); err != nil {
			return nil, err
		}
		if led = led || !to.Trusted; led {
			req = req.WithContext(nobodys)
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

// decide returns where a redirect leads.
func (f Follow) decide(req *http.Request, resp *http.Response) (Named, error) {
	policy := Policy{Kind: f.Kind, From: req.URL}
	if f.Reach != nil {
		policy.Reach = f.Reach()
	}
	to, err := policy.Decide(resp.Header.Get("Location"))
	if err == nil && !f.repeats(req, resp, to) {
		err = &RefusedError{Target: Redact(to.URL), Reason: fmt.Sprintf("a %s is not led on by a %d", req.Method, resp.StatusCode)}
	}
	return to, err
}

// hop returns the request that a redirect stands for.
func (f Follow) hop(req *http.Request, resp *http.Response, to Named) (*http.Request, error) {
	hop, err := Rewind(req)
	if err != nil {
		return nil, err
	}
	hop.URL, hop.Host, hop.Response = to.URL, "", resp
	hop.Header.Del("Cookie")
	if f.Kind != TokenRedirect || !to.Trusted {
		hop.Header.Del("Authorization")
	}
	return hop, nil
}

// repeats reports whether a request may be sent again where a redirect leads. A
// body goes to no other origin: a refresh token may be in it.
func (f Follow) repeats(req *http.Request, resp *http.Response, to Named) bool {
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		return true
	}
	keeps := resp.StatusCode == http.StatusTemporaryRedirect || resp.StatusCode == http.StatusPermanentRedirect
	return f.Kind == TokenRedirect && keeps && to.Trusted && CanRewind(req)
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
