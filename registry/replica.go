package registry

import (
	"context"
	"errors"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// A replica is a repository as one of the hosts that give spans of a blob. It does
// not insist on an answer: what the host refuses is for others. A body that breaks
// goes on as any other does.
type replica struct{ *Repository }

var (
	_ content.Replicated = (*Repository)(nil)
	_ content.Replicated = (*Mirrored)(nil)
	_ content.Replica    = replica{}
)

// Replicas implements [content.Replicated]: the repository itself, unless its
// host was found to give blobs as a whole only.
func (r *Repository) Replicas(_ context.Context, d ocispec.Descriptor) []content.Replica {
	if content.IsForeign(d.MediaType) || r.host.givesWhole() {
		return nil
	}
	return []content.Replica{replica{r}}
}

// Replicas implements [content.Replicated]: the mirrors that are well, those that
// are slow, and the repository's own host.
func (m *Mirrored) Replicas(_ context.Context, d ocispec.Descriptor) []content.Replica {
	if content.IsForeign(d.MediaType) {
		return nil
	}
	var all []content.Replica
	for _, r := range m.order() {
		if r != m.own && !r.host.givesWhole() {
			all = append(all, replica{r})
		}
	}
	if len(all) == 0 && m.own.host.givesWhole() {
		return nil
	}
	return append(all, replica{m.own})
}

// Host implements [content.Replica].
func (r replica) Host() string { return r.host.name }

// Open implements [content.Source] for [content.Replica]: one request, at once, and
// no more of an answer than was asked for.
func (r replica) Open(ctx context.Context, d ocispec.Descriptor, rng content.Range) (io.ReadCloser, error) {
	rc, err := r.host.openBody(httpx.Once(ctx), d, rng, asking{request: r.blobRequest(d), spansOnly: true})
	if err != nil {
		r.fellAt(ctx, d, err)
		return nil, err
	}
	r.did()
	return &replicaBody{rc, r, ctx, d}, nil
}

// Insist implements [content.Replica].
func (r replica) Insist(ctx context.Context, d ocispec.Descriptor, rng content.Range) (io.ReadCloser, error) {
	return r.Repository.Open(ctx, d, rng)
}

// fellAt notes what a mirror did not give. That it gives no spans is no fault, nor
// is what our own settings do not allow, or what nobody waits for any more.
func (r replica) fellAt(ctx context.Context, d ocispec.Descriptor, err error) {
	if ctx.Err() == nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, content.ErrOwnLimit) {
		r.fell(ctx, d.Digest.String(), err)
	}
}

// Blame implements [content.Replica].
func (r replica) Blame(ctx context.Context, d ocispec.Descriptor, err error) {
	if r.host.mirror != nil {
		r.bench(ctx, "sent wrong bytes", d.Digest.String(), err)
	}
}

// A replicaBody is a span on its way from a replica.
type replicaBody struct {
	io.ReadCloser
	from replica
	ctx  context.Context //nolint:containedctx // that of Open, which ends reading
	desc ocispec.Descriptor
}

// Read implements [io.Reader].
func (b *replicaBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.from.fellAt(b.ctx, b.desc, err)
	}
	return n, err
}

// givesWhole reports whether the host was found to ignore Range.
func (h *host) givesWhole() (whole bool) {
	h.quirks.with(func(q *quirks) { whole = q.noRanges })
	return whole
}
