package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
)

// A net is a registry, a mirror of it, and a client that knows both.
type net struct {
	own, mirror *testregistry.Registry
	client      *registry.Client
	log         bytes.Buffer
	resolves    bool
	root        digest.Digest
	image       testimage.Image
}

func newNet(t *testing.T, faults ...fault) *net {
	t.Helper()
	n := &net{own: testregistry.Start(t, testregistry.Config{}), mirror: testregistry.Start(t, testregistry.Config{})}
	n.image = testimage.Layers(7, 3, 300_000)
	n.root = n.image.Root.Digest
	n.image.PutTo(n.own, "app", "v1")
	n.image.PutTo(n.mirror, "mirrored/app", "v1")
	n.mirror.SetFaults(faults...)
	n.client = client(t)
	n.client.Log = slog.New(slog.NewTextHandler(&n.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	n.client.Routes = func(host, repository string) (registry.Route, error) {
		if host != n.own.Host() {
			t.Errorf("mirrors of %s were asked for", host)
		}
		own := registry.Endpoint{Host: host, Repository: repository}
		mirror := registry.Endpoint{Host: n.mirror.Host(), Repository: "mirrored/" + repository, Namespace: "own.test"}
		return registry.Route{Read: own, Write: own, Mirrors: []registry.Mirror{{Endpoint: mirror, ResolvesTags: n.resolves}}}, nil
	}
	return n
}

func (n *net) source(t *testing.T) content.Source {
	t.Helper()
	src, err := n.client.Source(n.own.Host(), "app")
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// pull reads the image by its tag, blobs that came wrong once more.
func (n *net) pull(ctx context.Context, src content.Source) (wrong int, err error) {
	root, err := src.Manifest(ctx, "v1")
	if err != nil {
		return 0, err
	}
	if root.Digest() != n.root {
		return 0, errors.New("another image")
	}
	for _, d := range root.Blobs() {
		for range 2 {
			if err = readVerified(ctx, content.NewBlob(src, d)); !errors.Is(err, content.ErrCorrupt) {
				break
			}
			wrong++
		}
		if err != nil {
			return wrong, err
		}
	}
	return wrong, nil
}

func readVerified(ctx context.Context, b content.Blob) error {
	rc, err := b.Open(ctx, content.Range{})
	if err != nil {
		return err
	}
	v, err := content.VerifyReader(rc, b.Descriptor())
	if err == nil {
		_, err = io.Copy(io.Discard, v)
	}
	return errors.Join(err, rc.Close())
}

func TestWhatAMirrorCannotGiveItsRegistryGives(t *testing.T) {
	blob, manifest := testregistry.KindBlob, testregistry.KindManifest
	tests := []struct {
		name   string
		faults []fault
		blobs  int    // that the registry gives, whole or in part
		wrong  int    // blobs that came wrong at first
		says   string // in a warning
	}{
		{"a mirror that has it all", nil, 0, 0, ""},
		{"no blobs", []fault{{Kind: blob, Effect: testregistry.Answer, N: 404}}, 4, 0, ""},
		{"not let in", []fault{{Effect: testregistry.Answer, N: 401}}, 4, 0, "fails each time"},
		{"denied", []fault{{Effect: testregistry.Answer, N: 403}}, 4, 0, "fails each time"},
		{"too many requests", []fault{{Effect: testregistry.Answer, N: 429, RetryAfter: "3600"}}, 4, 0, "fails each time"},
		{"server errors", []fault{{Effect: testregistry.Answer, N: 500}}, 4, 0, "fails each time"},
		{"a login page", []fault{{Effect: testregistry.HTML}}, 4, 0, "web page"},
		{"one server error", []fault{{Kind: blob, Effect: testregistry.Answer, N: 503, Times: 1}}, 0, 0, ""},
		{"a body that breaks off", []fault{{Effect: testregistry.CutAfter, N: 1000, Ref: "sha256:"}}, 3, 0, ""},
		{"a body that breaks off once", []fault{{Effect: testregistry.CutAfter, N: 1000, Times: 1}}, 0, 0, ""},
		{"wrong manifest", []fault{{Kind: manifest, Effect: testregistry.Flip, N: 20}}, 4, 0, "sent wrong bytes and is not asked again"},
		{"wrong blobs", []fault{{Effect: testregistry.Flip, N: 100}}, 4, 1, "sent wrong bytes and is not asked again"},
		{"honest at first", []fault{{Effect: testregistry.Flip, N: 100, Nth: 3}}, 2, 1, "sent wrong bytes and is not asked again"},
		{"a redirect to nowhere", []fault{{Kind: blob, Effect: testregistry.Redirect, Value: "loop"}}, 4, 0, "cannot be reached"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNet(t, tt.faults...)
			wrong, err := n.pull(t.Context(), n.source(t))
			if err != nil || wrong != tt.wrong {
				t.Errorf("pull: %v, %d blobs came wrong, want %d", err, wrong, tt.wrong)
			}
			if got := n.own.Count(testregistry.Is("GET", blob)); got != tt.blobs {
				t.Errorf("the registry gave %d blobs, want %d", got, tt.blobs)
			}
			if got := n.log.String(); (got == "") != (tt.says == "") || !strings.Contains(got, tt.says) {
				t.Errorf("warnings are %q, want %q", got, tt.says)
			}
			if n.own.Count(testregistry.Is("HEAD", manifest)) != 1 {
				t.Error("the registry was not asked what the tag stands for")
			}
		})
	}
}

// Two mirrors that give more than there is are blamed for it one after the other, as
// are two that give other bytes.
func TestSeveralMirrorsThatGiveTooMuchAreBlamed(t *testing.T) {
	n := newNet(t, fault{Kind: testregistry.KindBlob, Effect: testregistry.Endless})
	other := testregistry.Start(t, testregistry.Config{Faults: []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Endless}}})
	raw := random(10_000, 3)
	n.own.PutBlob("app", raw)
	n.mirror.PutBlob("mirrored/app", raw)
	other.PutBlob("mirrored/app", raw)
	routes := n.client.Routes
	n.client.Routes = func(host, repository string) (registry.Route, error) {
		route, err := routes(host, repository)
		second := registry.Endpoint{Host: other.Host(), Repository: "mirrored/" + repository}
		route.Mirrors = append(route.Mirrors, registry.Mirror{Endpoint: second})
		return route, err
	}
	b := content.NewBlob(n.source(t), descriptorOf(raw))
	if err := content.Reread(t.Context(), b, func() error { return readVerified(t.Context(), b) }); err != nil {
		t.Error(err)
	}
}

