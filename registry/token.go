package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// A grant is a token for certain scopes, under one credential.
type grant struct {
	turn    chan struct{} // held by the one request that exchanges
	header  string
	renew   time.Time // when it is time for the next one
	refusal error     // why there is none
	until   time.Time // how long that is believed
}

// grant returns the Authorization for scopes, from the cache or from the token
// server. One exchange is in flight for each set of scopes; who waited for one
// that failed tries by itself, except where the credential was refused.
func (a *authorizer) grant(ctx context.Context, c challenge, held *held, scopes []string) (string, error) {
	cred := held.AuthConfig
	g := a.grantFor(cred, scopes)
	if header, ok := a.valid(g, cred, scopes); ok {
		return header, nil
	}
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if header, ok := a.valid(g, cred, scopes); ok {
		return header, nil
	}
	if g.refusal != nil && time.Now().Before(g.until) {
		return "", g.refusal
	}
	token, err := a.exchange(ctx, c, cred, scopes)
	if errors.Is(err, content.ErrUnauthorized) || errors.Is(err, content.ErrDenied) {
		g.refusal, g.until = err, time.Now().Add(time.Minute)
	}
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	held.good = true
	g.header = "Bearer " + token.value
	g.renew = time.Now().Add(token.life - min(10*time.Second, token.life/5))
	return g.header, nil
}

// grantFor finds the grant by all that decides what a token can do.
func (a *authorizer) grantFor(cred authn.AuthConfig, scopes []string) *grant {
	key := grantKey(cred, scopes)
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.grants[key]
	if g == nil {
		g = &grant{turn: make(chan struct{}, 1)}
		a.grants[key] = g
	}
	return g
}

func grantKey(cred authn.AuthConfig, scopes []string) string {
	who := sha256.Sum256(fmt.Appendf(nil, "%q", []string{cred.Username, cred.Password, cred.Auth, cred.IdentityToken}))
	return string(who[:]) + strings.Join(slices.Sorted(slices.Values(scopes)), " ")
}

// valid returns a token that is still good: the one asked for, or to read one
// that may write too.
func (a *authorizer) valid(g *grant, cred authn.AuthConfig, scopes []string) (string, bool) {
	wider := slices.Clone(scopes)
	for i, s := range wider {
		if repo, reads := strings.CutSuffix(s, ":pull"); reads {
			wider[i] = repo + ":pull,push"
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range []*grant{g, a.grants[grantKey(cred, wider)]} {
		if g != nil && g.header != "" && time.Now().Before(g.renew) {
			return g.header, true
		}
	}
	return "", false
}

type token struct {
	value string
	life  time.Duration
}

// maxTokenBody bounds what a token server may answer.
const maxTokenBody = 64 << 10

// exchange asks the token server that the challenge names.
// https://distribution.github.io/distribution/spec/auth/token/
func (a *authorizer) exchange(ctx context.Context, c challenge, cred authn.AuthConfig, scopes []string) (token, error) {
	realm, err := a.realm(c.params["realm"], cred)
	if err != nil {
		return token{}, err
	}
	server, err := name.NewRegistry(realm.Host, name.WeakValidation)
	if err != nil {
		return token{}, &httpx.RefusedError{Target: httpx.Redact(realm), Reason: "not a host for a token server"}
	}
	auth, trip := authn.Anonymous, a.tokenTrip()
	if cred != (authn.AuthConfig{}) {
		auth = authn.FromConfig(cred)
	}
	if cred.IdentityToken != "" && a.host.answers(GetTokens) {
		trip = a.identityTrip(cred, trip)
	}
	// realm has passed our policy: that of ggcr sees it as the registry's own.
	asked := transport.Challenge{Scheme: "bearer", Parameters: a.params(c, realm, cred), Insecure: realm.Scheme == "http"}
	t, err := transport.Exchange(ctx, server, auth, trip, scopes, &asked)
	if err != nil {
		return token{}, a.host.tokenError(ctx, realm, err)
	}
	a.host.secrets.addCredential(cred)
	a.host.secrets.add(t.Token, t.AccessToken, t.RefreshToken)
	if a.identity != nil {
		a.mu.Lock()
		*a.identity = t.RefreshToken
		a.mu.Unlock()
	}
	got := token{value: t.Token, life: time.Duration(t.ExpiresIn) * time.Second}
	if t.AccessToken != "" && a.host.answers(AccessTokens) {
		got.value = t.AccessToken
	}
	if !isHeaderValue(got.value) {
		return token{}, a.host.tokenError(ctx, realm, errNoToken)
	}
	if got.life <= 0 {
		got.life = time.Minute // what the token specification says of servers that say nothing
	}
	return got, nil
}

// errNoToken is what no header can carry.
var errNoToken = errors.New("not a token")

// isHeaderValue reports whether a header can carry s.
func isHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// params returns what the token server is asked with. For a name and password it
// may give an identity token too, which can be kept instead.
// https://distribution.github.io/distribution/spec/auth/token/#requesting-a-token
func (a *authorizer) params(c challenge, realm *url.URL, cred authn.AuthConfig) map[string]string {
	if a.identity == nil || cred.Password == "" || cred.IdentityToken != "" {
		return c.params
	}
	query := realm.Query()
	query.Set("offline_token", "true")
	query.Set("client_id", "wherry")
	offline := *realm
	offline.RawQuery = query.Encode()
	params := maps.Clone(c.params)
	params["realm"] = offline.String()
	return params
}

// tokenError says what a token server answered, without the answer but for its
// codes: it may hold the secrets it was asked with or for.
func (h *host) tokenError(ctx context.Context, realm *url.URL, err error) error {
	e := &Error{Method: http.MethodGet, URL: h.secrets.mask(httpx.Redact(realm)), token: true}
	var (
		answer *transport.Error
		trip   *url.Error
	)
	switch {
	case context.Cause(ctx) != nil:
		e.Err = context.Cause(ctx)
	case errors.As(err, &answer):
		e.Status = answer.StatusCode
		var codes []string
		for _, d := range answer.Errors {
			if isCode(string(d.Code)) {
				codes = append(codes, string(d.Code))
			}
		}
		e.Codes = h.codes(codes)
	case errors.As(err, &trip):
		e.Err = h.secrets.maskError(trip.Err)
	default:
		e.Err = fmt.Errorf("the token server gave no token: %w", content.ErrUnavailable)
	}
	return e
}
