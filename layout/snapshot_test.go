package layout

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// said returns what index.json says, one line for each entry.
func said(tb testing.TB, l *Layout) []string {
	tb.Helper()
	snap, err := l.Snapshot()
	if err != nil {
		tb.Fatal(err)
	}
	lines := []string{}
	for _, e := range snap.Entries() {
		lines = append(lines, e.Name+" "+e.Root.Digest.Encoded()[:8])
	}
	return lines
}

func checkSaid(tb testing.TB, l *Layout, want ...string) {
	tb.Helper()
	if got := said(tb, l); !slices.Equal(got, want) {
		tb.Errorf("index.json says %q, want %q", got, want)
	}
}

// stage puts an image into l and says nothing of it.
func stage(tb testing.TB, l *Layout, i testImage) {
	tb.Helper()
	put(tb, l.Stage(), i, "never:seen")
}

func snapshotOf(tb testing.TB, l *Layout) Snapshot {
	tb.Helper()
	snap, err := l.Snapshot()
	if err != nil {
		tb.Fatal(err)
	}
	read, err := ReadSnapshot(snap.Raw(), content.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	return read
}

func TestAMirrorSaysWhatTheStoreSays(t *testing.T) {
	s := newStore(t)
	one, two := anImage(t, "one"), anImage(t, "two")
	put(t, s, one, "docker.io/library/nginx:latest")
	put(t, s, two, two.m.Digest().String())
	dst, err := Create(filepath.Join(t.TempDir(), "mirror"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dst.Close() })
	other := anImage(t, "other")
	put(t, dst, other, "other:1")
	stage(t, dst, one)
	stage(t, dst, two)
	checkSaid(t, dst, "other:1 "+short(other))
	for range 2 {
		if err := dst.Mirror(t.Context(), snapshotOf(t, s.Layout)); err != nil {
			t.Fatal(err)
		}
		checkSaid(t, dst, "nginx:latest "+short(one), " "+short(two))
	}
	if roots := snapshotOf(t, dst).Roots(); len(roots) != 2 || roots[0].Size != one.m.Size() {
		t.Errorf("roots are %v", roots)
	}
}

func TestAdoptAddsWhatIsMissing(t *testing.T) {
	from := newStore(t)
	one, two, three := anImage(t, "one"), anImage(t, "two"), anImage(t, "three")
	put(t, from, one, "docker.io/library/nginx:latest")
	put(t, from, two, "docker.io/library/nginx:latest") // one is called by its digest now
	put(t, from, three, three.m.Digest().String())
	want := said(t, from.Layout)
	snap := snapshotOf(t, from.Layout)

	tests := []struct {
		name   string
		before func(t *testing.T, s *Store)
		want   []string
	}{
		{"an empty store", func(*testing.T, *Store) {}, want},
		{"a store that has more", func(t *testing.T, s *Store) {
			t.Helper()
			put(t, s, one, "quay.io/a/b:1")
		}, append([]string{"quay.io/a/b:1 " + short(one)}, want...)},
		{"an image that had no name", func(t *testing.T, s *Store) {
			t.Helper()
			put(t, s, two, two.m.Digest().String())
			put(t, s, three, three.m.Digest().String())
		}, append([]string{" " + short(three)}, want[:2]...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(t)
			tt.before(t, s)
			for _, i := range []testImage{one, two, three} {
				stage(t, s.Layout, i)
			}
			for range 2 {
				if err := s.Adopt(t.Context(), snap, Refuse); err != nil {
					t.Fatal(err)
				}
				checkSaid(t, s.Layout, tt.want...)
			}
		})
	}
}

func TestAdoptRefusesNamesThatStandForSomethingElse(t *testing.T) {
	from, s := newStore(t), newStore(t)
	one, two := anImage(t, "one"), anImage(t, "two")
	put(t, from, one, "docker.io/library/nginx:latest")
	put(t, from, one, "docker.io/library/nginx:1")
	put(t, s, two, "docker.io/library/nginx:latest")
	stage(t, s.Layout, one)
	snap := snapshotOf(t, from.Layout)
	clashes, err := s.Clashes(snap)
	if err != nil || !slices.Equal(clashes, []string{"nginx:latest"}) {
		t.Errorf("clashes are %q, %v", clashes, err)
	}
	err = s.Adopt(t.Context(), snap, Refuse)
	clash, ok := errors.AsType[*ClashError](err)
	if !ok || !slices.Equal(clash.Names, clashes) || !errors.Is(err, content.ErrConflict) {
		t.Errorf("error is %v", err)
	}
	checkSaid(t, s.Layout, "nginx:latest "+short(two))
	if err := s.Adopt(t.Context(), snap, Replace); err != nil {
		t.Fatal(err)
	}
	checkSaid(t, s.Layout, "nginx:latest "+short(one), "nginx:1 "+short(one), "nginx@"+two.m.Digest().String()+" "+short(two))
}

func TestAdoptTakesNoNameThatNoPlaceCanHave(t *testing.T) {
	s := newStore(t)
	one := anImage(t, "one")
	stage(t, s.Layout, one)
	e, err := newEntry(content.WithName(one.m.Descriptor(), "a\x1b[2Jb"))
	if err != nil {
		t.Fatal(err)
	}
	x := newIndex()
	x.entries = []entry{e}
	if err := s.Adopt(t.Context(), Snapshot{x}, Replace); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("error is %v, want invalid", err)
	}
	checkSaid(t, s.Layout)
}

func TestAMemoIsWhatWasKeptLast(t *testing.T) {
	s := newStore(t)
	if _, err := s.Memo(LastBackup); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("before: %v, want not found", err)
	}
	for _, text := range []string{"one", "two"} {
		if err := s.Keep(t.Context(), LastBackup, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if raw, err := s.Memo(LastBackup); err != nil || string(raw) != text {
			t.Errorf("it is %s, %v, want %s", raw, err, text)
		}
	}
}

func TestWhatIsReliedOnIsLeased(t *testing.T) {
	s := newStore(t)
	one := anImage(t, "one")
	put(t, s, one, "nginx:1")
	again, err := OpenStore(s.disk.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Rely(t.Context(), one.m.Descriptor()); err != nil {
		t.Fatal(err)
	}
	held, err := s.disk.leased()
	if err != nil || !slices.Contains(held, one.m.Digest()) {
		t.Errorf("leased are %v, %v", held, err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Rely(t.Context(), ocispec.Descriptor{Digest: "sha256:../../x"}); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("a digest that is none: %v", err)
	}
}
