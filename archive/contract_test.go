package archive_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
)

func TestArchiveKeepsTheContract(t *testing.T) {
	names := map[string]func(tag string) string{
		"by tag":            nil,
		"by full reference": func(tag string) string { return "registry.example:5000/team/app:" + tag },
		"by docker's name":  func(tag string) string { return "app:" + tag },
	}
	for name, f := range names {
		t.Run(name+", read at random", func(t *testing.T) {
			contenttest.Run(t, contenttest.Place{New: written(archive.Open), Name: f})
		})
	}
	t.Run("read as a stream", func(t *testing.T) {
		contenttest.Run(t, contenttest.Place{New: written(readFile)})
	})
}

type opener func(ctx context.Context, path string, o archive.Options) (*archive.Archive, error)

// readFile reads the file at path as if it came through a pipe.
func readFile(ctx context.Context, path string, o archive.Options) (*archive.Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	a, err := archive.Read(ctx, f, o)
	return a, errors.Join(err, f.Close())
}

func written(open opener) func(t *testing.T) contenttest.Instance {
	return func(t *testing.T) contenttest.Instance {
		t.Helper()
		path := filepath.Join(t.TempDir(), "images.tar")
		return contenttest.Instance{
			Sink: create(t, path),
			Reopen: func(t *testing.T) content.Source {
				t.Helper()
				a, err := open(t.Context(), path, archive.Options{TempDir: t.TempDir()})
				return closed(t, a, err)
			},
			Strays: func(t *testing.T) []string { t.Helper(); return beside(t, path) },
		}
	}
}

func create(t *testing.T, path string) *archive.Writer {
	t.Helper()
	w, err := archive.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

// closed closes a at the end of the test.
func closed(t *testing.T, a *archive.Archive, err error) *archive.Archive {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return a
}

// beside lists what lies beside path.
func beside(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == filepath.Base(path) })
}
