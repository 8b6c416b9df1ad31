package registry

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
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

	mu       sync.Mutex
	known    *challenge       // what the host wants; nil is nothing so far
	extra    []string         // scopes the host named that are no repository's
	creds    map[string]*held // of the keychain, by repository
	grants   map[string]*grant
	ask      chan struct{} // held by who asks the keychain
	identity *string       // where an identity token goes that is given for a name and password; nil wants none
}

// A held credential is one that the keychain gave.
type held struct {
	authn.AuthConfig
	good bool  // a token server took it
	lack error // why it is none, where the host may do without
}

func newAuthorizer(h *host) *authorizer {
	return &authorizer{host: h, creds: map[string]*held{}, grants: map[string]*grant{}, ask: make(chan struct{}, 1)}
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
	resp, err := a.roundTrip(ctx, req)
	lack := a.lackOf(ctx, resp, err)
	if lack != nil && resp != nil {
		httpx.Drain(resp.Body)
	}
	if lack != nil {
		return nil, lack
	}
	return resp, err
}

// lackOf returns why there was no credential, where a host refuses who has none;
// else nil.
func (a *authorizer) lackOf(ctx context.Context, resp *http.Response, err error) error {
	refused := errors.Is(err, content.ErrUnauthorized) || errors.Is(err, content.ErrDenied)
	if err == nil {
		refused = resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
	}
	if !refused {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if held := a.creds[repositoryOf(ctx)]; held != nil {
		return held.lack
	}
	return nil
}

func (a *authorizer) roundTrip(ctx context.Context, req *http.Request) (*http.Response, error) {
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
		return basicHeader(cred.AuthConfig), nil
	}
	scopes := scopesOf(ctx)
	if !a.host.answers(OwnScopes) {
		scopes = strings.Fields(known.params["scope"])
	}
	scopes = join(scopes, extra)
	header, err := a.grant(ctx, *known, cred, scopes)
	if !errors.Is(err, content.ErrUnauthorized) || !a.drop(cred) {
		return header, err
	}
	newer, nerr := a.credential(ctx)
	if nerr != nil || newer.AuthConfig == cred.AuthConfig {
		return "", cmp.Or(nerr, err)
	}
	return a.grant(ctx, *known, newer, scopes)
}

// drop gives up a credential that a token server took once and takes no more: the
// passwords that helpers give may end sooner than we do.
func (a *authorizer) drop(cred *held) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !cred.good {
		return false
	}
	maps.DeleteFunc(a.creds, func(_ string, c *held) bool { return c == cred })
	return true
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
	before := len(a.creds)
	maps.DeleteFunc(a.creds, func(_ string, c *held) bool { return basicHeader(c.AuthConfig) == used })
	if len(a.creds) < before {
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

// repositoryOf returns the repository that a request is about by the scopes it
// needs, the first of which is for what it reads or writes; "" is none.
func repositoryOf(ctx context.Context) string {
	for _, scope := range scopesOf(ctx) {
		kind, rest, _ := strings.Cut(scope, ":")
		repository, _, _ := strings.Cut(rest, ":")
		if kind == "repository" {
			return repository
		}
	}
	return ""
}

// credential asks the keychain, once for each repository.
func (a *authorizer) credential(ctx context.Context) (*held, error) {
	repository := repositoryOf(ctx)
	if cred := a.heldFor(repository); cred != nil {
		return cred, nil
	}
	select {
	case a.ask <- struct{}{}:
		defer func() { <-a.ask }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if cred := a.heldFor(repository); cred != nil {
		return cred, nil // who had the slot before asked
	}
	found, err := a.lookUp(ctx, repository)
	if err != nil {
		err = fmt.Errorf("credentials for %s: %w: %w", a.host.name, err, content.ErrUnauthorized)
	}
	if err != nil && !errors.Is(err, ErrOptional) {
		return nil, err
	}
	a.host.secrets.addCredential(found)
	cred := &held{AuthConfig: found, lack: err}
	a.mu.Lock()
	a.creds[repository] = cred
	a.mu.Unlock()
	return cred, nil
}

// heldFor returns the credential for a repository that the keychain gave, nil
// where it was not asked.
func (a *authorizer) heldFor(repository string) *held {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.creds[repository]
}

func (a *authorizer) lookUp(ctx context.Context, repository string) (authn.AuthConfig, error) {
	if a.host.keychain == nil {
		return authn.AuthConfig{}, nil
	}
	auth, err := authn.Resolve(ctx, a.host.keychain, resource{a.host.name, repository})
	if err != nil || auth == nil {
		return authn.AuthConfig{}, err
	}
	cred, err := authn.Authorization(ctx, auth)
	if err != nil || cred == nil {
		return authn.AuthConfig{}, err
	}
	return *cred, nil
}

// A resource is what credentials are looked up for: a repository of a host, or
// the host where repository is "". ggcr's keychains know Docker Hub by a name of
// its own.
type resource struct{ host, repository string }

func (r resource) String() string {
	return strings.TrimSuffix(r.RegistryStr()+"/"+r.repository, "/")
}

func (r resource) RegistryStr() string {
	if r.host == DockerHub {
		return hubKey
	}
	return r.host
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
