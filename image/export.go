package image

import (
	"archive/tar"
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

// ExportOptions say how an image is exported. The zero ExportOptions work.
type ExportOptions struct {
	// TempDir is where the layers of a registry are kept while they are read twice;
	// "" means os.TempDir(). Layers from other places are read where they are.
	TempDir string

	// MaxUnpacked is how many bytes a layer may have unpacked, and how many the files
	// of all of them; 0 means 20 × their size + 1 GiB, less than 0 any number.
	MaxUnpacked int64
}

// Export writes the root file system of the single image m of src as a tar: what
// its layers have, the upper ones over the lower ones, without what they remove.
//
// Folders come before what is in them and files before hard links to them, else
// entries come in the order of the layers. They have the owners, modes, times and
// extended attributes of the layers; sparse files are written out. No entry leads
// out of where the tar is unpacked, nor through a link: entries that go through
// one are put where it leads to within the file system. Where links themselves
// lead is left as it is.
//
// Names are held in memory, and nothing of what is in the files. Every layer is
// read twice and verified both times. One whose bytes are not those of its digest,
// or of its diff ID, is [content.ErrCorrupt]; what is no layer, or would unpack to
// something else than it says, is [content.ErrInvalid]. What w has got then is of
// no use.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md
func Export(ctx context.Context, w io.Writer, src content.Source, m content.Manifest, o ExportOptions) (err error) {
	layers, err := layersOf(ctx, src, m)
	if err != nil {
		return err
	}
	k := &keeper{Source: src, dir: o.TempDir}
	defer func() { err = errors.Join(err, k.close()) }()
	if _, ok := content.As[content.Originer](src); ok {
		if err := k.keep(ctx, layers); err != nil {
			return err
		}
	}
	t := newTree(o.most(layers))
	t.headers = true
	for _, l := range layers {
		t.begin()
		if err := l.apply(ctx, k, t, o.MaxUnpacked); err != nil {
			return fmt.Errorf("layer %s: %w", l.Digest, err)
		}
	}
	buffered := bufio.NewWriterSize(w, 128<<10)
	out := newWriter(buffered)
	for i, names := range t.settle() {
		if len(names) == 0 {
			continue
		}
		if err := layers[i].pour(ctx, k, out, names, o.MaxUnpacked); err != nil {
			return fmt.Errorf("layer %s: %w", layers[i].Digest, err)
		}
	}
	if err := out.rest(t); err != nil {
		return err
	}
	return errors.Join(out.tw.Close(), buffered.Flush())
}

// most returns how many bytes the files of layers may have.
func (o ExportOptions) most(layers []layer) int64 {
	if o.MaxUnpacked != 0 {
		return o.MaxUnpacked
	}
	var size int64
	for _, l := range layers {
		size += l.Size
	}
	return packed.Most(size)
}

// A layer is one of an image.
type layer struct {
	ocispec.Descriptor

	diffID digest.Digest
}

// A rootFS is what a config says of layers.
type rootFS struct {
	RootFS ocispec.RootFS `json:"rootfs"`
}

// layersOf returns the layers of m, the lowest first.
func layersOf(ctx context.Context, src content.Source, m content.Manifest) ([]layer, error) {
	config, err := decodeConfig[rootFS](ctx, src, m)
	if err != nil {
		return nil, err
	}
	return config.layers(m)
}

// layers returns the layers of m, which has that config, the lowest first.
func (r rootFS) layers(m content.Manifest) ([]layer, error) {
	d, _ := m.Config()
	ids, all := r.RootFS.DiffIDs, m.Layers()
	if len(ids) != len(all) {
		return nil, fmt.Errorf("config %s has %d diff IDs for %d layers: %w", d.Digest, len(ids), len(all), content.ErrInvalid)
	}
	layers := make([]layer, len(all))
	for i, l := range all {
		if err := checkLayer(l); err != nil {
			return nil, err
		}
		if err := content.CheckDigest(ids[i]); err != nil {
			return nil, fmt.Errorf("config %s: diff ID: %w", d.Digest, err)
		}
		layers[i] = layer{l, ids[i]}
	}
	return layers, nil
}

// checkLayer reports whether d is of a type that is that of a tar, however it is
// compressed: the bytes tell that.
func checkLayer(d ocispec.Descriptor) error {
	switch d.MediaType {
	case ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd,
		content.DockerLayer, content.DockerLayerGzip, content.DockerLayer + ".zstd":
		return nil
	}
	if content.IsForeign(d.MediaType) {
		return nil
	}
	return fmt.Errorf("layer %s is of type %.100q, which is that of no file system: %w", d.Digest, d.MediaType, content.ErrInvalid)
}

// apply applies the entries of l to t.
func (l layer) apply(ctx context.Context, src content.Source, t *tree, most int64) error {
	id := l.diffID.Algorithm().Digester()
	var entry int32
	err := l.read(ctx, src, most, id.Hash(), func(h *tar.Header, _ io.Reader) error {
		entry++
		if err := t.add(h, entry); err != nil {
			return fmt.Errorf("entry %.200q: %w", h.Name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if got := id.Digest(); got != l.diffID {
		want := ocispec.Descriptor{Digest: l.diffID}
		return fmt.Errorf("it is not what the config says: %w", &content.MismatchError{Want: want, Got: got})
	}
	return nil
}

// pour writes what has names, whose entries are of l and in its order.
func (l layer) pour(ctx context.Context, src content.Source, out *writer, names []*node, most int64) error {
	var entry int32
	return l.read(ctx, src, most, io.Discard, func(h *tar.Header, body io.Reader) error {
		entry++
		n := 0
		for n < len(names) && names[n].entry == entry {
			n++
		}
		if n == 0 {
			return nil
		}
		its := names[:n]
		names = names[n:]
		if err := out.file(its, h, body); err != nil {
			return fmt.Errorf("entry %.200q: %w", h.Name, err)
		}
		return nil
	})
}
