package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// unprivileged takes from root, for the rest of the test, the right to read every
// file: its thread goes on as nobody where files are concerned. The folders around
// home, which is the test's own, are opened to all.
func unprivileged(t *testing.T, home string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for _, dir := range []string{filepath.Dir(home), home, filepath.Join(home, ".docker")} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65534
	runtime.LockOSThread()
	t.Cleanup(func() {
		if err := syscall.Setfsuid(0); err != nil {
			t.Error(err) // the thread stays locked, and ends with the test
			return
		}
		runtime.UnlockOSThread()
	})
	if err := syscall.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
}
