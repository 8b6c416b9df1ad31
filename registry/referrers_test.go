package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
)

func referrers(t *testing.T, r *registry.Repository, subject digest.Digest, artifactType string) (found []string) {
	t.Helper()
	for d, err := range r.Referrers(t.Context(), subject, artifactType) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, d.Annotations["note"])
	}
	slices.Sort(found)
	return found
}

func TestReferrersAreKeptWithAndWithoutTheAPI(t *testing.T) {
	subject := manifest(t, "image", "")
	for _, tt := range []struct {
		name   string
		config testregistry.Config
	}{
		{"with the API", testregistry.Config{}},
		{"with pages", testregistry.Config{PageSize: 3}},
		{"with an API that does not filter", testregistry.Config{NoReferrersFilter: true}},
		{"without the API", testregistry.Config{NoReferrers: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, tt.config)
			server.PutBlob("app", []byte("{}"))
			repo := repository(t, client(t), server, "app")
			const many = 24
			var g errgroup.Group
			var want []string
			for i := range many {
				note := fmt.Sprintf("%02d", i)
				want = append(want, note)
				m := manifest(t, note, subject.Digest())
				g.Go(func() error { return repo.PutManifest(t.Context(), m) })
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			fresh := repository(t, client(t), server, "app")
			if got := referrers(t, fresh, subject.Digest(), ""); !slices.Equal(got, want) {
				t.Errorf("got %v, want all of %d", got, many)
			}
			if got := referrers(t, fresh, subject.Digest(), "application/x.note"); !slices.Equal(got, want) {
				t.Errorf("of their type: got %v", got)
			}
			if got := referrers(t, fresh, subject.Digest(), "application/x.other"); len(got) != 0 {
				t.Errorf("of another type: got %v", got)
			}
			_, tagged := server.Manifest("app", "sha256-"+subject.Digest().Encoded())
			if tagged != tt.config.NoReferrers {
				t.Errorf("fallback tag there: %t", tagged)
			}
		})
	}
}

func TestAFallbackIndexOfOthersIsMergedAndNothingElseOverwritten(t *testing.T) {
	subject := manifest(t, "image", "")
	tag := "sha256-" + subject.Digest().Encoded()
	old := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","x-note":"keep","manifests":[` +
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + digest.FromString("old").String() + `","size":3,"x-more":7}]}`
	server := testregistry.Start(t, testregistry.Config{NoReferrers: true})
	server.PutBlob("app", []byte("{}"))
	repo := repository(t, client(t), server, "app")

	server.PutManifest("app", tag, ocispec.MediaTypeImageIndex, []byte(old))
	server.PutManifest("app", digest.FromString("old").String(), ocispec.MediaTypeImageManifest, []byte("old"))
	one := manifest(t, "one", subject.Digest())
	for range 2 {
		if err := repo.PutManifest(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := server.Manifest("app", tag)
	for _, part := range []string{`"x-note":"keep"`, `"x-more":7`, one.Digest().String(), `"artifactType":"application/x.note"`, `"note":"one"`} {
		if n := strings.Count(string(got.Bytes), part); n != 1 {
			t.Errorf("%s stands %d times in %s", part, n, got.Bytes)
		}
	}

	put(server, subject, tag)
	if err := repo.PutManifest(t.Context(), manifest(t, "two", subject.Digest())); err != nil {
		t.Fatal(err)
	}
	if got, _ := server.Manifest("app", tag); !bytes.Equal(got.Bytes, subject.Raw()) {
		t.Errorf("the tag was overwritten with %s", got.Bytes)
	}
	if got := referrers(t, repo, subject.Digest(), ""); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestThatAHostHasNoReferrersAPIIsRemembered(t *testing.T) {
	subject := manifest(t, "image", "").Digest()
	facts := contenttest.NewFacts()
	// Anything but a plain 404 may be the doing of something in between: the next process asks again.
	for answer, asked := range map[int64]int{404: 1, 405: 2, 406: 2, 303: 2, 400: 2} {
		t.Run(fmt.Sprint(answer), func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Faults: []fault{
				{Kind: testregistry.KindReferrers, Effect: testregistry.Answer, N: answer, Header: http.Header{"Location": {"/elsewhere"}}},
			}})
			server.PutBlob("app", []byte("{}"))
			for range 2 {
				c := client(t)
				c.Facts = facts
				repo := repository(t, c, server, "app")
				for range 2 {
					if got := referrers(t, repo, subject, ""); len(got) != 0 {
						t.Errorf("got %v", got)
					}
				}
			}
			if n := server.Count(testregistry.Is("", testregistry.KindReferrers)); n != asked {
				t.Errorf("asked %d times, want %d", n, asked)
			}
			if n := server.Count(testregistry.Is("", testregistry.KindManifest)); n != 4 {
				t.Errorf("the tag was looked up %d times, want 4", n)
			}
		})
	}
}

func TestAListOfReferrersThatGoesOnAndOnIsLeft(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{PageSize: 1})
	b := testimage.Builder{Seed: 1}
	root := b.Image("linux/amd64", b.Layer(testimage.Gzip, 10))
	for i := range 300 {
		b.Refer(root, fmt.Sprintf("application/vnd.test.%d", i))
	}
	b.Done(root).PutTo(server, "app", "v1")
	server.Reset()
	var listed int
	var last error
	for _, err := range repository(t, client(t), server, "app").Referrers(t.Context(), root.Digest, "") {
		if last = err; err == nil {
			listed++
		}
	}
	if asked := server.Count(testregistry.Is(http.MethodGet, testregistry.KindReferrers)); !errors.Is(last, content.ErrInvalid) || listed != 256 || asked > 257 {
		t.Errorf("%d were listed with %d requests, and then %v", listed, asked, last)
	}
}
