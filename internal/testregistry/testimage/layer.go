package testimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A Compression is what a layer's tar is packed with.
type Compression int

// The compressions. Stored is gzip that does not try: for big layers of random bytes.
const (
	Gzip Compression = iota
	Zstd
	Raw
	Stored
)

// A Layer is a layer's descriptor and the digest of its tar.
type Layer struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
}

// Layer adds a layer: a tar with a few files, among them one of size random bytes.
func (b *Builder) Layer(c Compression, size int64) Layer {
	return b.TarLayer(c, b.tar(size))
}

// TarLayer adds a layer of exactly these unpacked bytes, a tar or not.
func (b *Builder) TarLayer(c Compression, raw []byte) Layer {
	return Layer{Descriptor: b.Blob(b.layerType(c), pack(c, raw)), DiffID: digest.FromBytes(raw)}
}

// ForeignLayer adds a layer that lies at url+"/"+digest and not in the registry: see Image.Elsewhere.
func (b *Builder) ForeignLayer(url string, size int64) Layer {
	raw := b.tar(size)
	content := pack(Gzip, raw)
	mediaType := ocispec.MediaTypeImageLayerNonDistributableGzip //nolint:staticcheck // deprecated, and still met
	if b.Flavour == Docker {
		mediaType = DockerForeign
	}
	d := b.describe(mediaType, content)
	d.URLs = []string{url + "/" + d.Digest.String()}
	if b.image.Elsewhere == nil {
		b.image.Elsewhere = map[digest.Digest][]byte{}
	}
	b.image.Elsewhere[d.Digest] = content
	return Layer{Descriptor: d, DiffID: digest.FromBytes(raw)}
}

func (b *Builder) layerType(c Compression) string {
	switch {
	case c == Zstd:
		return ocispec.MediaTypeImageLayerZstd
	case c == Raw && b.Flavour == Docker:
		return strings.TrimSuffix(DockerLayer, ".gzip")
	case c == Raw:
		return ocispec.MediaTypeImageLayer
	case b.Flavour == Docker:
		return DockerLayer
	}
	return ocispec.MediaTypeImageLayerGzip
}

// tar makes the files of one layer. Their names differ from layer to layer, so that layers stack.
func (b *Builder) tar(size int64) []byte {
	content := b.random(size)
	id := fmt.Sprintf("%x", b.random(4))
	return Tar(
		Entry{tar.Header{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o755}, nil},
		Entry{tar.Header{Typeflag: tar.TypeDir, Name: "usr/bin/", Mode: 0o755}, nil},
		Entry{tar.Header{Name: "usr/bin/tool", Mode: 0o755}, []byte("#!/bin/sh\necho layer " + id + "\n")},
		Entry{tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/bin/tool-" + id, Linkname: "tool", Mode: 0o777}, nil},
		Entry{tar.Header{Typeflag: tar.TypeDir, Name: "data/", Mode: 0o755}, nil},
		Entry{tar.Header{Name: "data/" + id, Mode: 0o644}, content},
	)
}

// An Entry is one entry of a tar. Size and time of the header are set by Tar.
type Entry struct {
	Header tar.Header
	Body   []byte
}

// Tar returns a tar of entries, with a fixed time. Entries that archive/tar refuses to write are left out.
func Tar(entries ...Entry) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := e.Header
		h.ModTime, h.Size = created, int64(len(e.Body))
		if w.WriteHeader(&h) != nil {
			continue
		}
		_, _ = w.Write(e.Body) // a buffer takes everything
	}
	_ = w.Close()
	return out.Bytes()
}

// Files adds a layer with these files, by name.
func (b *Builder) Files(c Compression, files map[string]string) Layer {
	var entries []Entry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, Entry{tar.Header{Name: name, Mode: 0o644}, []byte(files[name])})
	}
	return b.TarLayer(c, Tar(entries...))
}

// packings has what small layers were packed to, by how and the digest of what. Tests make the same images again and again,
// and a writer of gzip is made of a megabyte, which the race detector follows.
var packings sync.Map

// reused is the size up to which a layer stays in packings.
const reused = 64 << 10

type packing struct {
	how  Compression
	what [sha256.Size]byte
}

// pack compresses into memory, where nothing can fail. What it returns is the caller's.
func pack(c Compression, raw []byte) []byte {
	if c == Raw || len(raw) > reused {
		return compress(c, raw)
	}
	key := packing{c, sha256.Sum256(raw)}
	if before, found := packings.Load(key); found {
		return bytes.Clone(before.([]byte))
	}
	out := compress(c, raw)
	packings.Store(key, bytes.Clone(out))
	return out
}

func compress(c Compression, raw []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch c {
	case Raw:
		return raw
	case Zstd:
		w, _ = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	case Stored:
		w, _ = gzip.NewWriterLevel(&out, gzip.NoCompression)
	case Gzip:
		w = gzip.NewWriter(&out)
	}
	_, _ = w.Write(raw)
	_ = w.Close()
	return out.Bytes()
}
