package archive_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wherry-dev/wherry/archive"
)

// A save that was killed left its file behind for ever.
func TestWhatKilledProcessesLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.tar")
	live, err := archive.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	under, err := os.ReadDir(dir)
	if err != nil || len(under) != 1 {
		t.Fatalf("%v, %v: want one file", under, err)
	}
	foreign := []string{".x.tar.part", ".x.tar.abc.part", ".y.tar.ABCDEFGH.part", "x.tar.ABCDEFGH.part", ".x.tar.ABCDEFG1.part"}
	for _, name := range append([]string{".x.tar.ABCDEFGH.part"}, foreign...) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("left"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := archive.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []*archive.Writer{live, again} {
		if err := w.Commit(t.Context()); err != nil {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	want := slices.Sorted(slices.Values(append(foreign, "x.tar")))
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
}
