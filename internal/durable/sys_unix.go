//go:build unix

package durable

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// nonblock keeps an open from waiting for the other end of a pipe.
const nonblock = syscall.O_NONBLOCK

// SyncDir makes the names in dir durable.
func SyncDir(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	// Some network and FUSE file systems cannot sync a folder: names are durable there, or nothing can be done.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// IsFull reports whether err says that the disk, a quota or a limit on file
// sizes leaves no room.
func IsFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// flock takes the kernel's lock on f without waiting. The kernel gives it up
// when the process ends, however it ends.
func flock(f *os.File, m mode) error {
	how := unix.LOCK_EX
	if m == shared {
		how = unix.LOCK_SH
	}
	lockErr, err := control(f, how|unix.LOCK_NB)
	switch {
	case err != nil:
		return err
	case errors.Is(lockErr, unix.EWOULDBLOCK):
		return ErrHeld
	case errors.Is(lockErr, unix.ENOTSUP), errors.Is(lockErr, unix.ENOSYS), errors.Is(lockErr, unix.ENOLCK), errors.Is(lockErr, unix.EINVAL):
		return errors.ErrUnsupported
	}
	return lockErr
}

// unlock gives up the kernel's lock on f.
func unlock(f *os.File) error {
	return errors.Join(control(f, unix.LOCK_UN))
}

// control asks the kernel for what how says about its lock on f.
func control(f *os.File, how int) (lockErr, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	err = conn.Control(func(fd uintptr) {
		lockErr = unix.Flock(int(fd), how)
		for errors.Is(lockErr, unix.EINTR) {
			lockErr = unix.Flock(int(fd), how)
		}
	})
	return lockErr, err
}

// alive reports whether process pid runs on this machine.
func alive(pid int) bool {
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

// private reports whether a file is this user's, and for nobody else to read or write.
func private(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && fi.Mode().Perm()&0o077 == 0
}

// Sole reports whether f has no other name than the one it was opened by.
func Sole(f *os.File) bool {
	fi, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 1
}
