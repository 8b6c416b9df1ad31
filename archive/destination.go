package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/wherry-dev/wherry/content"
)

// A destination is a file under way: under a name of its own beside the one it
// will have. Pipes and devices are written to as they are and have no temp.
type destination struct {
	f    *os.File
	path string
	temp string

	exclusive bool // what has the name keeps it
}

func newDestination(path string) (*destination, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("it is a directory: %w", content.ErrConflict)
	case !info.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		return &destination{f: f, path: path}, err
	default:
		// What a link leads to is replaced, not the link.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
	}
	sweep(path)
	return newPart(path)
}

// final reports whether what was written cannot be taken back.
func (d *destination) final() bool { return d.temp == "" }

// cut takes back all from byte pos on.
func (d *destination) cut(pos int64) error {
	if err := d.f.Truncate(pos); err != nil {
		return err
	}
	_, err := d.f.Seek(pos, io.SeekStart)
	return err
}

// commit gives the file its name, after its bytes are on disk.
func (d *destination) commit() error {
	if d.final() {
		return d.close()
	}
	f := d.f
	d.f = nil
	if err := publish(f, d.rename); err != nil {
		return err
	}
	d.temp = ""
	return syncDir(filepath.Dir(d.path))
}

// rename gives the file its name.
func (d *destination) rename() error {
	if !d.exclusive {
		return os.Rename(d.temp, d.path)
	}
	err := os.Link(d.temp, d.path)
	if err == nil {
		return os.Remove(d.temp)
	}
	_, there := os.Lstat(d.path)
	switch {
	case there == nil:
		return fmt.Errorf("%s was written by another process meanwhile: %w", d.path, content.ErrConflict)
	case errors.Is(there, os.ErrNotExist):
		return os.Rename(d.temp, d.path) // the file system has no second names
	}
	return there
}

// close removes what has not got its name.
func (d *destination) close() error {
	var errs []error
	if d.f != nil {
		errs = append(errs, d.f.Close())
		d.f = nil
	}
	if d.temp != "" {
		errs = append(errs, os.Remove(d.temp))
		d.temp = ""
	}
	return errors.Join(errs...)
}

// syncDir makes a rename last. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
