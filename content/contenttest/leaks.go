package contenttest

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// watchLeaks returns what reports goroutines, open files and temporary files
// that were not there when watchLeaks was called. Temporary files are counted in a
// folder that $TMPDIR names from now on.
func watchLeaks(t *testing.T) func(t *testing.T) {
	t.Helper()
	// A deep TMPDIR would break the paths of sockets; t.TempDir is not used here,
	// because it is where places keep files of their own.
	tmp, err := os.MkdirTemp("", "contract") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(tmp); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("TMPDIR", tmp)
	running := goleak.IgnoreCurrent()
	files := openFiles(t)
	return func(t *testing.T) {
		t.Helper()
		if err := goleak.Find(running); err != nil {
			t.Errorf("goroutines are left: %v", err)
		}
		for _, file := range openFiles(t) {
			if !slices.Contains(files, file) {
				t.Errorf("file is left open: %s", file)
			}
		}
		for _, file := range within(t, tmp) {
			if !strings.HasPrefix(file, "Test") { // t.TempDir's, removed when the test ends
				t.Errorf("temporary file is left: %s", file)
			}
		}
	}
}

// openFiles lists what regular files and folders this process has open, where
// the system tells.
func openFiles(t *testing.T) []string {
	t.Helper()
	if runtime.GOOS != "linux" {
		return nil
	}
	const own = "/proc/self/fd"
	var open []string
	for _, fd := range within(t, own) {
		to, err := os.Readlink(filepath.Join(own, fd))
		if err == nil && filepath.IsAbs(to) && !strings.HasPrefix(to, "/proc/") && !strings.HasPrefix(to, "/dev/") {
			open = append(open, to)
		}
	}
	return open
}

func within(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}
