package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/packed"
	"github.com/wherry-dev/wherry/internal/spool"
)

// spools are the open files of an archive.
type spools struct {
	mu    sync.Mutex
	files []io.Closer
}

func (s *spools) add(f io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append(s.files, f)
}

// create makes a temporary file that goes away with close.
func (s *spools) create(dir string) (*spool.File, error) {
	f, err := spool.Create(dir)
	if err != nil {
		return nil, err
	}
	s.add(f)
	return f, nil
}

func (s *spools) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, file := range s.files {
		errs = append(errs, file.Close())
	}
	s.files = nil
	return errors.Join(errs...)
}

// unpack unpacks r into f and indexes the tar on the way. maxUnpacked is that of
// [Options].
func unpack(ctx context.Context, r io.Reader, f *spool.File, maxUnpacked int64) (*tarIndex, error) {
	in := packed.NewInput(ctx, r)
	unpacked, err := packed.Unpack(in, maxUnpacked)
	if err != nil {
		return nil, in.Blame(err)
	}
	defer unpacked.Close()
	index, err := indexTar(io.TeeReader(unpacked, f))
	if err != nil {
		return nil, in.Blame(err)
	}
	return index, nil
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

// classify leaves what has a class, or is no fault of the archive, alone.
func classify(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is cut off: %w", content.ErrCorrupt)
	}
	return err
}
