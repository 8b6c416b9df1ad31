package registry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry"
)

// An answering stands for all hosts, without connections.
type answering func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (a answering) RoundTrip(req *http.Request) (*http.Response, error) { return a(req) }

func (a answering) client() *registry.Client {
	return &registry.Client{Watch: func(http.RoundTripper) http.RoundTripper { return a }}
}

// mirroredAt is a [registry.Client]'s Routes: every host has that mirror, which
// may tell what tags stand for.
func mirroredAt(at string) func(host, repository string) (registry.Route, error) {
	return func(host, repository string) (registry.Route, error) {
		own := registry.Endpoint{Host: host, Repository: repository}
		mirror := registry.Endpoint{Host: at, Repository: repository}
		return registry.Route{Read: own, Write: own, Mirrors: []registry.Mirror{{Endpoint: mirror, ResolvesTags: true}}}, nil
	}
}

func answered(req *http.Request, status int, header ...string) (*http.Response, error) {
	w := httptest.NewRecorder()
	for i := 0; i < len(header); i += 2 {
		w.Header().Set(header[i], header[i+1])
	}
	w.WriteHeader(status)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

func TestAMirrorThatSaysNothingIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := answering(func(req *http.Request) (*http.Response, error) {
			if req.URL.Host == "mirror.example" {
				asked++
				<-req.Context().Done()
				return nil, context.Cause(req.Context())
			}
			return answered(req, http.StatusOK, "Content-Type", "application/vnd.oci.image.manifest.v1+json",
				"Docker-Content-Digest", string(descriptorOf(nil).Digest), "Content-Length", "100")
		}).client()
		var log bytes.Buffer
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		c.Routes = mirroredAt("mirror.example")
		src, err := c.Source("r.example", "app")
		if err != nil {
			t.Fatal(err)
		}
		resolver := src.(*registry.Mirrored)
		begun := time.Now()
		for _, tag := range []string{"v1", "v2", "v3"} {
			if _, err := resolver.Resolve(t.Context(), tag); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took != 5*time.Second || asked != 1 {
			t.Errorf("three tags took %s and asked the mirror %d times, want 5s and once", took, asked)
		}
		if got := strings.Count(log.String(), "cannot be reached and is not asked again"); got != 1 {
			t.Errorf("%d warnings, want one:\n%s", got, &log)
		}
	})
}

func TestWhoGivesUpBlamesNoMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := answering(func(req *http.Request) (*http.Response, error) {
			if req.URL.Host == "mirror.example" {
				asked++
			}
			<-req.Context().Done()
			return nil, context.Cause(req.Context())
		}).client()
		c.Routes = mirroredAt("mirror.example")
		src, err := c.Source("r.example", "app")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := src.(*registry.Mirrored).Resolve(ctx, "v1")
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want that of the context", err)
			}
		}
		if asked != 2 {
			t.Errorf("the mirror was asked %d times, want each time", asked)
		}
	})
}

func TestAKnownCredentialWaitsForNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := answering(func(req *http.Request) (*http.Response, error) {
			if req.Header.Get("Authorization") == "" {
				return answered(req, http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="x"`)
			}
			return answered(req, http.StatusNotFound)
		}).client()
		c.Keychain = registry.CredentialFunc(func(ctx context.Context, _, repository string) (registry.Credential, error) {
			if repository == "slow" {
				<-ctx.Done()
				return registry.Credential{}, context.Cause(ctx)
			}
			return password, nil
		})
		manifest := func(ctx context.Context, name string) error {
			r, err := c.Repository("r.example", name)
			if err != nil {
				return err
			}
			_, err = r.Manifest(ctx, "v1")
			return err
		}
		if err := manifest(t.Context(), "quick"); !errors.Is(err, content.ErrNotFound) {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		slow := make(chan error)
		go func() { slow <- manifest(ctx, "slow") }()
		synctest.Wait()
		begun := time.Now()
		if err := manifest(t.Context(), "quick"); !errors.Is(err, content.ErrNotFound) || time.Since(begun) > 0 {
			t.Errorf("it took %s, with a credential that was known: %v", time.Since(begun), err)
		}
		cancel()
		if err := <-slow; err == nil {
			t.Error("the helper that said nothing gave a credential")
		}
	})
}

func TestAMirrorWithWrongSettingsIsPassedOver(t *testing.T) {
	c := answering(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host != "r.example" {
			t.Errorf("%s was asked", req.URL.Host)
		}
		return answered(req, http.StatusNotFound)
	}).client()
	var log bytes.Buffer
	c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	routes := mirroredAt("mirror.example")
	c.Routes = func(host, repository string) (registry.Route, error) {
		route, err := routes(host, repository)
		route.Mirrors[0].Wrong = errors.New("ca.pem is not there")
		return route, err
	}
	for range 2 {
		src, err := c.Source("r.example", "app")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.Manifest(t.Context(), "v1"); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("error %v, want the registry's", err)
		}
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "mirror.example") || !strings.Contains(got, "ca.pem is not there") {
		t.Errorf("warnings are %q, want one", got)
	}
}
