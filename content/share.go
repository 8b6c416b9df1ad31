package content

import (
	"context"
	"errors"
	"hash/maphash"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Share is what one host gave of a blob at a stretch. It remembers a fingerprint
// of the bytes, not the bytes: enough to find out whose were wrong. A Share must not
// be copied once it was added to.
type Share struct {
	Off int64 // where in the blob it begins
	Len int64 // bytes so far

	sum maphash.Hash
}

// Add takes the next bytes.
func (s *Share) Add(p []byte) {
	s.Len += int64(len(p))
	_, _ = s.sum.Write(p) // a hash takes everything
}

// SameAt reports whether host has the same bytes of blob d there. It reads them, and
// fails where host does not give them all.
func (s *Share) SameAt(ctx context.Context, host Source, d ocispec.Descriptor) (bool, error) {
	rc, err := host.Open(ctx, d, Range{Off: s.Off, Len: s.Len})
	if err != nil {
		return false, err
	}
	var sum maphash.Hash
	sum.SetSeed(s.sum.Seed())
	n, err := io.Copy(&sum, rc)
	if err := errors.Join(err, rc.Close()); err != nil {
		return false, err
	}
	return n == s.Len && sum.Sum64() == s.sum.Sum64(), nil
}
