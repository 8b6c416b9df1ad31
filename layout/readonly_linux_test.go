package layout

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wherry-dev/wherry/content"
)

// asNobody runs f with the rights of a user who owns nothing, if this process
// may do all.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody = 65534
	if _, err := unix.SetfsuidRetUid(nobody); err != nil {
		t.Fatal(err)
	}
	f()
	if _, err := unix.SetfsuidRetUid(0); err != nil {
		t.Fatal(err)
	}
}

// chmodUp changes the mode of folder and of what it is in, up to the system's
// folder for temporary files.
func chmodUp(t *testing.T, folder string, mode os.FileMode) {
	t.Helper()
	for ; len(folder) > len(os.TempDir()); folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFolderThatCannotBeWrittenToIsLeftAlone(t *testing.T) {
	full, empty := created(t), t.TempDir()
	put(t, full, anImage(t, "a"), "v1")
	for _, folder := range []string{full.disk.path, empty} {
		chmodUp(t, folder, 0o555)
		t.Cleanup(func() { chmodUp(t, folder, 0o755) })
	}
	asNobody(t, func() {
		for name, sink := range map[string]content.Sink{
			"an empty folder":     closed(t)(Create(empty)),
			"a new folder":        closed(t)(Create(filepath.Join(empty, "new"))),
			"a layout":            closed(t)(Create(full.disk.path)),
			"an empty dir folder": closedDir(t)(CreateDir(empty)),
			"a new dir folder":    closedDir(t)(CreateDir(filepath.Join(empty, "new"))),
		} {
			if got, err := sink.PutBlob(t.Context(), bytesOf("", "new")); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("PutBlob in %s = %v, %v", name, got, err)
			}
		}
		if _, err := whole(t.Context(), full.disk.path, "v1"); err != nil {
			t.Errorf("reading: %v", err)
		}
	})
	if left := listing(t, empty); left != "" {
		t.Errorf("%s is left", left)
	}
}
