package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Room returns how many bytes can be written to the file system that path is on,
// or will be on where there is nothing yet, and a string that tells that file
// system from others. Where the system does not say it is [errors.ErrUnsupported].
func Room(path string) (disk string, free int64, err error) {
	path, err = filepath.Abs(path)
	for err == nil {
		var fi fs.FileInfo
		fi, err = os.Stat(path)
		parent := filepath.Dir(path)
		if err == nil {
			return room(path, fi)
		}
		if !errors.Is(err, fs.ErrNotExist) || parent == path {
			break
		}
		path, err = parent, nil
	}
	return "", 0, err
}
