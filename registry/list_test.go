package registry_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

func TestTagsComeFromAllPagesOnce(t *testing.T) {
	m := manifest(t, "one", "")
	seven := []string{"a", "b", "c", "d", "e", "f", "g"}
	tests := []struct {
		name   string
		config testregistry.Config
		want   []string
		err    error
		pages  int
	}{
		{"of one page", testregistry.Config{}, seven, nil, 1},
		{"of pages of two", testregistry.Config{PageSize: 2}, seven, nil, 4},
		{"of a page that follows itself", testregistry.Config{Faults: []fault{{Effect: testregistry.LinkHeader, Value: "self"}}}, seven, nil, 2},
		{"that go on at another host", testregistry.Config{Faults: []fault{{Effect: testregistry.LinkHeader, Value: "http://127.0.0.2"}}}, nil, content.ErrInvalid, 1},
		{"with null among them", testregistry.Config{Faults: []fault{
			{Kind: testregistry.KindTags, Effect: testregistry.Answer, N: 200, Body: `{"name":"app","tags":["a",null,"b","a"]}`},
		}}, []string{"a", "b"}, nil, 1},
		{"with an empty page among them", testregistry.Config{PageSize: 2, Faults: []fault{
			{
				Kind: testregistry.KindTags, Effect: testregistry.Answer, N: 200, Body: `{"name":"app","tags":[]}`, Times: 1,
				Header: http.Header{"Link": {`</v2/app/tags/list?n=2&last=a>; rel="next"`}},
			},
		}}, seven[1:], nil, 4},
		{"with two empty pages before them", testregistry.Config{Faults: []fault{
			{Kind: testregistry.KindTags, Effect: testregistry.Answer, N: 200, Body: `{"name":"app","tags":[]}`, Times: 1, Header: http.Header{"Link": {`</v2/app/tags/list?last=0>; rel="next"`}}},
			{Kind: testregistry.KindTags, Effect: testregistry.Answer, N: 200, Body: `{"name":"app","tags":[]}`, Nth: 2, Times: 1, Header: http.Header{"Link": {`</v2/app/tags/list?last=1>; rel="next"`}}},
		}}, seven, nil, 3},
		{"that are null", testregistry.Config{Faults: []fault{
			{Kind: testregistry.KindTags, Effect: testregistry.Answer, N: 200, Body: `{"name":"app","tags":null}`},
		}}, nil, nil, 1},
		{"that are no list", testregistry.Config{Faults: []fault{
			{Kind: testregistry.KindTags, Effect: testregistry.Answer, N: 200, Body: `{"name":"app","tags":{}}`},
		}}, nil, content.ErrInvalid, 1},
		{"of a page that is too large", testregistry.Config{Faults: []fault{{Kind: testregistry.KindTags, Effect: testregistry.Longer, N: 4 << 20}}}, nil, content.ErrInvalid, 1},
		{"behind a web page", testregistry.Config{Faults: []fault{{Kind: testregistry.KindTags, Effect: testregistry.HTML}}}, nil, content.ErrUnavailable, 1},
		{"of a repository that is not there", testregistry.Config{Faults: []fault{{Kind: testregistry.KindTags, Effect: testregistry.Answer, N: 404}}}, nil, content.ErrNotFound, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, tt.config)
			for _, tag := range seven {
				put(server, m, tag)
			}
			var got []string
			var failed error
			for tag, err := range repository(t, client(t), server, "app").Tags(t.Context()) {
				if err != nil {
					failed = err
					break
				}
				got = append(got, tag)
			}
			if !errors.Is(failed, tt.err) || tt.err == nil && !slices.Equal(got, tt.want) {
				t.Errorf("%v, %v; want %v, %v", got, failed, tt.want, tt.err)
			}
			if n := server.Count(testregistry.Is("GET", testregistry.KindTags)); n != tt.pages {
				t.Errorf("%d pages, want %d", n, tt.pages)
			}
		})
	}
}

func TestCatalogListsRepositories(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{PageSize: 1, Auth: testregistry.Auth{
		Scheme: testregistry.Bearer, Users: map[string]string{"ann": "secret"},
	}})
	server.PutBlob("one", nil)
	server.PutBlob("two/three", nil)
	var got []string
	for name, err := range client(t).Catalog(t.Context(), server.Host()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	if !slices.Equal(got, []string{"one", "two/three"}) {
		t.Errorf("got %v", got)
	}
}

func TestDeletingTakesAwayWhatWasNamed(t *testing.T) {
	m := manifest(t, "one", "")
	bearer := testregistry.Auth{Scheme: testregistry.Bearer, Users: map[string]string{"ann": "secret"}}
	for _, config := range []testregistry.Config{{}, {Auth: bearer}} {
		server := testregistry.Start(t, config)
		put(server, m, "v1")
		put(server, m, "v2")
		repo := repository(t, client(t), server, "app")
		if err := repo.Untag(t.Context(), "v1"); err != nil {
			t.Fatal(err)
		}
		if _, there := server.Manifest("app", "v2"); !there {
			t.Error("another tag went too")
		}
		if err := repo.Untag(t.Context(), "v1"); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("again: error %v", err)
		}
		if err := repo.Untag(t.Context(), m.Digest().String()); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("a digest is no tag: error %v", err)
		}
		if err := repo.DeleteManifest(t.Context(), m.Digest()); err != nil {
			t.Error(err)
		}
		if _, there := server.Manifest("app", "v2"); there {
			t.Error("the manifest is still there")
		}
	}
	server := testregistry.Start(t, testregistry.Config{NoDelete: true})
	put(server, m, "v1")
	if err := repository(t, client(t), server, "app").Untag(t.Context(), "v1"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("deletion switched off: error %v", err)
	}
}
