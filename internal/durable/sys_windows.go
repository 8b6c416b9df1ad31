package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// nonblock is nothing: folders hold no pipes here.
const nonblock = 0

// SyncDir does nothing: the file system keeps its names in a journal, and a
// folder cannot be flushed.
func SyncDir(*os.Root, string) error { return nil }

// IsFull reports whether err says that the disk or a quota leaves no room.
func IsFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// flock takes the kernel's lock on f without waiting. The kernel gives it up
// when the process ends, however it ends.
func flock(f *os.File, m mode) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var how uint32 = windows.LOCKFILE_FAIL_IMMEDIATELY
	if m == alone {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	var lockErr error
	err = conn.Control(func(fd uintptr) {
		lockErr = windows.LockFileEx(windows.Handle(fd), how, 0, 1, 0, &windows.Overlapped{})
	})
	if err != nil {
		return err
	}
	switch {
	case errors.Is(lockErr, windows.ERROR_LOCK_VIOLATION), errors.Is(lockErr, windows.ERROR_IO_PENDING):
		return ErrHeld
	case errors.Is(lockErr, windows.ERROR_NOT_SUPPORTED), errors.Is(lockErr, windows.ERROR_INVALID_FUNCTION):
		return errors.ErrUnsupported
	}
	return lockErr
}

// unlock gives up the kernel's lock on f.
func unlock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = conn.Control(func(fd uintptr) {
		lockErr = windows.UnlockFileEx(windows.Handle(fd), 0, 1, 0, &windows.Overlapped{})
	})
	return errors.Join(lockErr, err)
}

// alive reports whether process pid runs on this machine.
func alive(pid int) bool {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid)) //nolint:gosec // a process id is 32 bits wide
	if err != nil {
		return errors.Is(err, windows.ERROR_ACCESS_DENIED)
	}
	var code uint32
	err = windows.GetExitCodeProcess(h, &code)
	const stillActive = 259
	return errors.Join(err, windows.CloseHandle(h)) != nil || code == stillActive
}

// private is always true: what is below a user's folder has that user's rights.
func private(os.FileInfo) bool { return true }

// Sole reports whether f has no other name than the one it was opened by.
func Sole(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var info windows.ByHandleFileInformation
	var infoErr error
	err = conn.Control(func(fd uintptr) {
		infoErr = windows.GetFileInformationByHandle(windows.Handle(fd), &info)
	})
	return err == nil && infoErr == nil && info.NumberOfLinks == 1
}
