package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// hubAt is a client to which Docker Hub and its own API are at one address.
func hubAt(t *testing.T, address string) *registry.Client {
	t.Helper()
	c := client(t)
	c.Facts = contenttest.NewFacts()
	c.Hosts = func(string) (*registry.Host, error) { return &registry.Host{Address: address, PlainHTTP: true}, nil }
	return c
}

func hubRepository(t *testing.T, c *registry.Client) *registry.Repository {
	t.Helper()
	r, err := c.Repository("docker.io", "app")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAListingHasNoMorePagesThanTags asks an API that always says that there is one page more.
func TestAListingHasNoMorePagesThanTags(t *testing.T) {
	var pages atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		pages.Add(1)
		_, _ = fmt.Fprintf(w, `{"next": "https://hub.docker.com/x", "results": [{"name": "v%s"}, {"name": "v1"}]}`, req.URL.Query().Get("page"))
	}))
	t.Cleanup(server.Close)
	got, err := hubRepository(t, hubAt(t, strings.TrimPrefix(server.URL, "http://"))).Listing(t.Context(), 501)
	if err != nil || len(got.Tags) != 6 || got.By != "Docker Hub" {
		t.Errorf("%d tags, %v", len(got.Tags), err)
	}
	if n := pages.Load(); n != 6 {
		t.Errorf("%d pages of 100 tags, want 6 for 501", n)
	}
}

func TestAListingThatFailsIsNotAskedForAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		again  bool // of another repository of the host
		twice  bool // of the same
	}{
		{"a repository that is not public", 404, "", true, false},
		{"who wants a login", 401, "", true, false},
		{"what is no listing", 200, `[]`, true, false},
		{"a server that is down", 503, "", false, false},
		{"a web page", 200, `<html>`, false, false},
		{"a limit", 429, "", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			t.Cleanup(server.Close)
			c := hubAt(t, strings.TrimPrefix(server.URL, "http://"))
			c.Retries = 1
			app := hubRepository(t, c)
			if _, err := app.Listing(t.Context(), 3); err == nil {
				t.Fatal("there is a listing")
			}
			other, err := c.Repository("docker.io", "other")
			if err != nil {
				t.Fatal(err)
			}
			_, _, twice := app.HasListing(3)
			_, _, again := other.HasListing(3)
			if twice != tt.twice || again != tt.again {
				t.Errorf("asked again of the repository: %t, of another: %t; want %t, %t", twice, again, tt.twice, tt.again)
			}
		})
	}
}

func TestASlowListingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &registry.Client{Retries: 1, Watch: func(http.RoundTripper) http.RoundTripper {
			return roundTripper(func(req *http.Request) (*http.Response, error) {
				<-req.Context().Done()
				return nil, context.Cause(req.Context())
			})
		}}
		start := time.Now()
		_, err := hubRepository(t, c).Listing(t.Context(), 3)
		if !errors.Is(err, content.ErrUnavailable) || time.Since(start) > 10*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestWhoHasNoListingIsNotAsked(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{})
	put(server, manifest(t, "one", ""), "v1")
	repo := repository(t, client(t), server, "app")
	if by, _, may := repo.HasListing(1); may {
		t.Errorf("%s has a listing of %s", server.Host(), by)
	}
	if _, err := repo.Listing(t.Context(), 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	if n := server.Count(testregistry.NotToken); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestAListOfEverNewPagesWithTheSameTagsEnds is about registries that do not heed last.
func TestAListOfEverNewPagesWithTheSameTagsEnds(t *testing.T) {
	var pages atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", fmt.Sprintf(`</v2/app/tags/list?last=c&page=%d>; rel="next"`, pages.Add(1)))
		_ = json.NewEncoder(w).Encode(map[string][]string{"tags": {"a", "b", "c"}})
	}))
	t.Cleanup(server.Close)
	repo, err := client(t).Repository(strings.TrimPrefix(server.URL, "http://"), "app")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for tag, err := range repo.Tags(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, tag)
	}
	if n := pages.Load(); n != 2 || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%v on %d pages", got, n)
	}
}
