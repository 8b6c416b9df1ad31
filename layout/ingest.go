package layout

import (
	"context"
	"errors"
	"fmt"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// An ingest is a partial that others write to.
type ingest struct {
	p    *partial
	lock *durable.Lock

	writing sync.RWMutex // shared by writers, taken whole to end the ingest
	closed  bool
}

// there is the ingest of a blob that needs no bytes.
type there struct{ d ocispec.Descriptor }

func (t there) WriteAt(b []byte, off int64) (int, error) {
	if _, _, err := (content.Range{Off: off, Len: int64(len(b))}).Resolve(t.d.Size); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (t there) Done() content.Spans          { return content.Spans{}.Add(content.Range{Len: t.d.Size}) }
func (t there) Commit(context.Context) error { return nil }
func (t there) Close() error                 { return nil }

func (k *disk) ingest(ctx context.Context, d ocispec.Descriptor) (content.Ingest, error) {
	if has, err := k.finds(ctx, d); has || err != nil {
		return thereOr(d, err)
	}
	if err := k.prepare(ctx, noBlob); err != nil {
		return nil, err
	}
	lock, err := k.lockBlob(ctx, d.Digest)
	if err != nil {
		return nil, err
	}
	if has, err := k.finds(ctx, d); has || err != nil {
		return thereOr(d, errors.Join(err, lock.Release()))
	}
	if k.taken != nil {
		return nil, errors.Join(k.taken, lock.Release())
	}
	p, err := k.openPartial(d)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return &ingest{p: p, lock: lock}, nil
}

func thereOr(d ocispec.Descriptor, err error) (content.Ingest, error) {
	if err != nil {
		return nil, err
	}
	return there{d}, nil
}

// WriteAt implements [io.WriterAt].
func (in *ingest) WriteAt(b []byte, off int64) (int, error) {
	in.writing.RLock()
	defer in.writing.RUnlock()
	return in.p.WriteAt(b, off)
}

// Done implements [content.Ingest].
func (in *ingest) Done() content.Spans { return in.p.Done() }

// Commit implements [content.Ingest].
func (in *ingest) Commit(ctx context.Context) (err error) {
	in.writing.Lock()
	defer in.writing.Unlock()
	if in.closed {
		return in.p.fail("commit", fmt.Errorf("closed: %w", content.ErrInvalid))
	}
	err = in.p.check(ctx)
	if err != nil && !errors.Is(err, content.ErrCorrupt) {
		return err // Close keeps what is there
	}
	in.closed = true
	defer func() { err = errors.Join(err, in.lock.Release()) }()
	if err != nil {
		return errors.Join(err, in.p.f.Close(), in.p.remove())
	}
	return in.p.publish()
}

// Close implements [content.Ingest].
func (in *ingest) Close() error {
	in.writing.Lock()
	defer in.writing.Unlock()
	if in.closed {
		return nil
	}
	in.closed = true
	return errors.Join(in.p.keep(), in.lock.Release())
}
