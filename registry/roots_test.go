package registry_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// counted counts how often it is asked whom to trust.
func counted(asked *int, roots *x509.CertPool, err error) func() (*x509.CertPool, error) {
	return func() (*x509.CertPool, error) {
		*asked++
		return roots, err
	}
}

func TestWhomToTrustIsAskedForTLSAlone(t *testing.T) {
	plain, secure := withImage(t, testregistry.Config{}), withImage(t, testregistry.Config{TLS: true})
	roots := secure.ClientTLS().RootCAs
	for _, tt := range []struct {
		name   string
		server *testregistry.Registry
		host   registry.Host
		want   bool
	}{
		{"http", plain, registry.Host{PlainHTTP: true}, false},
		{"a loopback host that speaks http", plain, registry.Host{}, false},
		{"https", secure, registry.Host{}, true},
		{"https of anybody", secure, registry.Host{SkipVerify: true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked int
			tt.host.Roots = counted(&asked, roots, nil)
			c := client(t)
			set(c, tt.server.Host(), tt.host)
			if err := reads(t, c, tt.server.Host()); err != nil {
				t.Fatal(err)
			}
			if asked > 0 != tt.want {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

func TestAProxyOverTLSIsTrustedAsItsHostSays(t *testing.T) {
	front := httptest.NewTLSServer(withImage(t, testregistry.Config{}))
	defer front.Close()
	at, err := url.Parse(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(front.Certificate())
	c := client(t)
	c.Proxy = func(*http.Request) (*url.URL, error) { return at, nil }
	set(c, "r.example", registry.Host{PlainHTTP: true, Roots: trust(roots)})
	if err := reads(t, c, "r.example"); err != nil {
		t.Error(err)
	}
}

// Plain http is for hosts that do not speak https, not for when we cannot.
func TestNothingIsSentWhereNobodyCanTellWhomToTrust(t *testing.T) {
	server := withImage(t, testregistry.Config{})
	broken := errors.New("no idea")
	var asked int
	c := client(t)
	set(c, "r.example", registry.Host{AllowHTTP: true, Address: server.Host(), Roots: counted(&asked, nil, broken)})
	if err := reads(t, c, "r.example"); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if n := len(server.Requests()); n != 0 || asked != 1 {
		t.Errorf("%d requests, asked %d times whom to trust", n, asked)
	}
}
