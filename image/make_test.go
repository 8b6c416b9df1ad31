package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A builder makes images in a place in memory. It panics where that does not
// work: it is the test's own fault.
type builder struct{ place content.Memory }

// An entry is one entry of a layer's tar.
type entry struct {
	tar.Header

	body string
}

func file(name, body string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, body}
}

func folder(name string) entry {
	return entry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, ""}
}

func symlink(name, to string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}, ""}
}

func hardlink(name, to string) entry {
	return entry{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}, ""}
}

// tarOf returns a tar of entries.
func tarOf(entries ...entry) []byte {
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, e := range entries {
		e.Size = int64(len(e.body))
		must(w.WriteHeader(&e.Header))
		_, err := io.WriteString(w, e.body)
		must(err)
	}
	must(w.Close())
	return raw.Bytes()
}

// of adds the image of layers that are each a list of entries, not compressed.
func (b *builder) of(layers ...[]entry) content.Manifest {
	return b.withConfig(ocispec.Image{}, layers...)
}

// withConfig is of with a config, that gets the layers.
func (b *builder) withConfig(config ocispec.Image, layers ...[]entry) content.Manifest {
	var all []ocispec.Descriptor
	for _, entries := range layers {
		raw := tarOf(entries...)
		all = append(all, b.blob(ocispec.MediaTypeImageLayer, raw))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(raw))
	}
	return b.image(config, all...)
}

// layer adds a gzip layer.
func (b *builder) layer(entries ...entry) ocispec.Descriptor {
	return b.blob(ocispec.MediaTypeImageLayerGzip, packed(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, tarOf(entries...)))
}

func packed(pack func(io.Writer) io.WriteCloser, raw []byte) []byte {
	var out bytes.Buffer
	w := pack(&out)
	_, err := w.Write(raw)
	must(err)
	must(w.Close())
	return out.Bytes()
}

func zstandard(w io.Writer) io.WriteCloser {
	z, err := zstd.NewWriter(w)
	must(err)
	return z
}

func (b *builder) blob(mediaType string, raw []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	_, err := b.place.PutBlob(context.Background(), content.NewBlob(bytesOf(raw), d))
	must(err)
	return d
}

// bytesOf is a place whose only blob is itself.
type bytesOf []byte

func (bytesOf) Manifest(context.Context, string) (content.Manifest, error) {
	return content.Manifest{}, content.ErrNotFound
}

func (b bytesOf) Open(_ context.Context, _ ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	off, n, err := r.Resolve(int64(len(b)))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(b[off : off+n])), nil
}

// image adds the manifest of an image with that config, or whatever else stands
// for one.
func (b *builder) image(config any, layers ...ocispec.Descriptor) content.Manifest {
	return b.manifest(b.blob(ocispec.MediaTypeImageConfig, marshal(config)), layers...)
}

func (b *builder) manifest(config ocispec.Descriptor, layers ...ocispec.Descriptor) content.Manifest {
	raw := marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
		Layers:    append([]ocispec.Descriptor{}, layers...),
	})
	m, err := content.ParseManifest("", raw, content.Limits{})
	must(err)
	must(b.place.PutManifest(context.Background(), m, "image"))
	return m
}

func marshal(v any) []byte {
	raw, err := json.Marshal(v)
	must(err)
	return raw
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
