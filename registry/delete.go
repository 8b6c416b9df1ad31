package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/internal/outside"
)

// Untag implements [content.Deleter]. A registry that cannot take a tag away
// alone is [errors.ErrUnsupported]: the manifest, which other tags may name, is
// never deleted instead.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#deleting-tags
func (r *Repository) Untag(ctx context.Context, name string) error {
	if isDigest(name) {
		return fmt.Errorf("%s is no tag: %w", outside.Quote(name, 160), content.ErrInvalid)
	}
	err := r.delete(ctx, "manifests", name)
	unsupported := errors.Is(err, errors.ErrUnsupported) || statusOf(err) == http.StatusBadRequest
	if refused := err; unsupported && r.host.answers(UntagAtPath) {
		if err = r.delete(ctx, "tags/reference", name); err != nil {
			return refused // the path is that of one product alone
		}
	}
	if statusOf(err) == http.StatusBadRequest {
		return fmt.Errorf("registry %s does not delete single tags: %w: %w", r.host.name, errors.ErrUnsupported, err)
	}
	return err
}

// DeleteManifest implements [content.Deleter]. A registry with deletion
// switched off is [errors.ErrUnsupported]. What refers to another manifest stays
// listed in that one's fallback index, where the registry keeps no referrers.
func (r *Repository) DeleteManifest(ctx context.Context, d digest.Digest) error {
	if err := content.CheckDigest(d); err != nil {
		return err
	}
	return r.delete(ctx, "manifests", d.String())
}

// delete deletes what kind and ref make a path of.
func (r *Repository) delete(ctx context.Context, kind, ref string) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	path := r.path(kind, ref)
	err := r.deleteAs(ctx, path, r.remove())
	if e, ok := errors.AsType[*Error](err); ok && e.Method != http.MethodDelete && e.Status/100 == 4 && r.host.answers(AllActions) {
		return r.deleteAs(ctx, path, []string{"repository:" + r.name + ":*"}) // it was the token server that refused
	}
	return err
}

// deleteAs deletes with a token of those scopes.
func (r *Repository) deleteAs(ctx context.Context, path string, scopes []string) error {
	resp, err := r.host.do(httpx.Whole(ctx, maxErrorBody), call{
		method: http.MethodDelete,
		path:   path,
		scopes: scopes,
	})
	if err != nil {
		return err
	}
	if err := r.host.check(resp, http.StatusAccepted, http.StatusOK, http.StatusNoContent); err != nil {
		return err
	}
	return resp.Body.Close()
}
