package layout

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// uses returns the lines of the file.
func uses(tb testing.TB, s *Store) []string {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(s.disk.path, usesFile))
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

func TestAStoreKnowsWhatWasDoneWithItsImages(t *testing.T) {
	s := newStore(t)
	one := anImage(t, "one")
	d, at := one.m.Digest(), time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	s.Note(t.Context(), Use{Deed: Pulled, Digest: d})
	if _, err := os.Stat(s.disk.path); !os.IsNotExist(err) {
		t.Fatalf("a store was made: %v", err)
	}
	put(t, s, one, "app:1")
	s.Note(t.Context(),
		Use{Deed: Pulled, Digest: d, Name: "app:1", From: "registry.example/app:1\tand\nmore", Time: at},
		Use{Deed: Loaded, Digest: digest.FromString("other"), Time: at})
	s.Note(t.Context(), Use{Deed: Tagged, Digest: d, Name: "app:2", Time: at.Add(2 * time.Hour)})
	for _, minutes := range []int{150, 220, 279, 281} {
		s.Note(t.Context(), Use{Deed: Used, Digest: d, Time: at.Add(time.Duration(minutes) * time.Minute)})
	}
	if got := uses(t, s); len(got) != 5 {
		t.Errorf("of uses within an hour one is enough: %q", got)
	}
	want := History{Came: at, From: "registry.example/app:1 and more", Named: at.Add(2 * time.Hour), Used: at.Add(281 * time.Minute)}
	if got := s.Uses()[d]; got != want {
		t.Errorf("it is %+v, want %+v", got, want)
	}
	if s.StoredAt(d).IsZero() || !s.StoredAt(digest.FromString("other")).IsZero() {
		t.Error("StoredAt")
	}
}

func TestUsesThatCountNoMoreAreTakenOut(t *testing.T) {
	s := newStore(t)
	one := anImage(t, "one")
	put(t, s, one, "app:1")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var many []Use
	for n := range 6000 {
		many = append(many, Use{
			Deed: []Deed{Pulled, Tagged}[n%2], Digest: []digest.Digest{one.m.Digest(), digest.FromString("gone")}[n/2%2],
			From: strings.Repeat("x", 100), Time: at.Add(time.Duration(n) * time.Second),
		})
	}
	s.Note(t.Context(), many...)
	if got := uses(t, s); len(got) != 2 {
		t.Errorf("%d lines are left", len(got))
	}
	if got := s.Uses()[one.m.Digest()]; !got.Came.Equal(at.Add(5996*time.Second)) || !got.Named.Equal(at.Add(5997*time.Second)) {
		t.Errorf("it is %+v", got)
	}
}

func TestALineThatIsNoUseIsNone(t *testing.T) {
	for _, line := range []string{
		"", "\n", "x", "2026-01-02T03:04:05Z\tpulled\tsha256:12", "2026-01-02T03:04:05Z\teaten\t" + digest.FromString("x").String(),
		"now\tpulled\t" + digest.FromString("x").String(),
	} {
		if u, ok := parseUse(line); ok {
			t.Errorf("%q is %+v", line, u)
		}
	}
}

// Facts about images that are gone do not stay for ever.
func TestFactsAreWrittenAnewWhenMostAreAboutWhatIsGone(t *testing.T) {
	s := newStore(t)
	one := anImageFor(t, content.HostPlatform(), time.Unix(1, 0), nil, "one")
	put(t, s, one, "app:1")
	before := images(t, s)
	var gone strings.Builder
	for n := range 300 {
		d := digest.FromString(fmt.Sprint(n))
		line, _ := fact{digest: d, variant: Variant{ID: d}}.line()
		gone.WriteString(line)
	}
	if err := s.disk.appendTo(factsFile, gone.String()); err != nil {
		t.Fatal(err)
	}
	if after := images(t, s); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("listed are %q, before %q", after, before)
	}
	raw, err := os.ReadFile(filepath.Join(s.disk.path, factsFile))
	if err != nil || strings.Count(string(raw), "\n") != 1 || !strings.Contains(string(raw), one.m.Digest().String()) {
		t.Errorf("the file is %.500q, %v", raw, err)
	}
	if left := strays(t, s.disk.path); !slices.Equal(left, []string{factsFile}) {
		t.Errorf("%q are left", left)
	}
}
