package durable

import (
	"io/fs"
	"math"
	"os"
	"strings"

	"golang.org/x/sys/windows"
)

// room asks for the volume of path.
func room(path string, _ fs.FileInfo) (disk string, free int64, err error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return "", 0, err
	}
	var volume [windows.MAX_LONG_PATH]uint16
	if err := windows.GetVolumePathName(name, &volume[0], uint32(len(volume))); err != nil {
		return "", 0, &os.PathError{Op: "find the volume of", Path: path, Err: err}
	}
	var bytes uint64
	if err := windows.GetDiskFreeSpaceEx(&volume[0], &bytes, nil, nil); err != nil {
		return "", 0, &os.PathError{Op: "find the free space of", Path: path, Err: err}
	}
	return strings.ToLower(windows.UTF16ToString(volume[:])), int64(min(bytes, math.MaxInt64)), nil //nolint:gosec // see min
}

// Held returns how many bytes the file that fi is about takes of the disk.
func Held(fi fs.FileInfo) int64 { return fi.Size() }
