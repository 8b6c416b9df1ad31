package archive

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/wherry-dev/wherry/content"
)

// spools are the open files of an archive. Temporary ones lose their name as
// soon as they have one, where the system allows it.
type spools struct {
	mu    sync.Mutex
	files []spoolFile
}

type spoolFile struct {
	f    *os.File
	path string // still to be removed
}

func (s *spools) add(f *os.File, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append(s.files, spoolFile{f, path})
}

// create makes a temporary file that goes away with close.
func (s *spools) create(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "wherry-*.spool")
	if err != nil {
		return nil, noSpace(err)
	}
	path := f.Name()
	if os.Remove(path) == nil {
		path = ""
	}
	s.add(f, path)
	return f, nil
}

func (s *spools) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, file := range s.files {
		errs = append(errs, file.f.Close())
		if file.path != "" {
			errs = append(errs, os.Remove(file.path))
		}
	}
	s.files = nil
	return errors.Join(errs...)
}

// spool unpacks r into f and indexes the tar on the way. maxUnpacked is that of
// [Options].
func spool(ctx context.Context, r io.Reader, f *os.File, maxUnpacked int64) (*tarIndex, error) {
	in := &input{r: withReader(ctx, r)}
	unpacked, err := inflate(in, maxUnpacked)
	if err != nil {
		return nil, in.blame(err)
	}
	defer unpacked.Close()
	index, err := indexTar(io.TeeReader(unpacked, spoolWriter{f}))
	if err != nil {
		return nil, in.blame(err)
	}
	return index, nil
}

// An input remembers its own failure, so that a broken pipe is not taken for a
// broken archive.
type input struct {
	r    io.Reader
	read int64
	err  error
}

func (in *input) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	in.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		in.err = err
	}
	return n, err
}

// blame returns the failure of the input if there was one, else err.
func (in *input) blame(err error) error {
	if in.err != nil {
		return in.err
	}
	return err
}

// A spoolWriter marks failures to write, which are no fault of what was read.
type spoolWriter struct{ f *os.File }

func (w spoolWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	if err != nil {
		return n, &spoolError{noSpace(err)}
	}
	return n, nil
}

type spoolError struct{ err error }

func (e *spoolError) Error() string { return "temporary file: " + e.err.Error() }
func (e *spoolError) Unwrap() error { return e.err }

// noSpace gives a full disk its class.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return &content.FullError{Err: err}
	}
	return err
}

// withReader returns r, which stops when ctx is done.
func withReader(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return r.Read(p)
	})
}

// withContext returns r, which stops when ctx is done.
func withContext(ctx context.Context, r io.ReaderAt) io.ReaderAt {
	return readerAtFunc(func(p []byte, off int64) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return r.ReadAt(p, off)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type readerAtFunc func(p []byte, off int64) (int, error)

func (f readerAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
