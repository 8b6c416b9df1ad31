package content

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A MismatchError is content that is not what its descriptor says. Its class is
// [ErrCorrupt].
type MismatchError struct {
	Want ocispec.Descriptor
	Got  digest.Digest // empty where it is not known, as when the size alone was wrong
	Size int64         // bytes seen; one more than wanted stands for any number more
}

func (e *MismatchError) Error() string {
	if e.Size != e.Want.Size {
		more := ""
		if e.Size > e.Want.Size {
			more = " or more"
		}
		return fmt.Sprintf("%s: got %d bytes%s, want %d", e.Want.Digest, e.Size, more, e.Want.Size)
	}
	if e.Got == "" {
		return e.Want.Digest.String() + ": got other bytes"
	}
	return fmt.Sprintf("%s: got bytes whose digest is %s", e.Want.Digest, e.Got)
}

// Unwrap returns ErrCorrupt.
func (e *MismatchError) Unwrap() error { return ErrCorrupt }

// A BlamedError is content that was wrong and came from hosts that are not asked
// for anything any more: who reads it again gets it from others. Its class is
// that of Err.
type BlamedError struct {
	Hosts []string
	Err   error
}

func (e *BlamedError) Error() string {
	return "from " + strings.Join(e.Hosts, " and ") + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *BlamedError) Unwrap() error { return e.Err }

// A Judge is a blob that knows which hosts it came from.
type Judge interface {
	// Judge is told that what came of the blob was wrong, and returns a
	// *[BlamedError] of that where it knows whose fault it was.
	Judge(ctx context.Context, wrong error) error
}

// Reread calls read, which reads b from its start. Where what came was
// [ErrCorrupt] it is called again: once, since a connection or a disk may have been
// at fault, and each time that it is known of another host that it sent wrong bytes,
// which b is asked for where it is a [Judge].
func Reread(ctx context.Context, b Blob, read func() error) error {
	var known []string
	for tries := 1; ; tries++ {
		err := read()
		if !errors.Is(err, ErrCorrupt) {
			return err
		}
		if judge, ok := As[Judge](b); ok {
			err = judge.Judge(ctx, err)
		}
		blamed, ok := errors.AsType[*BlamedError](err)
		another := ok && slices.ContainsFunc(blamed.Hosts, func(h string) bool { return !slices.Contains(known, h) })
		if tries > 1 && !another {
			return err
		}
		if ok {
			known = append(known, blamed.Hosts...)
		}
	}
}

// A Verifier hashes what is written to it and compares it with a descriptor.
type Verifier struct {
	want ocispec.Descriptor
	hash hash.Hash
	size int64
}

// NewVerifier returns a Verifier for d. A digest that cannot be verified is
// [ErrInvalid].
func NewVerifier(d ocispec.Descriptor) (*Verifier, error) {
	if err := CheckDigest(d.Digest); err != nil {
		return nil, err
	}
	return &Verifier{want: d, hash: d.Digest.Algorithm().Hash()}, nil
}

// Write takes the next bytes. More bytes than the descriptor has are a
// *[MismatchError] at once.
func (v *Verifier) Write(p []byte) (int, error) {
	room := v.want.Size - v.size
	if int64(len(p)) > room {
		v.size = v.want.Size + 1 // Check stays an error
		return 0, &MismatchError{Want: v.want, Size: v.size}
	}
	n, err := v.hash.Write(p)
	v.size += int64(n)
	return n, err
}

// Size returns the number of bytes taken so far.
func (v *Verifier) Size() int64 { return v.size }

// Check compares what was written with the descriptor. A difference is a
// *[MismatchError].
func (v *Verifier) Check() error {
	if v.size != v.want.Size {
		return &MismatchError{Want: v.want, Size: v.size}
	}
	if got := digest.NewDigest(v.want.Digest.Algorithm(), v.hash); got != v.want.Digest {
		return &MismatchError{Want: v.want, Got: got, Size: v.size}
	}
	return nil
}

// VerifyReader returns a reader of r's bytes that ends in a *[MismatchError]
// instead of io.EOF when they are not those of d. It reads at most one byte
// past d's size.
func VerifyReader(r io.Reader, d ocispec.Descriptor) (io.Reader, error) {
	v, err := NewVerifier(d)
	if err != nil {
		return nil, err
	}
	return &verifyReader{r: io.LimitReader(r, d.Size+1), v: v}, nil
}

type verifyReader struct {
	r io.Reader
	v *Verifier
}

func (r *verifyReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if _, werr := r.v.Write(p[:n]); werr != nil {
		return 0, werr
	}
	if err == io.EOF {
		if cerr := r.v.Check(); cerr != nil {
			return n, cerr
		}
	}
	return n, err
}
