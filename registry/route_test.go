package registry_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	stdnet "net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// set gives one host its settings.
func set(c *registry.Client, host string, settings registry.Host) {
	c.Hosts = func(name string) (*registry.Host, error) {
		if name != host {
			return nil, nil //nolint:nilnil // a host without settings
		}
		return &settings, nil
	}
}

// reads asks host for tag v1 of app.
func reads(t *testing.T, c *registry.Client, host string) error {
	t.Helper()
	repo, err := c.Repository(host, "app")
	if err != nil {
		t.Fatal(err)
	}
	_, err = repo.Manifest(t.Context(), "v1")
	return err
}

func withImage(t *testing.T, config testregistry.Config) *testregistry.Registry {
	t.Helper()
	server := testregistry.Start(t, config)
	put(server, manifest(t, "one", ""), "v1")
	return server
}

func TestHeadersOfAHostGoToItsOwnOriginOnly(t *testing.T) {
	elsewhere := withImage(t, testregistry.Config{})
	server := withImage(t, testregistry.Config{Auth: bearer, Faults: []fault{
		{Method: http.MethodGet, Kind: testregistry.KindManifest, Effect: testregistry.Redirect, Value: elsewhere.URL()},
	}})
	c := client(t)
	set(c, server.Host(), registry.Host{Header: http.Header{"X-Team": {"blue"}, "Accept": {"never"}}})
	if err := reads(t, c, server.Host()); err != nil {
		t.Fatal(err)
	}
	for _, q := range server.Requests() {
		if q.Header.Get("X-Team") != "blue" || q.Header.Get("Accept") == "never" && q.Kind == testregistry.KindManifest {
			t.Errorf("%s %s had X-Team %q, Accept %q", q.Method, q.Ref, q.Header.Get("X-Team"), q.Header.Get("Accept"))
		}
	}
	led := elsewhere.Requests()
	if len(led) == 0 || slices.ContainsFunc(led, func(q testregistry.Request) bool { return q.Header.Get("X-Team") != "" }) {
		t.Errorf("the host it led to saw %+v", led)
	}
}

func TestAnAddressIsContactedUnderTheNameOfItsHost(t *testing.T) {
	server := withImage(t, testregistry.Config{TLS: true})
	c := trusting(t, server)
	known, err := c.Hosts(server.Host())
	if err != nil {
		t.Fatal(err)
	}
	const name = "example.com" // which the certificate is for
	set(c, name, registry.Host{Roots: known.Roots, Address: server.Host()})
	if err := reads(t, c, name); err != nil {
		t.Fatal(err)
	}
	for _, q := range server.Requests() {
		if q.Host != name {
			t.Errorf("asked as %q, want %q", q.Host, name)
		}
	}
}

func TestAHostThatAsksWhoWeAreSeesTheCertificate(t *testing.T) {
	behind := withImage(t, testregistry.Config{})
	server := httptest.NewUnstartedServer(behind)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	host := server.Listener.Addr().String()

	c := client(t)
	c.Retries = 1
	set(c, host, registry.Host{SkipVerify: true})
	if err := reads(t, c, host); !errors.Is(err, content.ErrUnavailable) {
		t.Errorf("without a certificate: %v", err)
	}
	c = client(t)
	set(c, host, registry.Host{SkipVerify: true, Certificates: server.TLS.Certificates})
	if err := reads(t, c, host); err != nil {
		t.Errorf("with one: %v", err)
	}
}

func TestAHostThatMaySpeakHTTPIsAskedInHTTPSFirst(t *testing.T) {
	for _, config := range []testregistry.Config{{Auth: bearer}, {TLS: true, Auth: bearer}} {
		server := withImage(t, config)
		c := client(t)
		c.Dial = func(ctx context.Context, network, _ string) (stdnet.Conn, error) {
			return new(stdnet.Dialer).DialContext(ctx, network, server.Host())
		}
		set(c, "registry.test", registry.Host{AllowHTTP: true, SkipVerify: true})
		if err := reads(t, c, "registry.test"); err != nil {
			t.Errorf("TLS %t: %v", config.TLS, err)
		}
		c.Hosts = nil
		if err := reads(t, c, "other.test"); !errors.Is(err, content.ErrUnavailable) {
			t.Errorf("without the setting, TLS %t: %v", config.TLS, err)
		}
	}
}

