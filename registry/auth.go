package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

type scopesKey struct{}

// withScopes says what a token for the request must allow.
func withScopes(ctx context.Context, scopes []string) context.Context {
	if len(scopes) == 0 {
		return ctx
	}
	return context.WithValue(ctx, scopesKey{}, scopes)
}

func scopesOf(ctx context.Context) []string {
	scopes, _ := ctx.Value(scopesKey{}).([]string)
	return scopes
}

// An authorizer adds credentials to the requests of one host's own origin, once
// that host has asked for them. What it asked for is remembered, so that it is
// asked only once. Requests that lead elsewhere carry none.
type authorizer struct {
	host   *host
	next   http.RoundTripper
	tokens http.RoundTripper // what token servers are asked through

	mu     sync.Mutex
	known  *challenge        // what the host wants; nil is nothing so far
	extra  []string          // scopes the host named that are no repository's
	cred   *authn.AuthConfig // of the keychain; nil is not asked yet
	grants map[string]*grant
	ask    chan struct{} // held by who asks the keychain
}

func newAuthorizer(h *host) *authorizer {
	return &authorizer{host: h, grants: map[string]*grant{}, ask: make(chan struct{}, 1)}
}

func (a *authorizer) over(next http.RoundTripper) http.RoundTripper {
	a.next = next
	return a
}

// RoundTrip implements [http.RoundTripper].
func (a *authorizer) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if httpx.IsAnonymous(req) || !a.host.owns(req.URL) {
		return a.next.RoundTrip(req)
	}
	used, err := a.header(ctx)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as every RoundTripper does
		}
		return nil, err
	}
	resp, err := a.next.RoundTrip(with(req, used))
	if err != nil || resp.StatusCode != http.StatusUnauthorized || used != "" && !a.host.answers(RenewTokens) {
		return resp, err
	}
	fresh, err := a.renew(ctx, resp, used)
	if err != nil {
		httpx.Drain(resp.Body)
		return nil, err
	}
	if fresh == "" || !httpx.CanRewind(req) {
		return resp, nil // a stream goes on with the new token by itself
	}
	httpx.Drain(resp.Body)
	again, err := httpx.Rewind(req)
	if err != nil {
		return nil, err
	}
	return a.next.RoundTrip(with(again, fresh))
}

func with(req *http.Request, authorization string) *http.Request {
	if authorization == "" {
		return req
	}
	signed := req.Clone(req.Context())
	signed.Header.Set("Authorization", authorization)
	return signed
}

// header returns the Authorization of a request, "" while nobody asked for one.
func (a *authorizer) header(ctx context.Context) (string, error) {
	a.mu.Lock()
	known, extra := a.known, a.extra
	a.mu.Unlock()
	if known == nil {
		return "", nil
	}
	cred, err := a.credential(ctx)
	if err != nil {
		return "", err
	}
	if known.scheme == "basic" || cred.RegistryToken != "" {
		return basicHeader(cred), nil
	}
	scopes := scopesOf(ctx)
	if !a.host.answers(OwnScopes) {
		scopes = strings.Fields(known.params["scope"])
	}
	return a.grant(ctx, *known, cred, join(scopes, extra))
}

// renew returns what a request that was refused should carry, "" where there is
// nothing better than what it had.
func (a *authorizer) renew(ctx context.Context, resp *http.Response, used string) (string, error) {
	c, ok := pickChallenge(resp.Header)
	if !ok && a.host.answers(PingForChallenge) {
		c, ok = a.ping(ctx)
	}
	if !ok {
		return "", nil
	}
	a.mu.Lock()
	a.known = &c
	if a.host.answers(NamedScopes) {
		a.extra = join(a.extra, foreignScopes(c.params["scope"], scopesOf(ctx)))
	}
	a.mu.Unlock()
	if used != "" {
		a.forget(used)
	}
	fresh, err := a.header(ctx)
	if err != nil || fresh == used {
		return "", err
	}
	return fresh, nil
}

// ping asks for the challenge where an answer 401 came without one.
func (a *authorizer) ping(ctx context.Context) (challenge, bool) {
	req, err := a.host.request(httpx.Whole(ctx, maxErrorBody), call{method: http.MethodGet})
	if err != nil {
		return challenge{}, false
	}
	resp, err := a.next.RoundTrip(req)
	if err != nil {
		return challenge{}, false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		return challenge{}, false
	}
	return pickChallenge(resp.Header)
}

// forget drops what was refused: the keychain's credential, which a helper may
// have renewed meanwhile, or a token, and then all of them: what ended one will
// have ended others. Who comes late with an old token drops nothing.
func (a *authorizer) forget(used string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cred != nil && basicHeader(*a.cred) == used {
		a.cred = nil
		return
	}
	for _, g := range a.grants {
		if g.header != used {
			continue
		}
		for _, g := range a.grants {
			g.header = ""
		}
		return
	}
}

// credential asks the keychain, once.
func (a *authorizer) credential(ctx context.Context) (authn.AuthConfig, error) {
	select {
	case a.ask <- struct{}{}:
		defer func() { <-a.ask }()
	case <-ctx.Done():
		return authn.AuthConfig{}, context.Cause(ctx)
	}
	a.mu.Lock()
	cred := a.cred
	a.mu.Unlock()
	if cred != nil {
		return *cred, nil
	}
	found, err := a.lookUp(ctx)
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("credentials for %s: %w: %w", a.host.name, err, content.ErrUnauthorized)
	}
	a.host.secrets.addCredential(found)
	a.mu.Lock()
	a.cred = &found
	a.mu.Unlock()
	return found, nil
}

func (a *authorizer) lookUp(ctx context.Context) (authn.AuthConfig, error) {
	if a.host.keychain == nil {
		return authn.AuthConfig{}, nil
	}
	auth, err := authn.Resolve(ctx, a.host.keychain, resource(a.host.name))
	if err != nil || auth == nil {
		return authn.AuthConfig{}, err
	}
	cred, err := authn.Authorization(ctx, auth)
	if err != nil || cred == nil {
		return authn.AuthConfig{}, err
	}
	return *cred, nil
}

// A resource is the host whose credentials are looked up. ggcr's keychains know
// Docker Hub by a name of its own.
type resource string

func (r resource) String() string { return r.RegistryStr() }

func (r resource) RegistryStr() string {
	if r == DockerHub {
		return hubKey
	}
	return string(r)
}

// basicHeader is what a credential amounts to without a token server, "" if nothing.
func basicHeader(c authn.AuthConfig) string {
	switch {
	case c.RegistryToken != "":
		return "Bearer " + c.RegistryToken
	case c.Username != "" && c.Password != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
	case c.Auth != "":
		return "Basic " + c.Auth
	}
	return ""
}

// foreignScopes picks, of the scopes a host names, those that can be asked for
// beside ours: what is no repository's (some clouds have one word for all), or
// anything where we had no idea. Another repository, or more than we are about
// to do, is not ours to ask for.
func foreignScopes(named string, ours []string) []string {
	scopes := strings.Fields(named)
	if len(ours) == 0 {
		return scopes
	}
	return slices.DeleteFunc(scopes, func(s string) bool {
		return strings.HasPrefix(s, "repository:") || strings.HasPrefix(s, "registry:")
	})
}

// join returns the scopes of both, each once.
func join(a, b []string) []string {
	joined := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(joined, s) {
			joined = append(joined, s)
		}
	}
	return joined
}
