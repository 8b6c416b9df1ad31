package layout

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func TestFactsThatWereCutOffAreReadAgain(t *testing.T) {
	s := newStore(t)
	first := anImageFor(t, content.HostPlatform(), time.Unix(1e9, 0), map[string]string{"a": "b"}, "first")
	second := anImageFor(t, content.HostPlatform(), time.Unix(2e9, 0), nil, "second")
	x := anIndex(t, first.m, second.m)
	put(t, s, first, "first:1")
	put(t, s, second, "second:1")
	if err := s.PutManifest(t.Context(), x, "x:1"); err != nil {
		t.Fatal(err)
	}
	want, err := s.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.disk.path, factsFile)
	facts, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range facts {
		for _, after := range [][]byte{nil, facts} {
			if err := os.WriteFile(file, append(facts[:n:n], after...), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := s.Images(t.Context())
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("cut off after %d bytes: %+v, %v; want %+v", n, got, err, want)
			}
		}
	}
}

func TestAVariantIsForWhatItsIndexSays(t *testing.T) {
	s := newStore(t)
	im := anImageFor(t, content.Platform{OS: "linux", Architecture: "arm"}, time.Unix(1, 0), nil, "arm")
	child := im.m.Descriptor()
	child.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	x := parsed(t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{child},
	})
	put(t, s, im)
	if err := s.PutManifest(t.Context(), x, "app:1"); err != nil {
		t.Fatal(err)
	}
	i, err := s.Find(t.Context(), "app:1")
	if want := (content.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}); err != nil || len(i.Variants) != 1 || i.Variants[0].Platform != want {
		t.Errorf("variants %+v, %v; want one for %s", i.Variants, err, want)
	}
}
