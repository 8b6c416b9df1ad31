package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// openForeign reads a layer from the URLs its descriptor names, first to last.
// These are the word of whoever made the image: they get no credential, must be
// https (but for a registry on this machine that speaks http), and may not lead
// to an address nearer than the registry's.
func (r *Repository) openForeign(ctx context.Context, d ocispec.Descriptor, rng content.Range, missing error) (io.ReadCloser, error) {
	const most = 8
	errs := []error{missing}
	for _, text := range d.URLs[:min(len(d.URLs), most)] {
		u, err := r.foreignURL(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rc, err := r.host.openBody(httpx.Anonymous(ctx), d, rng, asking{elsewhere: true, request: func(ctx context.Context) (*http.Request, error) {
			return r.host.request(ctx, call{method: http.MethodGet, url: u})
		}})
		if err == nil {
			return rc, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("foreign layer %s: %w", d.Digest, errors.Join(errs...))
}

func (r *Repository) foreignURL(text string) (*url.URL, error) {
	policy := httpx.Policy{Kind: httpx.ForeignLayer, From: r.host.url("", nil), Reach: r.host.reachable()}
	named, err := policy.Decide(text)
	return named.URL, err
}
