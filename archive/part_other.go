//go:build !unix || aix || solaris

package archive

import (
	"errors"
	"os"
	"runtime"
)

// hold has nothing to do: Windows removes no file that is open.
func hold(*os.File) bool { return true }

// removeDead removes the file at path where one that is in use cannot be removed.
func removeDead(path string) {
	if runtime.GOOS == "windows" {
		_ = os.Remove(path) // what stays harms nobody
	}
}

// publish gives f, which is at temp, its name once its bytes are on disk.
func publish(f *os.File, temp, path string) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
