package registry_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

// A digest that a registry names for a tag should be there. Where it is not, that
// is the registry's word against itself, and nothing the user named is missing.
func TestADigestThatWasNamedForATagAndIsMissing(t *testing.T) {
	m := manifest(t, "one", "")
	wrong := digest.FromString("not this")
	tests := []struct {
		name   string
		faults []fault
		ask    digest.Digest
		want   error
		says   string // part of the error
	}{
		{"because HEAD names a wrong one", []fault{{Method: http.MethodHead, Effect: testregistry.DigestHeader, Value: "wrong"}}, wrong, content.ErrCorrupt, "names digest " + wrong.String() + " for tag v1 and does not have it"},
		{"because every answer names a wrong one", []fault{{Effect: testregistry.DigestHeader, Value: "wrong"}}, wrong, content.ErrCorrupt, "names digest"},
		{"but the tag gives it", []fault{{Method: http.MethodGet, Ref: "sha256:", Effect: testregistry.Answer, N: 404}}, m.Digest(), nil, ""},
		{"and so is the tag, meanwhile", []fault{
			{Method: http.MethodHead, Effect: testregistry.DigestHeader, Value: "wrong"},
			{Method: http.MethodGet, Effect: testregistry.Answer, N: 404},
		}, wrong, content.ErrNotFound, "404"},
		{"but nobody named it", nil, wrong, content.ErrNotFound, "404"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Faults: tt.faults})
			put(server, m, "v1")
			repo := repository(t, client(t), server, "app")
			if _, err := repo.Resolve(t.Context(), "v1"); err != nil {
				t.Fatal(err)
			}
			got, err := repo.Manifest(t.Context(), tt.ask.String())
			if !errors.Is(err, tt.want) || err == nil && got.Digest() != tt.ask {
				t.Fatalf("got %s, error %v; want %v", got.Digest(), err, tt.want)
			}
			if tt.want != nil && (!strings.Contains(err.Error(), tt.says) || errors.Is(err, content.ErrNotFound) != errors.Is(tt.want, content.ErrNotFound)) {
				t.Errorf("error %v, want it to say %q", err, tt.says)
			}
		})
	}
}

func TestADigestThatWasThereOnceIsNotFoundLater(t *testing.T) {
	m := manifest(t, "one", "")
	server := testregistry.Start(t, testregistry.Config{})
	put(server, m, "v1")
	repo := repository(t, client(t), server, "app")
	d, err := repo.Resolve(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Manifest(t.Context(), d.Digest.String()); err != nil {
		t.Fatal(err)
	}
	put(server, manifest(t, "two", ""), "v1")
	server.SetFaults(fault{Method: http.MethodGet, Ref: d.Digest.String(), Effect: testregistry.Answer, N: 404})
	if _, err := repo.Manifest(t.Context(), d.Digest.String()); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("error %v, want not found", err)
	}
}
