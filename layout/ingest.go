package layout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// noteEvery is how many new bytes may be forgotten when the process is killed.
const noteEvery = 8 << 20

// openSpans opens the partial file of d and says which spans of it are there.
// A file without a list of spans was written from its start on. A list that
// cannot be read, or tells of bytes that are not there, is worth nothing.
func (k *disk) openSpans(d ocispec.Descriptor) (*partial, content.Spans, error) {
	p := &partial{k: k, d: d}
	if err := p.openFile(); err != nil {
		return nil, nil, err
	}
	fi, err := p.f.Stat()
	if err != nil {
		return nil, nil, errors.Join(p.fail("read", err), p.f.Close())
	}
	size := fi.Size()
	raw, err := k.read(p.spansFile(), 1<<20)
	if errors.Is(err, content.ErrNotFound) && size <= d.Size {
		return p, content.Spans{}.Add(content.Range{Len: size}), nil
	}
	var done content.Spans
	if err == nil && json.Unmarshal(raw, &done) == nil && done.Within(min(size, d.Size)) && size <= d.Size {
		return p, done, nil
	}
	if err := p.empty(); err != nil {
		return nil, nil, errors.Join(err, p.f.Close())
	}
	return p, nil, nil
}

// An ingest is a partial that is written in any order.
type ingest struct {
	p    *partial
	lock *durable.Lock

	writing sync.RWMutex // shared by writers, taken whole to end the ingest

	mu     sync.Mutex
	done   content.Spans
	since  int64 // bytes since the list of spans was written
	closed bool
	hashed int64 // where the follower stands, or will when it is done
	stale  bool  // bytes the follower has read were written again

	following sync.Mutex
	v         *content.Verifier
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
	if has, err := k.has(ctx, d); has || err != nil {
		return thereOr(d, err)
	}
	if err := k.prepare(ctx, noBlob); err != nil {
		return nil, err
	}
	lock, err := k.lockBlob(ctx, d.Digest)
	if err != nil {
		return nil, err
	}
	if has, err := k.has(ctx, d); has || err != nil {
		return thereOr(d, errors.Join(err, lock.Release()))
	}
	if k.taken != nil {
		return nil, errors.Join(k.taken, lock.Release())
	}
	in, err := k.startIngest(d, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return in, nil
}

func thereOr(d ocispec.Descriptor, err error) (content.Ingest, error) {
	if err != nil {
		return nil, err
	}
	return there{d}, nil
}

func (k *disk) startIngest(d ocispec.Descriptor, lock *durable.Lock) (*ingest, error) {
	p, done, err := k.openSpans(d)
	if err != nil {
		return nil, err
	}
	v, err := content.NewVerifier(d)
	if err != nil {
		return nil, errors.Join(err, p.f.Close())
	}
	in := &ingest{p: p, lock: lock, done: done, v: v}
	// The list is there before the file has its first hole, so that a hole is
	// never taken for bytes.
	if err := in.note(); err != nil {
		return nil, errors.Join(err, p.f.Close())
	}
	return in, nil
}

// WriteAt implements [io.WriterAt]. Nothing can be written past the blob's end.
func (in *ingest) WriteAt(b []byte, off int64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	span := content.Range{Off: off, Len: int64(len(b))}
	if _, _, err := span.Resolve(in.p.d.Size); err != nil {
		return 0, in.p.fail("write", err)
	}
	in.writing.RLock()
	defer in.writing.RUnlock()
	n, err := in.p.f.WriteAt(b, off)
	span.Len = int64(n)
	if err := errors.Join(in.p.fail("write", err), in.wrote(span)); err != nil {
		return n, err
	}
	in.follow()
	return n, nil
}

// wrote adds a span to those that are there.
func (in *ingest) wrote(span content.Range) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stale = in.stale || span.Off < in.hashed
	in.done = in.done.Add(span)
	in.since += span.Len
	if in.since < noteEvery {
		return nil
	}
	return in.note()
}

// follow hashes what lies in one piece behind what is hashed, while it is in
// memory still and other writers wait for the network, so that little is left
// for the end. One writer does it at a time, and not for long.
func (in *ingest) follow() {
	const least, most = 1 << 20, 8 << 20
	if !in.following.TryLock() {
		return
	}
	defer in.following.Unlock()
	in.mu.Lock()
	from, to := in.hashed, in.hashed
	if len(in.done) > 0 && in.done[0].Off == 0 {
		to = min(in.done[0].Len, from+most)
	}
	if to-from < least || in.stale {
		in.mu.Unlock()
		return
	}
	in.hashed = to
	in.mu.Unlock()
	if _, err := io.Copy(in.v, io.NewSectionReader(in.p.f, from, to-from)); err != nil {
		in.mu.Lock()
		in.stale = true
		in.mu.Unlock()
	}
}

// note writes the list of spans down.
func (in *ingest) note() error {
	in.since = 0
	raw, err := json.Marshal(in.done)
	if err != nil {
		return err
	}
	name := in.p.spansFile()
	return in.p.fail("write", durable.Overwrite(in.p.k.root, name+newEnd, name, raw))
}

// Done implements [content.Ingest].
func (in *ingest) Done() content.Spans {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.done)
}

// Commit implements [content.Ingest].
func (in *ingest) Commit(ctx context.Context) (err error) {
	in.writing.Lock()
	defer in.writing.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return in.p.fail("commit", fmt.Errorf("closed: %w", content.ErrInvalid))
	}
	err = in.check(ctx)
	if err != nil && !errors.Is(err, content.ErrCorrupt) {
		return err // Close keeps what is there
	}
	in.closed = true
	defer func() { err = errors.Join(err, in.lock.Release()) }()
	if err != nil {
		return errors.Join(err, in.p.f.Close(), in.p.remove())
	}
	if err := in.p.publish(); err != nil {
		return err
	}
	return in.p.removeSpans()
}

// check hashes what of the file is not hashed yet.
func (in *ingest) check(ctx context.Context) error {
	d := in.p.d
	there := in.done.Bytes()
	if there != d.Size {
		return in.p.fail("verify", &content.MismatchError{Want: d, Size: there})
	}
	if in.stale {
		v, err := content.NewVerifier(d)
		if err != nil {
			return err
		}
		in.v, in.hashed, in.stale = v, 0, false
	}
	// A commit that is cut short has hashed an unknown part.
	err := pump(ctx, in.v, io.NewSectionReader(in.p.f, in.hashed, d.Size-in.hashed))
	if err != nil {
		in.stale = true
		return in.p.fail("verify", err)
	}
	in.hashed = d.Size
	return in.p.fail("verify", in.v.Check())
}

// Close implements [content.Ingest].
func (in *ingest) Close() error {
	in.writing.Lock()
	defer in.writing.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return nil
	}
	in.closed = true
	err := in.note()
	if len(in.done) == 0 {
		return errors.Join(err, in.p.f.Close(), in.p.remove(), in.lock.Release())
	}
	return errors.Join(err, in.p.f.Close(), in.lock.Release())
}
