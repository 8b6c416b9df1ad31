package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// Open implements [content.Source]. A body that breaks or stalls is opened
// again at the byte reached; only as many tries in a row as the Client allows
// may fail without a new byte. The bytes are not verified.
//
// Reading ends with ctx.
func (r *Repository) Open(ctx context.Context, d ocispec.Descriptor, rng content.Range) (io.ReadCloser, error) {
	if err := content.CheckDigest(d.Digest); err != nil {
		return nil, err
	}
	rc, err := r.host.openBody(ctx, d, rng, asking{request: r.blobRequest(d)})
	if errors.Is(err, content.ErrNotFound) && content.IsForeign(d.MediaType) && r.host.client.ForeignLayers == ForeignFetch {
		return r.openForeign(ctx, d, rng, err)
	}
	return rc, err
}

func (r *Repository) blobRequest(d ocispec.Descriptor) func(context.Context) (*http.Request, error) {
	return func(ctx context.Context) (*http.Request, error) {
		return r.host.request(ctx, call{method: http.MethodGet, path: r.path("blobs", d.Digest.String()), query: r.query(), scopes: r.pull()})
	}
}

// An asking is how a blob is asked for.
type asking struct {
	request func(context.Context) (*http.Request, error)

	// spansOnly wants the span that is asked for, at once: where it takes reading
	// up to it, that is [errors.ErrUnsupported], and where the host's settings allow
	// no more blobs, [content.ErrOwnLimit].
	spansOnly bool

	elsewhere bool // the host does not have it: what comes tells nothing about it
}

// openBody opens span rng of a blob.
func (h *host) openBody(ctx context.Context, d ocispec.Descriptor, rng content.Range, ask asking) (io.ReadCloser, error) {
	off, n, err := rng.Resolve(d.Size)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return http.NoBody, nil
	}
	ctx = httpx.Lane(ctx)
	leave, err := h.takeBody(ctx, ask)
	if err != nil {
		return nil, err
	}
	b := &body{
		leave:   leave,
		answers: h.answers,
		desc:    d,
		off:     off,
		end:     off + n,
		most:    h.tries(),
		backoff: h.client.backoff(),
		wait:    func(d time.Duration) error { return httpx.Wait(ctx, d) },
		note: func(off int64, pause time.Duration, err error) {
			h.client.log().DebugContext(ctx, "blob broke off", "digest", d.Digest, "offset", off, "error", err)
			h.again(ctx, content.Retry{Desc: d, Offset: off, Wait: pause}, err)
		},
		get: func(rangeHeader string) (*http.Response, error) {
			req, err := ask.request(ctx)
			if err != nil {
				return nil, err
			}
			if rangeHeader != "" {
				req.Header.Set("Range", rangeHeader)
			}
			return h.getBlob(ctx, req)
		},
		fail: h.answerError,
		page: h.webPage,
		ranges: func(gives bool) {
			if !ask.elsewhere {
				h.quirks.with(func(q *quirks) { q.noRanges = !gives })
			}
		},
		strict: ask.spansOnly,
		served: h.counter(ctx),
	}
	if err := b.reopen(nil); err != nil {
		leave()
		return nil, err
	}
	return b, nil
}

// takeBody waits until one more blob may be read from the host and returns what
// ends that. The answers that are waited for are counted apart, at the gate: an
// upload waits for a blob, never a blob for an upload.
func (h *host) takeBody(ctx context.Context, ask asking) (leave func(), err error) {
	if !ask.spansOnly {
		return h.bodies.take(ctx)
	}
	if leave = h.bodies.try(); leave == nil {
		return nil, fmt.Errorf("more blobs at once from %s: %w", h.name, content.ErrOwnLimit)
	}
	return leave, nil
}

// heedBody notes, and reports, that the host finds too many the blobs that are read
// from it.
func (h *host) heedBody(req *http.Request, resp *http.Response) (tooMany bool) {
	tooMany = resp.StatusCode == http.StatusTooManyRequests && httpx.IsLane(req.Context()) && !httpx.IsWhole(req.Context())
	if tooMany {
		h.bodies.refused()
	}
	return tooMany
}