func TestAMirrorIsToldWhichRegistryItStandsFor(t *testing.T) {
	n := newNet(t)
	if _, err := n.pull(t.Context(), n.source(t)); err != nil {
		t.Fatal(err)
	}
	for _, q := range n.mirror.Requests() {
		if q.Query != "ns=own.test" {
			t.Errorf("%s %s has query %q", q.Method, q.Ref, q.Query)
		}
	}
	served := n.client.Served()
	if served[n.mirror.Host()] < 900_000 || served[n.own.Host()] != 0 {
		t.Errorf("served: %v, want all of the mirror", served)
	}
}

func TestAMirrorThatIsGoneIsAskedOnce(t *testing.T) {
	n := newNet(t)
	n.mirror.Close()
	src := n.source(t)
	for range 3 {
		if _, err := n.pull(t.Context(), src); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(n.log.String(), "cannot be reached and is not asked again"); got != 1 {
		t.Errorf("%d warnings, want one:\n%s", got, &n.log)
	}
}

func TestTagsAreResolvedByTheirOwnRegistry(t *testing.T) {
	down := fault{Effect: testregistry.Answer, N: 503, Kind: testregistry.AnyKind}
	tests := []struct {
		name     string
		resolves bool
		behind   bool // the mirror has another image under the tag
		own      []fault
		want     error
		says     string
	}{
		{"a mirror that may tell and agrees", true, false, nil, nil, ""},
		{"a mirror that may tell and is behind", true, true, nil, nil, "it is behind, or changed"},
		{"a mirror that may not tell and is behind", false, true, nil, nil, ""},
		{"a registry that is down", true, false, []fault{down}, nil, "a mirror told what the tag stands for"},
		{"a registry that is down, and a mirror that may not tell", false, false, []fault{down}, content.ErrUnavailable, ""},
		{"a tag that its registry does not have", true, false, []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 404}}, content.ErrNotFound, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNet(t)
			n.resolves = tt.resolves
			if tt.behind {
				testimage.Single(99).PutTo(n.mirror, "mirrored/app", "v1")
			}
			n.own.SetFaults(tt.own...)
			if _, err := n.pull(t.Context(), n.source(t)); !errors.Is(err, tt.want) {
				t.Errorf("pull: %v, want %v", err, tt.want)
			}
			if got := n.log.String(); (got == "") != (tt.says == "") || !strings.Contains(got, tt.says) {
				t.Errorf("warnings are %q, want %q", got, tt.says)
			}
		})
	}
}

