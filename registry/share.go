package registry

import (
	"context"
	"hash/maphash"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A share is what one host gave of a blob.
type share struct {
	from   *Repository
	off, n int64
	sum    *maphash.Hash
}

func newShare(from *Repository, off int64) share {
	return share{from: from, off: off, sum: new(maphash.Hash)}
}

func (s *share) add(p []byte) {
	s.n += int64(len(p))
	_, _ = s.sum.Write(p) // a hash takes everything
}

// isAt reports whether host has the same bytes there, as far as can be seen.
func (s *share) isAt(ctx context.Context, host *Repository, d ocispec.Descriptor) bool {
	rc, err := host.Open(ctx, d, content.Range{Off: s.off, Len: s.n})
	if err != nil {
		return false
	}
	defer rc.Close()
	var sum maphash.Hash
	sum.SetSeed(s.sum.Seed())
	n, err := io.Copy(&sum, rc)
	return err == nil && n == s.n && sum.Sum64() == s.sum.Sum64()
}
