// Package durable writes files that survive: a crash at any moment leaves the
// old content or the new, never a part of either, and nothing is written or
// read through a link that somebody planted.
//
// Everything happens under an [os.Root], so that no name leads out of it.
package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// ErrNotRegular says that a name stands for a link, a folder, a pipe or a
// device where a regular file belongs, or for no folder where one belongs.
var ErrNotRegular = errors.New("not what belongs there")

// OpenRegular opens name for reading, if it is a regular file. A link is not
// followed, and neither a pipe nor a device is waited for: all these are
// [ErrNotRegular].
func OpenRegular(root *os.Root, name string) (*os.File, error) {
	return OpenRegularFile(root, name, os.O_RDONLY)
}

// OpenRegularFile is OpenRegular with the flags of [os.OpenFile], without
// O_CREATE and O_TRUNC: what exists is looked at before it is changed.
func OpenRegularFile(root *os.Root, name string, flag int) (*os.File, error) {
	// Files are replaced by others while they are opened; it takes somebody hostile to keep on doing it.
	for range 100 {
		f, err := openLooked(root, name, flag)
		if f != nil || err != nil {
			return f, err
		}
	}
	return nil, fmt.Errorf("%s changes whenever it is opened: %w", name, ErrNotRegular)
}

// openLooked opens name if it is what was just looked at, and else returns nil.
func openLooked(root *os.Root, name string, flag int) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, irregular(name, before)
	}
	f, err := root.OpenFile(name, flag|nonblock, 0)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err == nil && os.SameFile(before, opened) {
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

func irregular(name string, fi fs.FileInfo) error {
	kind := "a special file"
	switch {
	case fi.Mode().IsRegular():
		kind = "a file"
	case fi.IsDir():
		kind = "a folder"
	case fi.Mode()&fs.ModeSymlink != 0:
		kind = "a link"
	case fi.Mode()&fs.ModeNamedPipe != 0:
		kind = "a pipe"
	}
	return fmt.Errorf("%s is %s: %w", name, kind, ErrNotRegular)
}

// ReadRegular returns the content of regular file name, which may have limit
// bytes at most; a larger one is an error that wraps tooLarge.
func ReadRegular(root *os.Root, name string, limit int64, tooLarge error) ([]byte, error) {
	var raw bytes.Buffer
	err := readRegular(root, name, limit, tooLarge, func(f io.Reader, size int) error {
		raw.Grow(size + bytes.MinRead)
		_, err := raw.ReadFrom(f)
		return err
	})
	return raw.Bytes(), err
}

// ReadText is [ReadRegular] for what is read as a text: a large one is in memory
// once only.
func ReadText(root *os.Root, name string, limit int64, tooLarge error) (string, error) {
	var text strings.Builder
	err := readRegular(root, name, limit, tooLarge, func(f io.Reader, size int) error {
		text.Grow(size)
		_, err := io.Copy(&text, f)
		return err
	})
	return text.String(), err
}

// readRegular opens a file and calls read with what may be read of it, and how
// many bytes that are for all it knows.
func readRegular(root *os.Root, name string, limit int64, tooLarge error, read func(f io.Reader, size int) error) (err error) {
	f, err := OpenRegular(root, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() > limit {
		return fmt.Errorf("%s has %d bytes, over the limit of %d: %w", name, fi.Size(), limit, tooLarge)
	}
	return read(io.LimitReader(f, limit), int(fi.Size()))
}

// CheckDir reports whether dir, a path with slashes below root, is made of
// folders alone, none of them a link: nil, an error of class fs.ErrNotExist, or
// [ErrNotRegular].
func CheckDir(root *os.Root, dir string) error {
	return eachDir(dir, func(name string) error { return checkDir(root, name) })
}

// MakeDir is CheckDir that makes what is missing.
func MakeDir(root *os.Root, dir string) error {
	return eachDir(dir, func(name string) error {
		err := checkDir(root, name)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return checkDir(root, name)
	})
}

func checkDir(root *os.Root, name string) error {
	fi, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return irregular(name, fi)
	}
	return nil
}

func eachDir(dir string, f func(name string) error) error {
	if dir == "." {
		return nil
	}
	if err := eachDir(path.Dir(dir), f); err != nil {
		return err
	}
	return f(dir)
}

// CreateNew creates name for writing. What has that name is removed first, and
// never written through.
func CreateNew(root *os.Root, name string) (*os.File, error) {
	return createNew(root, name, 0o644)
}

func createNew(root *os.Root, name string, mode fs.FileMode) (*os.File, error) {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, mode)
}

// A Replacement is the new content of a file before it has its name.
type Replacement struct {
	root      *os.Root
	temporary string
}

// Write writes content to temporary and makes it durable. Two writers must not
// use the same temporary name at once.
func Write(root *os.Root, temporary string, content []byte) (*Replacement, error) {
	return writeMode(root, temporary, 0o644, writing(content))
}

// WriteParts is Write of what write writes, of a large file piece by piece.
func WriteParts(root *os.Root, temporary string, write func(w io.Writer) error) (*Replacement, error) {
	return writeMode(root, temporary, 0o644, write)
}

// WritePrivate is Write of what its owner alone may read.
func WritePrivate(root *os.Root, temporary string, content []byte) (*Replacement, error) {
	return writeMode(root, temporary, 0o600, writing(content))
}

func writing(content []byte) func(w io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

func writeMode(root *os.Root, temporary string, mode fs.FileMode, write func(w io.Writer) error) (*Replacement, error) {
	f, err := createNew(root, temporary, mode)
	if err != nil {
		return nil, err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, root.Remove(temporary))
	}
	return &Replacement{root: root, temporary: temporary}, nil
}

// Publish gives the new content its name, in place of what had it.
func (r *Replacement) Publish(name string) error {
	return Publish(r.root, r.temporary, name)
}

// Drop removes the new content.
func (r *Replacement) Drop() error {
	return r.root.Remove(r.temporary)
}

// Publish renames temporary, whose content must be durable, to name and makes
// the name durable.
func Publish(root *os.Root, temporary, name string) error {
	if err := root.Rename(temporary, name); err != nil {
		if fi, lerr := root.Lstat(name); lerr == nil && fi.IsDir() {
			return irregular(name, fi)
		}
		return err
	}
	return SyncDir(root, path.Dir(name))
}
