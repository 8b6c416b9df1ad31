package layout

import (
	"bytes"
	"context"
	"errors"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// Open implements [content.Source]. The blob is verified before any of it is
// given out: one that is corrupt is [content.ErrCorrupt], one that is a link or
// a pipe is [content.ErrInvalid].
func (l *Layout) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	return l.disk.open(ctx, d, r)
}

// Has implements [content.Sink]. A blob that is corrupt counts as absent. One
// that is there stays until Close, if the layout was opened by [Create].
func (l *Layout) Has(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	if err := checkBlob(d); err != nil {
		return false, err
	}
	if l.writes {
		// What cannot be written down, in a folder that can only be read for one, may
		// be gone later. PutManifest finds that out.
		_ = l.disk.relies(ctx, d.Digest)
	}
	return l.disk.has(ctx, d)
}

// PutBlob implements [content.Sink]. While another process stores the same
// blob it waits, and then finds it there. A full disk is
// [content.ErrNoSpace]; what was fetched until then stays for the next time.
func (l *Layout) PutBlob(ctx context.Context, b content.Blob) (content.Outcome, error) {
	return l.disk.put(ctx, b)
}

// Ingest implements [content.RandomSink]. It waits as PutBlob does; where the
// blob is there already, all its spans are Done.
func (l *Layout) Ingest(ctx context.Context, d ocispec.Descriptor) (content.Ingest, error) {
	return l.disk.ingest(ctx, d)
}

func (k *disk) open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	if err := checkBlob(d); err != nil {
		return nil, err
	}
	off, n, err := r.Resolve(d.Size)
	if err != nil {
		return nil, err
	}
	f, err := k.openBlob(d.Digest)
	if err != nil {
		return nil, err
	}
	err = k.verify(ctx, f, d)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return section{io.NewSectionReader(f, off, n), f}, nil
}

// A section is a span of a file.
type section struct {
	*io.SectionReader
	io.Closer
}

func (k *disk) put(ctx context.Context, b content.Blob) (_ content.Outcome, err error) {
	d := b.Descriptor()
	if has, err := k.finds(ctx, d); has || err != nil {
		return existed(err)
	}
	begun, err := k.begin(ctx, b)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, begun.end()) }()
	if has, err := k.finds(ctx, d); has || err != nil {
		return existed(err)
	}
	if k.taken != nil {
		return 0, k.taken
	}
	p, err := k.openPartial(d)
	if err != nil {
		return 0, err
	}
	if err := p.fill(ctx, begun); err != nil {
		return 0, errors.Join(err, p.keep())
	}
	return content.Stored, p.publish()
}

// finds is has for a blob that is needed, whether it is there or is stored now.
func (k *disk) finds(ctx context.Context, d ocispec.Descriptor) (bool, error) {
	if err := checkBlob(d); err != nil {
		return false, err
	}
	if err := k.relies(ctx, d.Digest); err != nil {
		return false, err
	}
	return k.has(ctx, d)
}

func existed(err error) (content.Outcome, error) {
	if err != nil {
		return 0, err
	}
	return content.Existed, nil
}

// putBytes stores what is in memory.
func (k *disk) putBytes(ctx context.Context, d ocispec.Descriptor, raw []byte) error {
	_, err := k.put(ctx, memoryBlob{d, raw})
	return err
}

type memoryBlob struct {
	d   ocispec.Descriptor
	raw []byte
}

func (b memoryBlob) Descriptor() ocispec.Descriptor { return b.d }

func (b memoryBlob) Open(_ context.Context, r content.Range) (io.ReadCloser, error) {
	off, n, err := r.Resolve(int64(len(b.raw)))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(b.raw[off : off+n])), nil
}
