package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// An oldRegistry has no referrers API: it keeps them under a tag.
type oldRegistry struct {
	*testregistry.Registry
	subject digest.Digest
	tag     string
}

func startOld(t *testing.T) oldRegistry {
	t.Helper()
	server := testregistry.Start(t, testregistry.Config{NoReferrers: true, AllowMissing: true})
	subject := manifest(t, "image", "").Digest()
	return oldRegistry{server, subject, "sha256-" + subject.Encoded()}
}

func (o oldRegistry) repository(t *testing.T) *registry.Repository {
	t.Helper()
	return repository(t, client(t), o.Registry, "app")
}

func (o oldRegistry) refer(t *testing.T, r *registry.Repository, note string) content.Manifest {
	t.Helper()
	m := manifest(t, note, o.subject)
	if err := r.PutManifest(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// overwrite is what another writer does that had read the index when it listed
// nothing else.
func (o oldRegistry) overwrite(m content.Manifest) {
	o.PutManifest("app", o.tag, ocispec.MediaTypeImageIndex, fmt.Appendf(nil,
		`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":{"note":"other"}}]}`,
		ocispec.MediaTypeImageIndex, m.MediaType(), m.Digest(), len(m.Raw())))
}

// writes is how often the index was written over the network.
func (o oldRegistry) writes() int {
	return o.Count(func(q testregistry.Request) bool { return q.Method == http.MethodPut && q.Ref == o.tag })
}

func (o oldRegistry) want(t *testing.T, notes ...string) {
	t.Helper()
	if got := referrers(t, o.repository(t), o.subject, ""); !slices.Equal(got, notes) {
		t.Errorf("listed are %q, want %q", got, notes)
	}
}

func TestCommitListsAgainWhatOthersOverwrote(t *testing.T) {
	t.Parallel()
	o := startOld(t)
	repo := o.repository(t)
	one := o.refer(t, repo, "one")
	o.refer(t, repo, "two")
	o.overwrite(manifest(t, "other", o.subject))
	o.want(t, "other")
	if err := repo.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.want(t, "one", "other", "two")

	o.Reset()
	if err := repo.Commit(t.Context()); err != nil || len(o.Requests()) > 0 {
		t.Errorf("once more: %d requests, %v", len(o.Requests()), err)
	}
	// What was confirmed is another's to take away.
	o.overwrite(one)
	o.refer(t, repo, "three")
	if err := repo.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.want(t, "other", "three")
}

// Distribution 2 has no tag for a moment while another writes it.
func TestAnIndexThatIsAbsentForAMomentKeepsItsEntries(t *testing.T) {
	t.Parallel()
	absent := func(o oldRegistry, times int) {
		o.SetFaults(fault{Method: http.MethodGet, Ref: o.tag, Times: times, Effect: testregistry.Answer, N: http.StatusNotFound})
	}
	o := startOld(t)
	o.overwrite(manifest(t, "other", o.subject))
	absent(o, 1)
	repo := o.repository(t)
	o.refer(t, repo, "one")
	o.want(t, "one", "other")

	absent(o, 3)
	if err := repo.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.want(t, "one", "other")
}

func TestCommitLooksOnceWhereNobodyOverwrote(t *testing.T) {
	t.Parallel()
	o := startOld(t)
	repo := o.repository(t)
	o.refer(t, repo, "one")
	wrote := time.Now()
	o.Reset()
	if err := repo.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := o.Requests(); len(all) != 1 || all[0].Method != http.MethodGet || all[0].Ref != o.tag {
		t.Errorf("requests %+v, want one look at %s", all, o.tag)
	}
	if waited := time.Since(wrote); waited < 150*time.Millisecond {
		t.Errorf("looked after %s: others may write still", waited)
	}
}

func TestCommitAsksNothingWhereNothingWasMerged(t *testing.T) {
	tests := []struct {
		name   string
		config testregistry.Config
		refer  bool
	}{
		{"with the referrers API", testregistry.Config{}, true},
		{"without it, of what refers to nothing", testregistry.Config{NoReferrers: true}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, tt.config)
			server.PutBlob("app", []byte("{}"))
			repo := repository(t, client(t), server, "app")
			var subject digest.Digest
			if tt.refer {
				subject = manifest(t, "image", "").Digest()
			}
			if err := repo.PutManifest(t.Context(), manifest(t, "one", subject)); err != nil {
				t.Fatal(err)
			}
			server.Reset()
			if err := repo.Commit(t.Context()); err != nil || len(server.Requests()) > 0 {
				t.Errorf("%d requests, %v", len(server.Requests()), err)
			}
		})
	}
}

func TestCommitIsNotForWhatWasThereAlready(t *testing.T) {
	o := startOld(t)
	first := o.repository(t)
	o.refer(t, first, "one")
	second := o.repository(t)
	o.refer(t, second, "one")
	o.Reset()
	if err := second.Commit(t.Context()); err != nil || len(o.Requests()) > 0 {
		t.Errorf("%d requests, %v", len(o.Requests()), err)
	}
}

func TestCommitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	o := startOld(t)
	repo := o.repository(t)
	o.refer(t, repo, "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := repo.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := repo.Commit(t.Context()); err != nil {
		t.Errorf("then %v", err)
	}
	o.want(t, "one")
}

func TestAnIndexThatOthersKeepOverwritingIsAConflict(t *testing.T) {
	t.Parallel()
	o := startOld(t)
	// Every write is accepted, and gone.
	o.SetFaults(fault{Method: http.MethodPut, Ref: o.tag, Effect: testregistry.Answer, N: http.StatusCreated})
	err := o.repository(t).PutManifest(t.Context(), manifest(t, "one", o.subject))
	if !errors.Is(err, content.ErrConflict) || !strings.Contains(err.Error(), o.tag) {
		t.Errorf("got %v", err)
	}
}

func TestOneWriteServesAllThatWait(t *testing.T) {
	o := startOld(t)
	const many = 24
	var put atomic.Int64
	all := make(chan struct{}) // referrers are there; the first is not listed yet
	o.SetFaults(
		fault{Method: http.MethodPut, Ref: o.tag, Times: 1, Effect: testregistry.Hold, Release: all},
		fault{Method: http.MethodPut, Ref: "sha256:", Hit: func() {
			if put.Add(1) == many {
				close(all)
			}
		}},
	)
	repo := o.repository(t)
	var want []string
	g, ctx := errgroup.WithContext(t.Context())
	for i := range many {
		note := fmt.Sprintf("%02d", i)
		want = append(want, note)
		m := manifest(t, note, o.subject)
		g.Go(func() error { return repo.PutManifest(ctx, m) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	o.want(t, want...)
	if n := o.writes(); n > many/2 {
		t.Errorf("the index was written %d times for %d referrers", n, many)
	}
}
