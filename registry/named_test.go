package registry_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// Whatever a server names, nobody is led to where a cloud keeps its credentials.
func TestNoServerLeadsToALinkLocalAddress(t *testing.T) {
	const metadata = "http://169.254.169.254"
	raw := random(100, 30)
	d := descriptorOf(raw)
	foreign := d
	foreign.MediaType, foreign.URLs = content.DockerForeignLayer, []string{metadata + "/layer"}
	list := func(r *registry.Repository) (err error) {
		for _, err = range r.Tags(t.Context()) {
			if err != nil {
				break
			}
		}
		return err
	}
	read := func(d ocispec.Descriptor) func(*registry.Repository) error {
		return func(r *registry.Repository) error {
			rc, err := r.Open(t.Context(), d, content.Range{})
			if err == nil {
				err = rc.Close()
			}
			return err
		}
	}
	for _, tt := range []struct {
		name  string
		fault fault
		do    func(*registry.Repository) error
	}{
		{"for a blob", fault{Kind: testregistry.KindBlob, Effect: testregistry.Redirect, Value: metadata}, read(d)},
		{"for a manifest", fault{Kind: testregistry.KindManifest, Effect: testregistry.Redirect, Value: metadata}, func(r *registry.Repository) error {
			_, err := r.Manifest(t.Context(), "v1")
			return err
		}},
		{"for the next page", fault{Effect: testregistry.LinkHeader, Value: metadata}, list},
		{"for an upload", fault{Effect: testregistry.Location, Value: metadata}, func(r *registry.Repository) error {
			_, err := r.PutBlob(t.Context(), made(raw))
			return err
		}},
		{"for a foreign layer", fault{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 404}, read(foreign)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Faults: []fault{tt.fault}})
			put(server, manifest(t, "one", ""), "v1")
			c := client(t)
			c.ForeignLayers = registry.ForeignFetch
			err := tt.do(repository(t, c, server, "app"))
			if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), "refused") {
				t.Errorf("error %v, want a refusal", err)
			}
		})
	}
}

func TestForeignLayersAreFetchedOnlyWhenTheUserSaysSo(t *testing.T) {
	raw := random(1<<20, 31)
	mirror := testregistry.Start(t, testregistry.Config{Faults: []fault{{Effect: testregistry.CutAfter, N: 1 << 19, Times: 1}}})
	mirror.PutBlob("layers", raw)
	d := descriptorOf(raw)
	d.MediaType = content.DockerForeignLayer
	at := mirror.URL() + "/v2/layers/blobs/" + d.Digest.String()
	for _, tt := range []struct {
		name   string
		policy registry.ForeignPolicy
		urls   []string
		want   error
		asked  int
	}{
		{"not by default", registry.ForeignLeave, []string{at}, content.ErrNotFound, 0},
		{"resuming as any blob", registry.ForeignFetch, []string{at}, nil, 2},
		{"from the second place", registry.ForeignFetch, []string{mirror.URL() + "/nothing", at}, nil, 1},
		{"from nowhere", registry.ForeignFetch, nil, content.ErrNotFound, 0},
		{"not from a path", registry.ForeignFetch, []string{"/v2/layers"}, content.ErrInvalid, 0},
		{"not from a file", registry.ForeignFetch, []string{"file:///etc/passwd"}, content.ErrInvalid, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mirror.Reset()
			server := testregistry.Start(t, testregistry.Config{Auth: testregistry.Auth{Scheme: testregistry.Basic, Users: bearer.Users}})
			c := client(t)
			c.ForeignLayers = tt.policy
			d := d
			d.URLs = tt.urls
			var got bytes.Buffer
			rc, err := repository(t, c, server, "app").Open(t.Context(), d, content.Range{})
			if err == nil {
				_, err = got.ReadFrom(rc)
				_ = rc.Close()
			}
			if !errors.Is(err, tt.want) || err == nil && !bytes.Equal(got.Bytes(), raw) {
				t.Errorf("%d bytes, %v; want %v", got.Len(), err, tt.want)
			}
			if n := mirror.Count(testregistry.Is("GET", testregistry.KindBlob)); n != tt.asked {
				t.Errorf("asked %d times, want %d", n, tt.asked)
			}
			if n := mirror.Count(func(q testregistry.Request) bool { return q.Auth != "" }); n != 0 {
				t.Errorf("%d requests with credentials", n)
			}
		})
	}
}

func TestASecureRegistrysBlobIsNotFetchedInTheOpen(t *testing.T) {
	raw := random(100, 32)
	plain := testregistry.Start(t, testregistry.Config{})
	plain.PutBlob("app", raw)
	server := testregistry.Start(t, testregistry.Config{TLS: true, Faults: []fault{
		{Kind: testregistry.KindBlob, Effect: testregistry.Redirect, Value: plain.URL()},
	}})
	_, err := readAll(t.Context(), repository(t, trusting(t, server), server, "app"), raw, content.Range{})
	if !errors.Is(err, content.ErrInvalid) || len(plain.Requests()) != 0 {
		t.Errorf("error %v, %d requests in the open", err, len(plain.Requests()))
	}
}

func TestEverythingWorksOverTLS(t *testing.T) {
	raw := random(3<<20, 33)
	server := testregistry.Start(t, testregistry.Config{TLS: true, Auth: bearer, Faults: []fault{
		{Effect: testregistry.ResetAfter, N: 1 << 20, Times: 1},
	}})
	repo := repository(t, trusting(t, server), server, "app")
	if outcome, err := repo.PutBlob(t.Context(), made(raw)); outcome != content.Stored || err != nil {
		t.Fatal(outcome, err)
	}
	if got, err := readAll(t.Context(), repo, raw, content.Range{}); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestRequestsGoThroughTheProxyTheUserNamed(t *testing.T) {
	m := manifest(t, "one", "")
	server := testregistry.Start(t, testregistry.Config{})
	put(server, m, "v1")
	c := client(t)
	c.Hosts = func(string) (*registry.Host, error) { return &registry.Host{PlainHTTP: true}, nil }
	c.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(server.URL()) } // it answers for every host
	repo, err := c.Repository("registry.invalid", "app")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := repo.Manifest(t.Context(), "v1"); err != nil || got.Digest() != m.Digest() {
		t.Error(got.Digest(), err)
	}
}

func TestANameThatDoesNotExistIsAskedForOnce(t *testing.T) {
	repo, err := client(t).Repository("registry.invalid", "app")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Manifest(context.WithoutCancel(t.Context()), "v1"); !errors.Is(err, content.ErrUnavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
}
