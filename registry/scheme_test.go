package registry_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

func TestASecureRegistryCannotNameAPlainTokenServer(t *testing.T) {
	plain := testregistry.Start(t, testregistry.Config{Auth: bearer})
	auth := bearer
	auth.Realm = plain.URL() + "/token"
	server := testregistry.Start(t, testregistry.Config{TLS: true, Auth: auth})
	_, err := repository(t, trusting(t, server), server, "app").Manifest(t.Context(), "v1")
	if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("error %v, want a refusal", err)
	}
	if n := len(plain.Requests()); n != 0 {
		t.Errorf("%d requests to the plain server", n)
	}
}

func trusting(tb testing.TB, server *testregistry.Registry) *registry.Client {
	tb.Helper()
	c := client(tb)
	if !strings.HasPrefix(server.URL(), "https:") {
		return c
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(server.CertificatePEM()) {
		tb.Fatal("no certificate")
	}
	c.Hosts = func(string) (*registry.Host, error) { return &registry.Host{Roots: trust(roots)}, nil }
	return c
}

func TestALoopbackHostIsAskedWhatItSpeaksOnce(t *testing.T) {
	m := manifest(t, "one", "")
	for _, tt := range []struct {
		name   string
		config testregistry.Config
	}{
		{"http", testregistry.Config{Auth: bearer}},
		{"https", testregistry.Config{TLS: true, Auth: bearer}},
		{"http, where the first answer is 503", testregistry.Config{Faults: []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 503, Times: 1}}}},
		{"http, where the first answer is 400", testregistry.Config{Faults: []fault{{Method: "HEAD", Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 400}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, tt.config)
			put(server, m, "v1")
			repo := repository(t, trusting(t, server), server, "app")
			var g errgroup.Group
			for range 8 {
				g.Go(func() error {
					_, err := repo.Resolve(t.Context(), "v1")
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACertificateNobodyTrustsIsRefusedAtOnce(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{TLS: true})
	c := client(t)
	_, err := repository(t, c, server, "app").Manifest(t.Context(), "v1")
	if !errors.Is(err, content.ErrUnavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
	c = client(t)
	c.Hosts = func(host string) (*registry.Host, error) {
		return &registry.Host{SkipVerify: host == server.Host()}, nil
	}
	if _, err := repository(t, c, server, "app").Manifest(t.Context(), "v1"); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("not verified, as the user wants: error %v", err)
	}
	if n := len(server.Requests()); n != 1 {
		t.Errorf("%d requests, want the one without verification", n)
	}
}

// What a host wants of who speaks TLS with it is told, and not what it says to
// plain http.
func TestAHostThatWantsACertificateIsNotAskedInHTTPThen(t *testing.T) {
	for name, version := range map[string]uint16{"in the handshake": tls.VersionTLS12, "after it": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{MinVersion: version, MaxVersion: version, ClientAuth: tls.RequireAnyClientCert}
			server.StartTLS()
			t.Cleanup(server.Close)
			roots := x509.NewCertPool()
			roots.AddCert(server.Certificate())
			c := client(t)
			own := &registry.Host{Roots: trust(roots)}
			c.Hosts = func(string) (*registry.Host, error) { return own, nil }
			repo, err := c.Repository(server.Listener.Addr().String(), "app")
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				_, err := repo.Manifest(t.Context(), "v1")
				if !errors.Is(err, content.ErrUnavailable) || !strings.Contains(err.Error(), "https://") || !strings.Contains(err.Error(), "remote error: tls") {
					t.Errorf("error %v, want that of TLS", err)
				}
			}
		})
	}
}

func TestSchemesInTheOrderInWhichTheyAreTried(t *testing.T) {
	tests := []struct {
		host     string
		settings registry.Host
		want     string
	}{
		{"r.example", registry.Host{}, "https"},
		{"r.example", registry.Host{PlainHTTP: true, AllowHTTP: true}, "http"},
		{"r.example:5000", registry.Host{AllowHTTP: true, SkipVerify: true}, "https http"},
		{"localhost:5000", registry.Host{}, "http https"},
		{"[::1]:5000", registry.Host{AllowHTTP: true}, "http https"},
		{"127.0.0.1:5000", registry.Host{SkipVerify: true}, "https"},
	}
	for _, tt := range tests {
		if got := strings.Join(tt.settings.Schemes(tt.host), " "); got != tt.want {
			t.Errorf("%s with %+v: %s, want %s", tt.host, tt.settings, got, tt.want)
		}
	}
}
