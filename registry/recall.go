package registry

import (
	"context"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// mostRecalled is the size of the largest manifest that is kept beyond the
// process. Nearly all are smaller.
const mostRecalled = 64 << 10

// recalls reports whether manifests are kept: where getting one counts against
// a limit, and there is a place to keep them.
func (r *Repository) recalls() bool {
	if r.host.client.Facts == nil {
		return false
	}
	_, named := r.host.rateLimit()
	return named
}

// recall returns the manifest that ref stands for from those that were kept. The
// host is asked all the same what ref stands for and whether we may see it, with
// a HEAD, which costs nothing. What that does not tell is for a GET to find out.
func (r *Repository) recall(ctx context.Context, ref string) (content.Manifest, bool) {
	if !r.recalls() {
		return content.Manifest{}, false
	}
	if _, kept := r.kept(digest.Digest(ref)); isDigest(ref) && !kept {
		return content.Manifest{}, false
	}
	d, err := r.head(ctx, ref)
	if err != nil {
		return content.Manifest{}, false
	}
	raw, _ := r.kept(d.Digest)
	m, err := content.VerifyManifest(d, []byte(raw), r.host.client.Limits)
	return m, err == nil
}

// head returns what a HEAD says that ref is; an error where it does not say it all.
func (r *Repository) head(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	resp, err := r.host.do(ctx, r.manifestCall(http.MethodHead, ref))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := r.host.check(resp, http.StatusOK); err != nil {
		return ocispec.Descriptor{}, err
	}
	defer resp.Body.Close()
	d, err := r.describe(ref, resp)
	if err == nil && !complete(d) {
		err = content.ErrUnavailable
	}
	return d, err
}

// keep keeps a manifest for recall.
func (r *Repository) keep(m content.Manifest) {
	if m.Size() <= mostRecalled && r.recalls() {
		r.host.client.Facts.Remember(keepKey(m.Digest()), string(m.Raw()))
	}
}

func (r *Repository) kept(d digest.Digest) (raw string, known bool) {
	return r.host.client.Facts.Fact(keepKey(d))
}

func keepKey(d digest.Digest) string { return "manifest " + d.String() }
