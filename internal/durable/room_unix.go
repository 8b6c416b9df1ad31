//go:build linux || darwin

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// room asks for the file system of path, which fi is about.
func room(path string, fi fs.FileInfo) (disk string, free int64, err error) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return "", 0, errors.ErrUnsupported
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return "", 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if fs.Blocks == 0 {
		return "", 0, errors.ErrUnsupported // some that are reached over a network say nothing
	}
	blocks := fs.Bavail
	if os.Geteuid() == 0 {
		blocks = fs.Bfree // what is reserved is reserved for root
	}
	return fmt.Sprint(st.Dev), bytesOf(blocks, uint64(fs.Bsize)), nil //nolint:gosec // no block has a negative size
}

// bytesOf returns blocks*size, as far as that is a number.
func bytesOf(blocks, size uint64) int64 {
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64
	}
	return int64(blocks * size) //nolint:gosec // see above
}

// Held returns how many bytes the file that fi is about takes of the disk. What
// was skipped when it was written takes none.
func Held(fi fs.FileInfo) int64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fi.Size()
	}
	const block = 512 // whatever the file system's own blocks are
	return st.Blocks * block
}
