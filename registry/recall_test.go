package registry_test

import (
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
)

// puller returns a client of a new process that has heard of the hub's limit.
func puller(t *testing.T, hub *testregistry.Registry, facts content.Facts) *registry.Repository {
	t.Helper()
	c := client(t)
	c.Keychain, c.Facts = nil, facts
	r := repository(t, c, hub, "team/app")
	if _, err := r.Resolve(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatWasPulledIsPulledOnce(t *testing.T) {
	hub := testregistry.Start(t, testregistry.Hub(100))
	first, second := testimage.Single(1), testimage.Single(2)
	first.PutTo(hub, "team/app", "v1")
	facts := contenttest.NewFacts()
	pull := func(ref string, want digest.Digest, pulls int) {
		t.Helper()
		hub.NewWindow()
		m, err := puller(t, hub, facts).Manifest(t.Context(), ref)
		if err != nil || m.Digest() != want || hub.Pulls() != pulls {
			t.Errorf("%s is %s after %d pulls, want %s after %d: %v", ref, m.Digest(), hub.Pulls(), want, pulls, err)
		}
	}
	pull("v1", first.Root.Digest, 1)
	pull("v1", first.Root.Digest, 0)
	pull(first.Root.Digest.String(), first.Root.Digest, 0)
	second.PutTo(hub, "team/app", "v1")
	pull("v1", second.Root.Digest, 1)
	facts.Remember("manifest "+second.Root.Digest.String(), "{}")
	pull("v1", second.Root.Digest, 1)
	hub.DeleteManifest("team/app", first.Root.Digest)
	if _, err := puller(t, hub, facts).Manifest(t.Context(), first.Root.Digest.String()); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("what was deleted at the registry: %v", err)
	}
}

func TestManifestsAreNotKeptWhereNothingIsCounted(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{})
	testimage.Single(1).PutTo(server, "team/app", "v1")
	facts := contenttest.NewFacts()
	if _, err := puller(t, server, facts).Manifest(t.Context(), "v1"); err != nil || facts.Len() > 0 {
		t.Errorf("kept %d facts, error %v", facts.Len(), err)
	}
}

func TestAskingForTheLimitCostsNothing(t *testing.T) {
	hub := testregistry.Start(t, testregistry.Hub(3))
	testimage.Single(1).PutTo(hub, "ratelimitpreview/test", "latest")
	c := client(t)
	c.Keychain = nil
	set(c, registry.DockerHub, registry.Host{Address: hub.Host(), PlainHTTP: true})
	for range 2 {
		l, named, err := c.AskRateLimit(t.Context(), "index.docker.io")
		if err != nil || !named || l.Remaining != 3 || l.Limit != 3 || l.Per() != "6h" || l.Source != "127.0.0.1" {
			t.Errorf("%+v, %t, %v", l, named, err)
		}
	}
	if hub.Pulls() != 0 {
		t.Errorf("asking cost %d pulls", hub.Pulls())
	}
	if _, named, err := client(t).AskRateLimit(t.Context(), hub.Host()); named || !errors.Is(err, content.ErrUnauthorized) {
		t.Errorf("with a wrong password: %t, %v", named, err)
	}
}
