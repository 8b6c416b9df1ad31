package archive

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// BlobSize implements [content.Sizer].
func (a *Archive) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	if err := content.CheckDigest(d); err != nil {
		return 0, a.fail(err)
	}
	s, err := a.blob(ctx, d)
	if err != nil {
		return 0, a.fail(err)
	}
	return s.size, nil
}
