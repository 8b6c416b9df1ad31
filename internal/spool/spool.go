// Package spool keeps bytes in temporary files: what is too much for memory, or
// must be read before it is known what it is.
package spool

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/wherry-dev/wherry/content"
)

// A File is a temporary file. It loses its name as soon as it has one, where the
// system allows it, and is gone when it is closed.
type File struct {
	*os.File

	named bool // still to be removed
}

// Create makes a temporary file in dir; "" means that of the system. A full disk
// is [content.ErrNoSpace].
func Create(dir string) (*File, error) {
	f, err := os.CreateTemp(dir, "wherry-*.spool")
	if err != nil {
		return nil, Full(err)
	}
	return &File{f, os.Remove(f.Name()) != nil}, nil
}

// Write appends. Its errors say that they are no fault of what was read.
func (f *File) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		return n, &writeError{Full(err)}
	}
	return n, nil
}

// Close removes the file.
func (f *File) Close() error {
	err := f.File.Close()
	if !f.named {
		return err
	}
	if rerr := os.Remove(f.Name()); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

type writeError struct{ err error }

func (e *writeError) Error() string { return "temporary file: " + e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// Full gives an error that says that a disk is full its class.
func Full(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return &content.FullError{Err: err}
	}
	return err
}
