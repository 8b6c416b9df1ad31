// Package content is wherry's vocabulary: manifests, the graph they form, the
// blobs they name, and the contracts of the places that hold them.
//
// A place one can read from is a [Source], a place one can write to is a
// [Sink]. Registries, OCI layouts and archives are such places; what else a
// place can do is found with [As]. Manifests are values, kept byte for byte
// ([Manifest]); blobs are streams that can be opened again at any offset
// ([Blob]). Nothing in this package knows where content comes from.
//
// Descriptors are those of the OCI image specification
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md).
package content

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Range is a span of a blob, in bytes. The zero Range is the whole blob; a
// zero Len runs to the end. Off == size is an empty span, which a place gives
// without asking anybody; anything past the size is [ErrInvalid]. A place
// never gives more than was asked for.
type Range struct{ Off, Len int64 }

// Resolve returns the first byte of r and the number of its bytes within a
// blob of size bytes. A range that reaches past the end is [ErrInvalid].
func (r Range) Resolve(size int64) (off, n int64, err error) {
	n = r.Len
	if n == 0 {
		n = size - r.Off
	}
	if r.Off < 0 || r.Len < 0 || n < 0 || r.Off > size || n > size-r.Off {
		return 0, 0, fmt.Errorf("range %d+%d of a blob of %d bytes: %w", r.Off, r.Len, size, ErrInvalid)
	}
	return r.Off, n, nil
}

// A Source is read from.
type Source interface {
	// Manifest returns the manifest that ref, a name or a digest, stands for,
	// byte for byte. What was asked for by digest has that digest. A ref that
	// stands for nothing is [ErrNotFound].
	Manifest(ctx context.Context, ref string) (Manifest, error)

	// Open returns span r of blob d, unverified. A source that cannot seek
	// returns [errors.ErrUnsupported] for a range it cannot give; a blob that
	// is not there is [ErrNotFound].
	Open(ctx context.Context, d ocispec.Descriptor, r Range) (io.ReadCloser, error)
}

// A Blob is one blob and the means to read it again from any offset.
type Blob interface {
	Descriptor() ocispec.Descriptor
	Open(ctx context.Context, r Range) (io.ReadCloser, error)
}

// An Outcome says what a sink did with a blob.
type Outcome uint8

// What can become of a blob that is put into a sink.
const (
	Stored  Outcome = iota + 1 // its bytes were moved
	Existed                    // it was there already
	Mounted                    // the registry linked it from another repository
)

// String returns the outcome as it stands in machine output.
func (o Outcome) String() string {
	switch o {
	case Stored:
		return "stored"
	case Existed:
		return "existed"
	case Mounted:
		return "mounted"
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// A Sink is written to. It pulls: PutBlob opens the blob where it needs to, as
// often as it needs to.
type Sink interface {
	// Has reports whether blob d is there. On disk a blob of the wrong size, or
	// one whose bytes are not known to be right, is looked at before it counts.
	Has(ctx context.Context, d ocispec.Descriptor) (bool, error)

	// PutBlob stores b and verifies size and digest: bytes that do not match
	// are [ErrCorrupt] and are never visible under the digest. It goes on from
	// what an earlier PutBlob of the same digest left, and does not ask again
	// what Has has answered in this process.
	PutBlob(ctx context.Context, b Blob) (Outcome, error)

	// PutManifest stores m, then points names at it. Everything m needs must be
	// there already; a place that looks and does not find it returns
	// [ErrNotFound] or [ErrInvalid]. A name that is m's own digest roots m
	// without naming it. With no names at all m is stored as part of something
	// else, and where it has a subject it can be found by that. An ambiguous m,
	// or a name no place can have, is [ErrInvalid].
	PutManifest(ctx context.Context, m Manifest, names ...string) error
}

// NewBlob returns blob d of src. Where src cannot seek, the blob reads from the
// start and discards, so that every Range works.
func NewBlob(src Source, d ocispec.Descriptor) Blob {
	return &sourceBlob{src: src, d: d}
}

type sourceBlob struct {
	src Source
	d   ocispec.Descriptor
}

func (b *sourceBlob) Descriptor() ocispec.Descriptor { return b.d }

// Unwrap lets As find the abilities of the source, its Origin for example.
func (b *sourceBlob) Unwrap() any { return b.src }

func (b *sourceBlob) Open(ctx context.Context, r Range) (io.ReadCloser, error) {
	off, n, err := r.Resolve(b.d.Size)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return io.NopCloser(eof{}), nil
	}
	rc, err := b.src.Open(ctx, b.d, r)
	if !errors.Is(err, errors.ErrUnsupported) || r == (Range{}) {
		return rc, err
	}
	rc, err = b.src.Open(ctx, b.d, Range{})
	if err != nil {
		return nil, err
	}
	skipped, err := io.CopyN(io.Discard, rc, off)
	if errors.Is(err, io.EOF) {
		err = &MismatchError{Want: b.d, Size: skipped}
	}
	if err != nil {
		return nil, errors.Join(err, rc.Close())
	}
	return readCloser{io.LimitReader(rc, n), rc}, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

type readCloser struct {
	io.Reader
	io.Closer
}
