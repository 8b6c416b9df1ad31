package registry_test

import (
	"crypto/x509"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// client returns a client that does not wait long between tries and has the
// credentials that tests use.
func client(tb testing.TB) *registry.Client {
	tb.Helper()
	c := &registry.Client{Backoff: time.Millisecond, Keychain: keychain{"ann", "secret"}}
	tb.Cleanup(c.Close)
	return c
}

// trust is what a host's settings say of whom to trust.
func trust(roots *x509.CertPool) func() (*x509.CertPool, error) {
	return func() (*x509.CertPool, error) { return roots, nil }
}

func repository(tb testing.TB, c *registry.Client, server *testregistry.Registry, name string) *registry.Repository {
	tb.Helper()
	r, err := c.Repository(server.Host(), name)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// A keychain has one name and password for every host.
type keychain struct{ username, password string }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: k.username, Password: k.password}), nil
}

// random returns n bytes, the same for the same seed.
func random(n int, seed uint64) []byte {
	raw := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = r.Read(raw) // never fails
	return raw
}

func descriptorOf(raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}
