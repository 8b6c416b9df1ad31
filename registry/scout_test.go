package registry_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
)

func TestAScoutAsksBothWaysAtOnceUntilItKnows(t *testing.T) {
	const both, api, tag = "manifest referrers", "referrers", "manifest"
	tests := []struct {
		name         string
		config       testregistry.Config
		first, again string // the kinds of requests
		costs        int    // the second time
	}{
		{"with the API", testregistry.Config{}, both, api, 1},
		{"without the API", testregistry.Config{NoReferrers: true}, both, tag, 1},
		{"where the API is denied", testregistry.Config{Faults: []testregistry.Fault{{Kind: testregistry.KindReferrers, Effect: testregistry.Answer, N: http.StatusForbidden}}}, both, both, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, tt.config)
			img := testimage.WithFallback(1)
			img.PutTo(server, "app", "v1")
			facts := contenttest.NewFacts()
			for i, want := range []string{tt.first, tt.again} {
				c := client(t)
				c.Facts = facts
				repo := repository(t, c, server, "app")
				if costs := repo.ScoutRequests(); i == 0 && costs != 2 || i == 1 && costs != tt.costs {
					t.Errorf("run %d costs %d", i, costs)
				}
				server.Reset()
				if found := scouted(t, repo, img.Root.Digest); !slices.Equal(found, []digest.Digest{img.Referrers[0].Digest}) {
					t.Errorf("run %d found %v", i, found)
				}
				if got := kindsOf(server.Requests()); got != want {
					t.Errorf("run %d asked for %q, want %q", i, got, want)
				}
			}
		})
	}
}

func scouted(t *testing.T, repo *registry.Repository, subject digest.Digest) (found []digest.Digest) {
	t.Helper()
	for d, err := range repo.Scout(t.Context(), subject) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, d.Digest)
	}
	return found
}

// kindsOf returns the kinds of requests, sorted.
func kindsOf(requests []testregistry.Request) string {
	var kinds []string
	for _, q := range requests {
		kinds = append(kinds, string(q.Kind))
	}
	slices.Sort(kinds)
	return strings.Join(kinds, " ")
}

func TestAScoutTellsWhatFailed(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{NoReferrers: true, Faults: []testregistry.Fault{
		{Kind: testregistry.KindManifest, Ref: "sha256-", Effect: testregistry.Answer, N: http.StatusUnauthorized},
	}})
	img := testimage.WithFallback(1)
	img.PutTo(server, "app", "v1")
	var failed error
	for _, err := range repository(t, client(t), server, "app").Scout(t.Context(), img.Root.Digest) {
		failed = err
	}
	if failed == nil {
		t.Error("the tag that cannot be read is passed over")
	}
}
