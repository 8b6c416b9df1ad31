package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// BlobSize implements [content.Sizer] with a HEAD. A registry that does not
// answer it with a length is [errors.ErrUnsupported].
func (r *Repository) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	if err := content.CheckDigest(d); err != nil {
		return 0, err
	}
	resp, err := r.host.do(ctx, call{method: http.MethodHead, path: r.path("blobs", d.String()), scopes: r.pull()})
	if err != nil {
		return 0, err
	}
	if err := r.host.check(resp, http.StatusOK); err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.ContentLength < 0 {
		return 0, fmt.Errorf("%s does not tell the size of blob %s: %w", r, d, errors.ErrUnsupported)
	}
	return resp.ContentLength, nil
}
