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

// publish gives f its name by rename once its bytes are on disk.
func publish(f *os.File, rename func() error) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return rename()
}
