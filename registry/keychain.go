package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// A Credential is what a host is shown to be let in. The zero Credential is
// anonymous. It prints as its user name alone, in every form fmt and log/slog
// have. It is an [authn.Authenticator].
type Credential struct {
	Username      string
	Password      string
	IdentityToken string // exchanged for tokens, instead of name and password
	RegistryToken string // shown as it is
}

// Authorization implements [authn.Authenticator].
func (c Credential) Authorization() (*authn.AuthConfig, error) {
	return &authn.AuthConfig{
		Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
	}, nil
}

// String returns nothing secret.
func (c Credential) String() string {
	if c == (Credential{}) {
		return "anonymous"
	}
	return c.Username + ":***"
}

// Format implements [fmt.Formatter]: no verb shows a secret.
func (c Credential) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(c.String())) } // there is nobody to tell

// LogValue implements [slog.LogValuer].
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON hides secrets there too: who stores a credential says which part.
func (c Credential) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// ErrOptional is in the error of a keychain that has no credential for a host
// because something went wrong, where the host may do without: it is asked
// anonymously then, and the error is told only if it refuses.
var ErrOptional = errors.New("going on without a credential")

// A CredentialFunc is an [authn.Keychain] of one function. It is given the name of
// a host as in [Client.Repository], with Docker Hub always "docker.io", and the
// repository that a request is about, as that host calls it; "" where a request is
// about none, as for the list of repositories. A mount is about the repository
// that it writes to.
type CredentialFunc func(ctx context.Context, host, repository string) (Credential, error)

var _ authn.ContextKeychain = CredentialFunc(nil)

// Resolve implements [authn.Keychain].
func (f CredentialFunc) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return f.ResolveContext(context.Background(), r)
}

// ResolveContext implements [authn.ContextKeychain].
func (f CredentialFunc) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	host := r.RegistryStr()
	repository, below := strings.CutPrefix(r.String(), host+"/")
	if !below {
		repository = ""
	}
	return f(ctx, HostName(host), repository)
}
