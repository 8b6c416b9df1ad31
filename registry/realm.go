package registry

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/wherry-dev/wherry/internal/httpx"
)

// realm returns the URL of a token server, which is the registry's word only: it
// must not be weaker than the registry, nor lead a credential into the open.
func (a *authorizer) realm(text string, cred authn.AuthConfig) (*url.URL, error) {
	policy := httpx.Policy{Kind: httpx.TokenServer, From: a.host.url("", nil), Reach: a.host.reachable()}
	server, err := policy.Decide(text)
	if err == nil && !server.Trusted && cred != (authn.AuthConfig{}) {
		err = &httpx.RefusedError{Target: httpx.Redact(server.URL), Reason: "credentials would go to another host in plain http"}
	}
	if err != nil {
		return nil, a.host.secrets.maskError(fmt.Errorf("token server of %s: %w", a.host.name, err))
	}
	return server.URL, nil
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// tokenTrip is what stands below the credentials, for answers that are small. It
// leaves no redirect to those above.
func (a *authorizer) tokenTrip() http.RoundTripper {
	follow := httpx.Follow{Next: a.tokens, Kind: httpx.TokenRedirect, Reach: a.host.reachable}
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		return follow.RoundTrip(req.WithContext(httpx.Whole(req.Context(), maxTokenBody)))
	})
}

// identityTrip is next for who has an identity token. ggcr shows that with POST,
// and asks with GET where POST is 404: here also where it is refused in the other
// ways that were seen, and not as a stranger, but with the token as a password.
func (a *authorizer) identityTrip(cred authn.AuthConfig, next http.RoundTripper) http.RoundTripper {
	login := authn.AuthConfig{Username: cmp.Or(cred.Username, "<token>"), Password: cred.IdentityToken} // so docker calls who has no name
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodGet {
			a.host.secrets.addCredential(login)
			req = with(req, basicHeader(login))
		}
		resp, err := next.RoundTrip(req)
		if err == nil && req.Method == http.MethodPost && refusesPost(resp.StatusCode) {
			resp.StatusCode = http.StatusNotFound
		}
		return resp, err
	})
}

// refusesPost reports whether status may be that of a token server that takes no POST.
func refusesPost(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusMethodNotAllowed:
		return true
	}
	return false
}
