package content

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Recalled source keeps what is small, and asked for by digest, beyond the
// process: what a digest stands for never changes. Manifests, and blobs that are
// opened as a whole, such as configs, are kept up to 64 KiB each.
//
// A manifest or blob that is known is not asked for, and so nobody is asked
// whether it may be read: it is for what is below a manifest that the place
// itself gave just now.
type Recalled struct {
	Source

	Facts Facts // nil keeps nothing
}

// mostRecalled is the size of the largest manifest or blob that is kept. Nearly
// all manifests and configs are smaller.
const mostRecalled = 64 << 10

// Unwrap shows the abilities of the source.
func (r *Recalled) Unwrap() any { return r.Source }

// Manifest implements [Source]. What ref is a tag of is asked of the source.
func (r *Recalled) Manifest(ctx context.Context, ref string) (Manifest, error) {
	d := digest.Digest(ref)
	if r.Facts == nil || CheckDigest(d) != nil {
		return r.Source.Manifest(ctx, ref)
	}
	if m, known := r.Known(d); known {
		return m, nil
	}
	m, err := r.Source.Manifest(ctx, ref)
	if err == nil {
		r.remember(manifestKey(d), m.MediaType()+"\n"+string(m.Raw()))
	}
	return m, err
}

// Known returns manifest d if it is kept.
func (r *Recalled) Known(d digest.Digest) (Manifest, bool) {
	if r.Facts == nil {
		return Manifest{}, false
	}
	kept, known := r.Facts.Fact(manifestKey(d))
	mediaType, raw, whole := strings.Cut(kept, "\n")
	if !known || !whole {
		return Manifest{}, false
	}
	m, err := VerifyManifest(ocispec.Descriptor{Digest: d, MediaType: mediaType}, []byte(raw), Limits{})
	return m, err == nil
}

// Open implements [Source].
func (r *Recalled) Open(ctx context.Context, d ocispec.Descriptor, rng Range) (io.ReadCloser, error) {
	if r.Facts == nil || rng != (Range{}) || d.Size > mostRecalled || CheckDigest(d.Digest) != nil {
		return r.Source.Open(ctx, d, rng)
	}
	raw, known := r.Facts.Fact(blobKey(d.Digest))
	if known && int64(len(raw)) == d.Size && d.Digest.Algorithm().FromString(raw) == d.Digest {
		return io.NopCloser(bytes.NewReader([]byte(raw))), nil
	}
	rc, err := r.Source.Open(ctx, d, rng)
	if err != nil {
		return nil, err
	}
	return &keeping{ReadCloser: rc, r: r, d: d}, nil
}

// remember keeps raw, unless it is large or no text.
func (r *Recalled) remember(key, raw string) {
	if len(raw) <= mostRecalled && utf8.ValidString(raw) {
		r.Facts.Remember(key, raw)
	}
}

func manifestKey(d digest.Digest) string { return "manifest with its type " + d.String() }
func blobKey(d digest.Digest) string     { return "blob " + d.String() }

// A keeping reader keeps the blob it reads when it has come to the end.
type keeping struct {
	io.ReadCloser

	r    *Recalled
	d    ocispec.Descriptor
	read []byte
}

// Read implements [io.Reader].
func (k *keeping) Read(p []byte) (int, error) {
	n, err := k.ReadCloser.Read(p)
	if int64(len(k.read)+n) <= k.d.Size {
		k.read = append(k.read, p[:n]...)
	}
	if errors.Is(err, io.EOF) && int64(len(k.read)) == k.d.Size && k.d.Digest.Algorithm().FromBytes(k.read) == k.d.Digest {
		k.r.remember(blobKey(k.d.Digest), string(k.read))
		k.read = nil
	}
	return n, err
}
