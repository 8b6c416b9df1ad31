package layout

import (
	"os"
	"path/filepath"
	"testing"
	"time"

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
			if err != nil || len(got) != len(want) {
				t.Fatalf("after %d bytes: %d images, %v", n, len(got), err)
			}
			for i := range got {
				for at, v := range got[i].Variants {
					if v != want[i].Variants[at] || len(got[i].Offers) != len(want[i].Offers) {
						t.Errorf("cut off after %d bytes: %+v, want %+v", n, got[i], want[i])
					}
				}
			}
		}
	}
}
