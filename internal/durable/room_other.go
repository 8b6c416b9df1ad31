//go:build !linux && !darwin && !windows

package durable

import (
	"errors"
	"io/fs"
)

func room(string, fs.FileInfo) (disk string, free int64, err error) {
	return "", 0, errors.ErrUnsupported
}

// Held returns how many bytes the file that fi is about takes of the disk.
func Held(fi fs.FileInfo) int64 { return fi.Size() }
