package archive_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
)

// newWriter begins an archive with an image that has no name yet.
func newWriter(t *testing.T, path, layer string) (*archive.Writer, content.Manifest) {
	t.Helper()
	w, err := archive.Create(path)
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	return w, put(t, w, "amd64", layer)
}

func TestAnArchiveThatIsThereIsNotReplacedByNewNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.tar")
	w, old := newWriter(t, path, "old")
	kept, err := w.PutNewNames(t.Context(), old, "app:v1", "app:v2")
	if err != nil || kept != nil {
		t.Fatalf("in a new file: kept %q, %v", kept, err)
	}
	must(t, w.Commit(t.Context()))
	before, err := os.ReadFile(path)
	must(t, err)

	tests := []struct {
		name  string
		names []string
		kept  []string
		want  error
	}{
		{"a name it has", []string{"app:v1"}, []string{"app:v1"}, nil},
		{"the same to docker", []string{"docker.io/library/app:v2", "app:v1"}, []string{"docker.io/library/app:v2", "app:v1"}, nil},
		{"a name it has not", []string{"app:v3"}, nil, content.ErrConflict},
		{"one of each", []string{"app:v1", "app:v3"}, nil, content.ErrConflict},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, m := newWriter(t, path, "new")
			d, err := w.Holder(t.Context(), tt.names[0])
			if tt.kept != nil && (err != nil || d.Digest != old.Digest()) {
				t.Errorf("Holder = %s, %v", d.Digest, err)
			}
			kept, err := w.PutNewNames(t.Context(), m, tt.names...)
			if !errors.Is(err, tt.want) || !slices.Equal(kept, tt.kept) {
				t.Errorf("kept %q, %v; want %q, %v", kept, err, tt.kept, tt.want)
			}
			if tt.want == nil {
				must(t, w.Commit(t.Context()))
			}
			if after, err := os.ReadFile(path); err != nil || !slices.Equal(after, before) {
				t.Errorf("the archive has changed, %v", err)
			}
		})
	}
}

func TestOfTwoNewArchivesTheFirstGetsThePath(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.tar")
	one, first := newWriter(t, path, "one")
	two, second := newWriter(t, path, "two")
	for w, m := range map[*archive.Writer]content.Manifest{one: first, two: second} {
		if kept, err := w.PutNewNames(t.Context(), m, "app:v1"); err != nil || kept != nil {
			t.Fatalf("kept %q, %v", kept, err)
		}
	}
	must(t, one.Commit(t.Context()))
	if err := two.Commit(t.Context()); !errors.Is(err, content.ErrConflict) {
		t.Errorf("Commit = %v, want a conflict", err)
	}
	must(t, two.Close())
	a, err := archive.Open(t.Context(), path, archive.Options{})
	closed(t, a, err)
	if m, err := a.Manifest(t.Context(), "app:v1"); err != nil || m.Digest() != first.Digest() {
		t.Errorf("app:v1 = %s, %v", m.Digest(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestAFileThatIsNoArchiveIsLeftAlone(t *testing.T) {
	path := write(t, []byte("precious"))
	w, m := newWriter(t, path, "new")
	if kept, err := w.PutNewNames(t.Context(), m, "app:v1"); !errors.Is(err, content.ErrConflict) {
		t.Errorf("kept %q, %v", kept, err)
	}
}
