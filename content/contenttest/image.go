package contenttest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// An Image is a root manifest with all that belongs to it.
type Image struct {
	Name      string // what is special about it
	Root      content.Manifest
	Children  []content.Manifest // every one before the index that has it
	Referrers []content.Manifest // they refer to Root or to one of Children
	Blobs     []*Blob            // of all of these, each once
}

// A Blob is a content.Blob in memory that counts how often it was opened.
type Blob struct {
	Desc  ocispec.Descriptor
	Data  []byte
	opens atomic.Int64
}

// NewBlob returns data as a blob of mediaType, named by its sha256.
func NewBlob(mediaType string, data []byte) *Blob {
	return newBlobBy(digest.SHA256, mediaType, data)
}

func newBlobBy(alg digest.Algorithm, mediaType string, data []byte) *Blob {
	return &Blob{
		Desc: ocispec.Descriptor{MediaType: mediaType, Digest: alg.FromBytes(data), Size: int64(len(data))},
		Data: data,
	}
}

// Descriptor implements [content.Blob].
func (b *Blob) Descriptor() ocispec.Descriptor { return b.Desc }

// Open implements [content.Blob].
func (b *Blob) Open(_ context.Context, r content.Range) (io.ReadCloser, error) {
	b.opens.Add(1)
	off, n, err := r.Resolve(int64(len(b.Data)))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(b.Data[off : off+n])), nil
}

// Opens returns how often the blob was opened.
func (b *Blob) Opens() int { return int(b.opens.Load()) }

// Noise returns n bytes that do not compress, the same ones for the same seed.
func Noise(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	p := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(p) // deterministic on purpose; Read never fails
	return p
}

// A maker builds the parts of one image and collects its blobs.
type maker struct {
	tb    testing.TB
	alg   digest.Algorithm
	blobs []*Blob
}

func newMaker(tb testing.TB) *maker {
	tb.Helper()
	return &maker{tb: tb, alg: digest.SHA256}
}

// add collects a blob, once.
func (k *maker) add(mediaType string, data []byte) ocispec.Descriptor {
	b := newBlobBy(k.alg, mediaType, data)
	for _, have := range k.blobs {
		if have.Desc.Digest == b.Desc.Digest {
			return b.Desc
		}
	}
	k.blobs = append(k.blobs, b)
	return b.Desc
}

// layer returns a tar with one file of noise.
func (k *maker) layer(seed uint64, size int) []byte {
	k.tb.Helper()
	var tarred bytes.Buffer
	tw := tar.NewWriter(&tarred)
	k.must(tw.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(size), Typeflag: tar.TypeReg}))
	_, err := tw.Write(Noise(seed, size))
	k.must(err)
	k.must(tw.Close())
	return tarred.Bytes()
}

// packings has what small layers were packed to, by media type and the digest of what was packed. The suite makes the same
// images for each of its tests, and a writer of gzip is made of a megabyte, which the race detector follows.
var packings sync.Map

// reused is the size up to which a layer stays in packings.
const reused = 64 << 10

type packing struct {
	mediaType string
	what      digest.Digest
}

// packed returns raw as a layer of mediaType has it.
func (k *maker) packed(mediaType string, raw []byte) []byte {
	k.tb.Helper()
	if content.IsRawLayer(mediaType) {
		return raw
	}
	if len(raw) > reused {
		return k.compressed(mediaType, raw)
	}
	key := packing{mediaType, digest.FromBytes(raw)}
	if before, found := packings.Load(key); found {
		return bytes.Clone(before.([]byte))
	}
	out := k.compressed(mediaType, raw)
	packings.Store(key, bytes.Clone(out))
	return out
}

func (k *maker) compressed(mediaType string, raw []byte) []byte {
	k.tb.Helper()
	var packed bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&packed)
	if mediaType == ocispec.MediaTypeImageLayerZstd {
		zw, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1))
		k.must(err)
		w = zw
	}
	_, err := w.Write(raw)
	k.must(err)
	k.must(w.Close())
	return packed.Bytes()
}

// config returns an image config for layers with these diff IDs.
func (k *maker) config(p ocispec.Platform, diffIDs []digest.Digest) []byte {
	k.tb.Helper()
	return k.json(ocispec.Image{
		Platform: p,
		Config:   ocispec.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"/file"}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: diffIDs},
	})
}

// A body is a manifest of any kind on its way to JSON.
type body struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType,omitempty"`
	ArtifactType  string               `json:"artifactType,omitempty"`
	Config        *ocispec.Descriptor  `json:"config,omitempty"`
	Layers        []ocispec.Descriptor `json:"layers,omitempty"`
	Manifests     []ocispec.Descriptor `json:"manifests,omitempty"`
	Subject       *ocispec.Descriptor  `json:"subject,omitempty"`
	Annotations   map[string]string    `json:"annotations,omitempty"`
}

// manifest returns v, a body or raw bytes, as a manifest of mediaType.
func (k *maker) manifest(mediaType string, v any) content.Manifest {
	k.tb.Helper()
	raw, ok := v.([]byte)
	if !ok {
		raw = k.json(v)
	}
	m, err := content.VerifyManifest(ocispec.Descriptor{MediaType: mediaType, Digest: k.alg.FromBytes(raw)}, raw, content.Limits{})
	k.must(err)
	return m
}

// image returns an OCI image manifest for platform p with n layers.
func (k *maker) image(p ocispec.Platform, seed uint64, n int) content.Manifest {
	k.tb.Helper()
	b := body{SchemaVersion: 2, MediaType: ocispec.MediaTypeImageManifest}
	k.fill(&b, p, []string{ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip}, seed, n)
	return k.manifest(ocispec.MediaTypeImageManifest, b)
}

// fill gives b a config and n layers of the given media types.
func (k *maker) fill(b *body, p ocispec.Platform, types []string, seed uint64, n int) {
	k.tb.Helper()
	var diffIDs []digest.Digest
	for i := range n {
		raw := k.layer(seed+uint64(i), 700*(i+1))
		diffIDs = append(diffIDs, digest.FromBytes(raw))
		b.Layers = append(b.Layers, k.add(types[1], k.packed(types[1], raw)))
	}
	config := k.add(types[0], k.config(p, diffIDs))
	b.Config = &config
}

// artifact returns an artifact's manifest with an empty config.
func (k *maker) artifact(artifactType string, subject *ocispec.Descriptor, layers ...ocispec.Descriptor) content.Manifest {
	k.tb.Helper()
	config := k.add(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	if len(layers) == 0 {
		layers = []ocispec.Descriptor{config}
	}
	return k.manifest(ocispec.MediaTypeImageManifest, body{
		SchemaVersion: 2, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config: &config, Layers: layers, Subject: subject,
		Annotations: map[string]string{"org.example.note": artifactType},
	})
}

// index returns an OCI index of children.
func (k *maker) index(children ...ocispec.Descriptor) content.Manifest {
	k.tb.Helper()
	return k.manifest(ocispec.MediaTypeImageIndex, body{SchemaVersion: 2, MediaType: ocispec.MediaTypeImageIndex, Manifests: children})
}

// child returns m's descriptor as an index for platform p has it.
func child(m content.Manifest, p ocispec.Platform) ocispec.Descriptor {
	d := m.Descriptor()
	d.ArtifactType = ""
	d.Platform = &p
	return d
}

func (k *maker) json(v any) []byte {
	k.tb.Helper()
	raw, err := json.Marshal(v)
	k.must(err)
	return raw
}

func (k *maker) must(err error) {
	k.tb.Helper()
	if err != nil {
		k.tb.Fatalf("build an image: %v", err)
	}
}
