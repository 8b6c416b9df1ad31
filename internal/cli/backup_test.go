package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/layout"
)

// storeOf makes a store of images, each called by its number.
func storeOf(t *testing.T, images ...contenttest.Image) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "store")
	s, err := layout.OpenStore(folder)
	if err != nil {
		t.Fatal(err)
	}
	for i, img := range images {
		if err := contenttest.Put(t.Context(), s, img, fmt.Sprintf("r.example/app:%d", i)); err != nil {
			t.Fatalf("%s: %v", img.Name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return folder
}

// said returns the names and digests that the index.json of a layout has.
func said(t *testing.T, folder string) []string {
	t.Helper()
	l, err := layout.Create(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	snap, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for _, e := range snap.Entries() {
		lines = append(lines, e.Name+" "+e.Root.Digest.String())
	}
	return lines
}

func checkSaid(t *testing.T, folder string, want []string) {
	t.Helper()
	if got := said(t, folder); !slices.Equal(got, want) {
		t.Errorf("%s has\n%s\nwant\n%s", folder, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// mustRun runs a command line that works.
func mustRun(t *testing.T, args ...string) outcome {
	t.Helper()
	got := run(t, args...)
	if got.code != 0 {
		t.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), got.code, got.errors)
	}
	return got
}

func TestEveryKindOfContentIsBackedUpAndRestored(t *testing.T) {
	store := storeOf(t, contenttest.Kinds(t)...)
	want := said(t, store)
	if len(want) < 10 {
		t.Fatalf("only %d entries", len(want))
	}
	at := t.TempDir()
	for _, to := range []string{filepath.Join(at, "mirror"), filepath.Join(at, "full.tar")} {
		mustRun(t, "--store", store, "backup", "-q", to)
		restored := filepath.Join(t.TempDir(), "store")
		mustRun(t, "--store", restored, "restore", "-q", to)
		checkSaid(t, restored, want)
		checkFiles(t, restored, store)
	}
}

// checkFiles compares the blobs of two layouts.
func checkFiles(t *testing.T, got, want string) {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(want, "blobs", "*", "*"))
	if err != nil || len(blobs) == 0 {
		t.Fatalf("%d blobs, %v", len(blobs), err)
	}
	for _, name := range blobs {
		path, err := filepath.Rel(want, name)
		if err != nil {
			t.Fatal(err)
		}
		a, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(got, path))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is not the same: %v", path, err)
		}
	}
}

// A trip ends a context when what is written to it has a word.
type trip struct {
	word string
	end  context.CancelFunc
	seen bytes.Buffer
}

func (w *trip) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.word) {
		w.end()
	}
	return w.seen.Write(p)
}

// interrupted runs a command line that is interrupted when the first blob is there.
func interrupted(t *testing.T, args ...string) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	errs := &trip{word: "blob-done", end: end}
	code := Main(ctx, append(args, "--progress", "json", "--jobs", "1"), Stdio{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: errs}, testEnv(t, nil))
	if code == 0 {
		t.Errorf("%s was not interrupted:\n%s", strings.Join(args, " "), errs.seen.String())
	}
}

func TestABackupThatIsInterruptedNamesNothingAndGoesOn(t *testing.T) {
	store := storeOf(t, contenttest.Kinds(t)...)
	want := said(t, store)
	at := t.TempDir()
	file, mirror, restored := filepath.Join(at, "full.tar"), filepath.Join(at, "mirror"), filepath.Join(at, "restored")

	interrupted(t, "--store", store, "backup", file)
	if left, err := filepath.Glob(filepath.Join(at, "*")); err != nil || len(left) > 0 {
		t.Errorf("%q is left of a file, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(store, ".wherry", "backup")); err == nil {
		t.Error("a backup is remembered that was not made")
	}
	all := bytesMoved(t, mustRun(t, "--store", store, "backup", "--json", file))

	interrupted(t, "--store", store, "backup", mirror)
	checkSaid(t, mirror, []string{})
	if got := bytesMoved(t, mustRun(t, "--store", store, "backup", "--json", mirror)); got == 0 || got >= all {
		t.Errorf("%d of %d bytes were moved again to a folder", got, all)
	}
	checkSaid(t, mirror, want)

	interrupted(t, "--store", restored, "restore", file)
	checkSaid(t, restored, []string{})
	if got := bytesMoved(t, mustRun(t, "--store", restored, "restore", "--json", file)); got == 0 || got >= all {
		t.Errorf("%d of %d bytes were restored again", got, all)
	}
	checkSaid(t, restored, want)
}

func bytesMoved(t *testing.T, o outcome) int64 {
	t.Helper()
	var result struct{ Bytes int64 }
	if err := json.Unmarshal([]byte(o.out), &result); err != nil {
		t.Fatal(err)
	}
	return result.Bytes
}
