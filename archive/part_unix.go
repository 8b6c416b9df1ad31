//go:build unix && !aix && !solaris

package archive

import (
	"errors"
	"os"
	"syscall"
)

// hold locks f until it is closed; false where another process looks at it just
// now. File systems without locks have none.
func hold(f *os.File) bool {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return !errors.Is(err, syscall.EWOULDBLOCK)
}

// removeDead removes the file at path if no process holds it.
func removeDead(path string) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // nothing was written to it
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		_ = os.Remove(path) // what stays harms nobody
	}
}

// publish gives f its name by rename once its bytes are on disk. Its lock is held
// until it has it.
func publish(f *os.File, rename func() error) error {
	err := f.Sync()
	if err == nil {
		err = rename()
	}
	return errors.Join(err, f.Close())
}
