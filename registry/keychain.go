package registry

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"
)

// A Credential is what a registry is shown: a user name and password, or an
// identity token that a token server exchanges, or a bearer token. The zero
// Credential is anonymous. It is an [authn.Authenticator].
type Credential struct{ Username, Password, IdentityToken, RegistryToken string }

// Authorization implements [authn.Authenticator].
func (c Credential) Authorization() (*authn.AuthConfig, error) {
	return &authn.AuthConfig{
		Username:      c.Username,
		Password:      c.Password,
		IdentityToken: c.IdentityToken,
		RegistryToken: c.RegistryToken,
	}, nil
}

// String tells nothing of what is secret.
func (c Credential) String() string {
	if c == (Credential{}) {
		return "anonymous"
	}
	return "***"
}

// GoString is String: a credential is not dumped by accident.
func (c Credential) GoString() string { return c.String() }

// A CredentialFunc finds the credential for a host, which is called as users
// call it: docker.io, localhost:5000. It is a [Client]'s Keychain.
type CredentialFunc func(ctx context.Context, host string) (Credential, error)

// Resolve implements [authn.Keychain].
func (f CredentialFunc) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return f.ResolveContext(context.Background(), r)
}

// ResolveContext implements [authn.ContextKeychain].
func (f CredentialFunc) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	host, err := canonicalHost(r.RegistryStr())
	if err != nil {
		return nil, err
	}
	c, err := f(ctx, host)
	if err != nil {
		return nil, err
	}
	return c, nil
}