func TestTheAPICanBeBelowAnotherPath(t *testing.T) {
	behind := withImage(t, testregistry.Config{})
	server := httptest.NewServer(http.StripPrefix("/cache/hub", behind))
	t.Cleanup(server.Close)
	host := server.Listener.Addr().String()
	c := client(t)
	set(c, host, registry.Host{Path: "/cache/hub/v2"})
	if err := reads(t, c, host); err != nil {
		t.Error(err)
	}
}

func TestABlockedRepositoryIsNotAskedFor(t *testing.T) {
	server := withImage(t, testregistry.Config{})
	c := client(t)
	c.Routes = func(string, string) (registry.Route, error) {
		return registry.Route{Blocked: "/etc/containers/registries.conf:3"}, nil
	}
	_, reading := c.Source(server.Host(), "app")
	_, writing := c.Repository(server.Host(), "app")
	for _, err := range []error{reading, writing} {
		if !errors.Is(err, content.ErrDenied) || !strings.Contains(err.Error(), "registries.conf:3") || !strings.Contains(err.Error(), server.Host()+"/app") {
			t.Errorf("got %v", err)
		}
	}
}

func TestReadingMayBeMovedAndWritingNot(t *testing.T) {
	named, moved := withImage(t, testregistry.Config{}), testregistry.Start(t, testregistry.Config{})
	m := manifest(t, "moved", "")
	moved.PutBlob("copy/app", []byte("{}"))
	moved.PutManifest("copy/app", "v1", m.MediaType(), m.Raw())
	named.PutBlob("app", []byte("{}"))
	c := client(t)
	c.Routes = func(host, repository string) (registry.Route, error) {
		return registry.Route{
			Write: registry.Endpoint{Host: host, Repository: repository},
			Read:  registry.Endpoint{Host: moved.Host(), Repository: "copy/" + repository, Settings: &registry.Host{Header: http.Header{"X-Moved": {"yes"}}}},
		}, nil
	}
	src, err := c.Source(named.Host(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := src.Manifest(t.Context(), "v1"); err != nil || got.Digest() != m.Digest() {
		t.Errorf("read %s, %v", got.Digest(), err)
	}
	for _, q := range moved.Requests() {
		if q.Header.Get("X-Moved") != "yes" {
			t.Errorf("%s without the settings of the endpoint", q.Method)
		}
	}
	repo, err := c.Repository(named.Host(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.PutManifest(t.Context(), manifest(t, "new", ""), "v2"); err != nil {
		t.Fatal(err)
	}
	if n := moved.Count(func(q testregistry.Request) bool { return q.Method == http.MethodPut }); n > 0 {
		t.Errorf("%d manifests were written where only reading was moved", n)
	}
}

func TestAMirrorForTagsIsNotAskedForDigests(t *testing.T) {
	n := newNet(t)
	routes := n.client.Routes
	n.client.Routes = func(host, repository string) (registry.Route, error) {
		route, err := routes(host, repository)
		route.Mirrors[0].TagsOnly = true
		return route, err
	}
	src := n.source(t)
	if _, err := src.Manifest(t.Context(), n.root.String()); err != nil {
		t.Fatal(err)
	}
	if asked := n.mirror.Requests(); len(asked) > 0 {
		t.Errorf("asked for a digest: %+v", asked)
	}
	if _, err := n.pull(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	if asked := n.mirror.Requests(); len(asked) == 0 {
		t.Error("not asked for what a tag stands for")
	}
}