// TestASlowMirrorIsAskedLast also has a registry that is as slow, where it is the line.
func TestASlowMirrorIsAskedLast(t *testing.T) {
	slow := fault{Effect: testregistry.Rate, N: 50 << 10}
	for name, ownIsSlow := range map[string]bool{"a slow mirror": false, "a slow line": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNet(t, slow)
			raw := random(300<<10, 3)
			n.own.PutBlob("app", raw)
			n.mirror.PutBlob("mirrored/app", raw)
			if ownIsSlow {
				n.own.SetFaults(slow)
			}
			src := n.source(t)
			for range 2 {
				if got, err := readAll(t.Context(), src, raw, content.Range{}); err != nil || !bytes.Equal(got, raw) {
					t.Fatalf("got %d bytes, %v", len(got), err)
				}
			}
			served := n.client.Served()
			byMirror := float64(served[n.mirror.Host()]) / float64(2*len(raw))
			if ownIsSlow != (byMirror > 0.5) {
				t.Errorf("served: %v", served)
			}
		})
	}
}

func TestADestinationIsNoMirror(t *testing.T) {
	n := newNet(t)
	n.client.Avoid(n.mirror.Host())
	if _, err := n.pull(t.Context(), n.source(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(n.mirror.Requests()); got != 0 {
		t.Errorf("%d requests to the destination", got)
	}
}

// byHost is a keychain that knows one host.
type byHost struct{ host, password string }

func (k byHost) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if r.RegistryStr() != k.host {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: "ann", Password: k.password}), nil
}

func TestAMirrorSeesNoCredentialOfItsRegistry(t *testing.T) {
	for _, auth := range []string{"basic", "bearer"} {
		t.Run(auth, func(t *testing.T) {
			n := newNet(t)
			config, err := testregistry.ParseConfig(auth + "=ann:secret")
			if err != nil {
				t.Fatal(err)
			}
			own, mirror := testregistry.Start(t, config), testregistry.Start(t, config)
			n.image.PutTo(own, "app", "v1")
			n.image.PutTo(mirror, "mirrored/app", "v1")
			n.own, n.mirror = own, mirror
			n.client.Keychain = byHost{own.Host(), "secret"}
			if _, err := n.pull(t.Context(), n.source(t)); err != nil {
				t.Fatal(err)
			}
			for _, q := range mirror.Requests() {
				if q.Auth == "Basic" {
					t.Errorf("%s %s carries a credential", q.Method, q.Ref)
				}
			}
			if mirror.BlobBytesSent() != 0 {
				t.Error("the mirror let somebody in")
			}
		})
	}
}
