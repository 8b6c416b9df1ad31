package layout

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/durable"
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
// marks of verification nor leases of runs that have not ended.
func strays(tb testing.TB, path string) []string {
	tb.Helper()
	var found []string
	running := heldLeases(tb, path)
	err := fs.WalkDir(os.DirFS(path), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.Contains([]string{indexFile, markerFile}, name) {
			return err
		}
		known := []string{"blobs/sha256/*", "blobs/sha512/*", verifiedDir + "/*"}
		for _, lease := range running {
			known = append(known, gateFile, lease, lease+lockEnd)
		}
		for _, known := range known {
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

// heldLeases lists the leases at path of runs that have not ended.
func heldLeases(tb testing.TB, path string) (held []string) {
	tb.Helper()
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		tb.Fatal(err)
	}
	locks, err := filepath.Glob(filepath.Join(path, leasesDir, "*"+lockEnd))
	for _, lock := range locks {
		name := leasesDir + "/" + filepath.Base(lock)
		l, err := durable.Try(root, name)
		if err == nil {
			err = l.Release()
		} else if errors.Is(err, durable.ErrHeld) {
			held, err = append(held, strings.TrimSuffix(name, lockEnd)), nil
		}
		if err != nil {
			tb.Error(err)
		}
	}
	if err := errors.Join(err, root.Close()); err != nil {
		tb.Fatal(err)
	}
	return held
}
