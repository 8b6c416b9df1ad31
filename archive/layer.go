package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/packed"
)

// layer returns the descriptor of the layer of a docker archive that lies at
// name, and remembers where its bytes are.
func (a *Archive) layer(ctx context.Context, image *dockerImage, name string, diffID digest.Digest) (ocispec.Descriptor, error) {
	if err := content.CheckDigest(diffID); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("config %q: diff ID: %w", clip(image.Config), err)
	}
	f, err := a.index.follow(name)
	if source, ok := image.LayerSources[diffID.String()]; err != nil && ok && content.IsForeign(source.MediaType) {
		return source, nil
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	at := span{a.data, f.off, f.size}
	head := make([]byte, packed.MagicSize)
	n, err := io.ReadFull(at.reader(), head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return ocispec.Descriptor{}, err
	}
	switch found := packed.Sniff(head[:n]); {
	case found == packed.Gzip:
		return a.packedLayer(ctx, at, name, ocispec.MediaTypeImageLayerGzip)
	case found == packed.Zstd:
		return a.packedLayer(ctx, at, name, ocispec.MediaTypeImageLayerZstd)
	case found == packed.Plain && a.o.Compress == None:
		// Its digest is the diff ID; whoever copies it verifies that.
		a.keep(diffID, at)
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: diffID, Size: f.size}, nil
	}
	d, err := a.pack(ctx, at, diffID)
	if err != nil {
		return d, fmt.Errorf("layer %q: %w", clip(name), err)
	}
	return d, nil
}

// packedLayer is a layer that stays as it is. Its digest stands in its path, in
// archives that are layouts, or else is found out.
func (a *Archive) packedLayer(ctx context.Context, at span, name, mediaType string) (ocispec.Descriptor, error) {
	d, ok := statedDigest(name)
	if !ok {
		hash := digest.SHA256.Digester()
		if _, err := io.Copy(hash.Hash(), withReader(ctx, at.reader())); err != nil {
			return ocispec.Descriptor{}, err
		}
		d = hash.Digest()
	}
	a.keep(d, at)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: at.size}, nil
}

// pack writes a layer into a temporary file, compressed as the options say. The
// raw bytes must be those of the diff ID.
func (a *Archive) pack(ctx context.Context, at span, diffID digest.Digest) (d ocispec.Descriptor, err error) {
	in := packed.NewInput(ctx, at.reader())
	raw, err := packed.Unpack(in, a.o.MaxUnpacked)
	if err != nil {
		return d, in.Blame(err)
	}
	defer raw.Close()
	f, err := a.spools.create(a.o.TempDir)
	if err != nil {
		return d, err
	}
	out := &measure{w: bufio.NewWriterSize(f, 128<<10), hash: digest.SHA256.Digester()}
	w, mediaType, err := packer(out, a.o.Compress)
	if err != nil {
		return d, err
	}
	hash := diffID.Algorithm().Digester()
	n, err := io.Copy(io.MultiWriter(w, hash.Hash()), raw)
	if err != nil {
		return d, errors.Join(in.Blame(err), w.Close())
	}
	if err := errors.Join(w.Close(), out.w.Flush()); err != nil {
		return d, err
	}
	if got := hash.Digest(); got != diffID {
		return d, &content.MismatchError{Want: ocispec.Descriptor{Digest: diffID, Size: n}, Got: got, Size: n}
	}
	d = ocispec.Descriptor{MediaType: mediaType, Digest: out.hash.Digest(), Size: out.size}
	a.keep(d.Digest, span{f, 0, d.Size})
	a.noteLayer(d.Digest, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: diffID, Size: n})
	return d, nil
}

// packer returns what compresses into w, the same input to the same bytes.
func packer(w io.Writer, c Compression) (io.WriteCloser, string, error) {
	format, mediaType := packed.Plain, ocispec.MediaTypeImageLayer
	switch c {
	case Gzip:
		format, mediaType = packed.Gzip, ocispec.MediaTypeImageLayerGzip
	case Zstd:
		format, mediaType = packed.Zstd, ocispec.MediaTypeImageLayerZstd
	case None:
	}
	z, err := packed.NewWriter(w, format)
	return z, mediaType, err
}

// A measure hashes and counts what passes.
type measure struct {
	w    *bufio.Writer
	hash digest.Digester
	size int64
}

func (m *measure) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.size += int64(n)
	_, _ = m.hash.Hash().Write(p[:n]) // a hash never fails
	return n, err
}
