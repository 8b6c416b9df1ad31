package profiles

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

const (
	repo     = "project/team/app"
	other    = "project/team/other"
	password = "secret"
	idToken  = "idtoken"
)

// A sample is one image of the suites.
type sample struct {
	testimage.Image
	tag string
}

// name is what the sample is called in a layout.
func (s sample) name() string { return "example.test/app:" + s.tag }

// big has a layer whose upload and download break off once.
var big, docker, signed = func() (big, docker, signed sample) {
	b := testimage.Builder{Seed: 1}
	base := b.Layer(testimage.Stored, 640<<10)
	big = sample{b.Done(b.Index(
		b.Image("linux/amd64", base, b.Layer(testimage.Gzip, 500)),
		b.Image("linux/arm64", b.Layer(testimage.Gzip, 700)),
	)), "big"}
	b = testimage.Builder{Seed: 2}
	root := b.Index(b.Image("linux/amd64", b.Layer(testimage.Gzip, 500)))
	b.Refer(root, sbomType)
	b.Refer(root, "application/vnd.example.signature")
	return big, sample{testimage.DockerV2(3), "docker"}, sample{b.Done(root), "signed"}
}()

const sbomType = "application/vnd.example.sbom"

var samples = []sample{big, docker, signed}

// A scene is a registry, and clients that come to it one after the other.
type scene struct {
	t       *testing.T
	profile testregistry.Profile
	server  *testregistry.Registry
	without registry.Answer
	user    string
	from    *layout.Layout // has the samples
}

// newScene starts the registry of a profile. The connection breaks once while
// the big layer goes up, and once while it comes down.
func newScene(t *testing.T, p testregistry.Profile, without registry.Answer) *scene {
	t.Helper()
	config, err := p.Config()
	if err != nil {
		t.Fatal(err)
	}
	layer, first := big.Largest().Encoded(), int64(100_000)
	config.Faults = append(config.Faults,
		testregistry.Fault{Effect: testregistry.ResetAfter, N: first, Method: http.MethodPut, Kind: testregistry.KindUpload, Query: layer, Times: 1},
		testregistry.Fault{Effect: testregistry.ResetAfter, N: first, Method: http.MethodGet, Kind: testregistry.KindBlob, Ref: layer, Times: 1},
		testregistry.Fault{Effect: testregistry.ResetAfter, N: first, Method: http.MethodGet, Kind: testregistry.KindStorage, Ref: layer, Times: 2},
	)
	s := &scene{t: t, profile: p, server: testregistry.Start(t, config), without: without, from: openSource(t)}
	for name := range config.Auth.Users {
		s.user = name
	}
	return s
}

// has reports whether the profile has a rule.
func (s *scene) has(key string) bool {
	for _, rule := range s.profile.Rules {
		if rule.Key() == key {
			return true
		}
	}
	return false
}

// client returns a client that knows nothing yet, with a credential.
func (s *scene) client(c registry.Credential) *registry.Client {
	settings := &registry.Host{}
	if s.server.URL()[:5] == "https" {
		roots := s.server.ClientTLS().RootCAs
		settings.Roots = func() (*x509.CertPool, error) { return roots, nil }
	}
	client := &registry.Client{
		Keychain: registry.CredentialFunc(func(context.Context, string, string) (registry.Credential, error) { return c, nil }),
		Hosts:    func(string) (*registry.Host, error) { return settings, nil },
		Without:  s.without,
		Retries:  6,
		Backoff:  20 * time.Millisecond,
	}
	s.t.Cleanup(client.Close)
	return client
}

// repository returns a repository as a client of the profile's user sees it who knows nothing yet.
func (s *scene) repository(name string) (*registry.Repository, error) {
	return s.client(registry.Credential{Username: s.user, Password: password}).Repository(s.server.Host(), name)
}

func (s *scene) login(ctx context.Context, c registry.Credential) error {
	_, err := s.client(registry.Credential{}).Login(ctx, s.server.Host(), c)
	return err
}

// newLayout makes an empty layout.
func newLayout(t *testing.T) *layout.Layout {
	t.Helper()
	l, err := layout.Create(filepath.Join(t.TempDir(), "images"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// copyImage copies one image with what refers to it.
func copyImage(ctx context.Context, c *transfer.Copier, job transfer.Job) (*transfer.TargetResult, error) {
	job.Name = job.Ref
	job.Filter.Referrers = true
	plan, err := c.Plan(ctx, job)
	if err != nil {
		return nil, err
	}
	result, err := c.Run(ctx, plan)
	if err = errors.Join(err, result.Err()); err != nil {
		return nil, err
	}
	return result.Images[0].Targets[0], nil
}

func to(name string, sink content.Sink) []transfer.Target {
	return []transfer.Target{{Name: name, Sink: sink, Names: []string{name}}}
}
