package layout

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
)

func TestLayoutKeepsTheContract(t *testing.T) {
	names := map[string]func(tag string) string{
		"by tag":            nil,
		"by full reference": func(tag string) string { return "registry.example:5000/team/app:" + tag },
	}
	for name, f := range names {
		t.Run(name, func(t *testing.T) { contenttest.Run(t, contenttest.Place{New: newLayout, Name: f}) })
	}
}

func newLayout(t *testing.T) contenttest.Instance {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layout")
	again := func(t *testing.T) *Layout { t.Helper(); return closed(t)(Create(path)) }
	return contenttest.Instance{
		Sink:   again(t),
		Reopen: func(t *testing.T) content.Source { t.Helper(); return closed(t)(Open(path)) },
		Again:  func(t *testing.T) content.Sink { t.Helper(); return again(t) },
		Strays: func(t *testing.T) []string { t.Helper(); return strays(t, path) },
	}
}

// closed returns what closes a layout at the end of the test.
func closed(tb testing.TB) func(l *Layout, err error) *Layout {
	tb.Helper()
	return func(l *Layout, err error) *Layout {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := l.Close(); err != nil {
				tb.Error(err)
			}
		})
		return l
	}
}

// strays lists the files of a layout that are neither its own nor blobs nor
// marks of verification.
func strays(tb testing.TB, path string) []string {
	tb.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(path), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.Contains([]string{indexFile, markerFile}, name) {
			return err
		}
		for _, known := range []string{"blobs/sha256/*", "blobs/sha512/*", verifiedDir + "/*"} {
			if ok, _ := filepath.Match(known, name); ok {
				return nil
			}
		}
		found = append(found, name)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return found
}
