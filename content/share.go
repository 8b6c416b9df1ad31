package content

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Share is what one host gave of a blob at a stretch. It remembers a fingerprint
// of the bytes, not the bytes: enough to find out whose were wrong. A Share must not
// be copied once it was added to.
type Share struct {
	Host string // who gave it
	Off  int64  // where in the blob it begins
	Len  int64  // bytes so far

	sum maphash.Hash
}

// Add takes the next bytes.
func (s *Share) Add(p []byte) {
	s.Len += int64(len(p))
	_, _ = s.sum.Write(p) // a hash takes everything
}

// An OpenFunc is [Source]'s Open.
type OpenFunc func(ctx context.Context, d ocispec.Descriptor, r Range) (io.ReadCloser, error)

// A Witness is a host that can be asked what it has of a blob.
type Witness struct {
	Host string
	Open OpenFunc
}

// Culprits returns the hosts that gave wrong bytes of d, of which what came is wrong:
// those for whose shares nobody vouches. The last of witnesses is the source's own
// host, whose word counts. Where it cannot be asked, as in a network without a way
// out, any other that has the same bytes will do: two that lie do not lie alike. The
// own host is no culprit, and who gave all of d needs no comparison.
func Culprits(ctx context.Context, d ocispec.Descriptor, given []*Share, witnesses []Witness) []string {
	witnesses = slices.Clone(witnesses)
	last := &witnesses[len(witnesses)-1]
	own := last.Host
	last.Open = untilItFails(last.Open)
	var guilty []string
	for _, s := range given {
		if s.Len == 0 || s.Host == own || slices.Contains(guilty, s.Host) {
			continue
		}
		if s.Len == d.Size || !s.vouched(ctx, d, witnesses) {
			guilty = append(guilty, s.Host)
		}
	}
	return guilty
}

// untilItFails returns open, which is not called again once it has failed: who cannot
// be asked about one share is not waited for with each of the others.
func untilItFails(open OpenFunc) OpenFunc {
	var gone error
	return func(ctx context.Context, d ocispec.Descriptor, r Range) (io.ReadCloser, error) {
		if gone != nil {
			return nil, gone
		}
		rc, err := open(ctx, d, r)
		gone = err
		return rc, err
	}
}

func (s *Share) vouched(ctx context.Context, d ocispec.Descriptor, witnesses []Witness) bool {
	for i, w := range slices.Backward(witnesses) {
		if w.Host == s.Host {
			continue
		}
		same, err := s.sameAt(ctx, d, w)
		if err == nil && (same || i == len(witnesses)-1) {
			return same
		}
	}
	return false
}

// sameAt reports whether w has the same bytes there. It reads them, and fails where w
// does not give them all.
func (s *Share) sameAt(ctx context.Context, d ocispec.Descriptor, w Witness) (bool, error) {
	rc, err := w.Open(ctx, d, Range{Off: s.Off, Len: s.Len})
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
