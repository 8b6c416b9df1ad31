// Package kept tries out what a store of images promises to keep.
//
// It has tests only: they know the store and the engine that fills it, which no
// other package may.
package kept

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A piece is a blob in memory.
type piece struct {
	d   ocispec.Descriptor
	raw []byte
}

func pieceOf(mediaType, raw string) piece {
	return piece{ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(raw), Size: int64(len(raw))}, []byte(raw)}
}

func (p piece) Descriptor() ocispec.Descriptor { return p.d }

func (p piece) Open(_ context.Context, r content.Range) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(p.raw[r.Off:])), nil
}

// A world is all images there are, as every registry has them.
type world struct {
	registry  content.Memory
	manifests map[digest.Digest]content.Manifest
	bytes     map[digest.Digest][]byte          // of manifests and blobs
	roots     []digest.Digest                   // what is pulled: images for one platform, and indexes
	about     map[digest.Digest][]digest.Digest // what refers to a manifest, by a subject or by a tag
	tagged    map[digest.Digest]string          // the digest tag of what has one
}

var platforms = []content.Platform{
	{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}, {OS: "linux", Architecture: "s390x"},
}

// newWorld makes images that share layers, and two indexes, one of which has an
// image that is pulled by itself too. Some of all these are signed.
func newWorld() *world {
	w := &world{
		manifests: map[digest.Digest]content.Manifest{}, bytes: map[digest.Digest][]byte{},
		about: map[digest.Digest][]digest.Digest{}, tagged: map[digest.Digest]string{},
	}
	var images []content.Manifest
	for i := range 6 {
		images = append(images, w.image(i, platforms[i%len(platforms)]))
	}
	first, second := w.index(images[:3]), w.index(images[3:])
	alone := []content.Manifest{images[0], w.image(6, platforms[0]), w.image(7, platforms[0])}
	for _, m := range append(alone, first, second) {
		w.roots = append(w.roots, m.Digest())
	}
	signature := w.refer(first, "application/vnd.example.signature")
	w.refer(signature, "application/vnd.example.timestamp")
	w.refer(images[4], "application/vnd.example.sbom")
	w.refer(alone[1], "application/vnd.example.signature")
	w.sign(alone[2])
	w.sign(second)
	return w
}

func (w *world) image(i int, p content.Platform) content.Manifest {
	config := pieceOf(ocispec.MediaTypeImageConfig, fmt.Sprintf(`{"os":%q,"architecture":%q,"number":%d}`, p.OS, p.Architecture, i))
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config.d}
	pieces := []piece{config}
	for n := range 2 {
		layer := pieceOf(ocispec.MediaTypeImageLayer, fmt.Sprintf("layer %d", (i+n)%5))
		m.Layers, pieces = append(m.Layers, layer.d), append(pieces, layer)
	}
	return w.put(m, pieces)
}

func (w *world) index(images []content.Manifest) content.Manifest {
	x := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for i, m := range images {
		d := m.Descriptor()
		d.Platform = &ocispec.Platform{OS: platforms[i].OS, Architecture: platforms[i].Architecture}
		x.Manifests = append(x.Manifests, d)
	}
	return w.put(x, nil)
}

// refer makes something that has m as its subject.
func (w *world) refer(m content.Manifest, kind string) content.Manifest {
	what := pieceOf("text/plain", kind+" of "+m.Digest().String())
	empty, subject := pieceOf(ocispec.MediaTypeEmptyJSON, "{}"), m.Descriptor()
	referrer := w.put(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: kind,
		Config: empty.d, Layers: []ocispec.Descriptor{what.d}, Subject: &subject,
	}, []piece{empty, what})
	w.about[m.Digest()] = append(w.about[m.Digest()], referrer.Digest())
	return referrer
}

// sign makes a signature as cosign does, under a digest tag.
func (w *world) sign(m content.Manifest) {
	what, empty := pieceOf("text/plain", "cosign of "+m.Digest().String()), pieceOf(ocispec.MediaTypeImageConfig, "{}")
	tag := content.DigestTags(m.Digest())[0]
	signature := w.put(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: empty.d, Layers: []ocispec.Descriptor{what.d},
	}, []piece{empty, what}, tag)
	w.about[m.Digest()] = append(w.about[m.Digest()], signature.Digest())
	w.tagged[signature.Digest()] = tag
}

// put adds a manifest. The registry is in memory: what goes wrong is wrong here.
func (w *world) put(manifest any, pieces []piece, names ...string) content.Manifest {
	raw, err := json.Marshal(manifest)
	if err != nil {
		panic(err)
	}
	m, err := content.ParseManifest("", raw, content.Limits{})
	if err != nil {
		panic(err)
	}
	for _, p := range pieces {
		if _, err := w.registry.PutBlob(context.Background(), p); err != nil {
			panic(err)
		}
		w.bytes[p.d.Digest] = p.raw
	}
	if err := w.registry.PutManifest(context.Background(), m, names...); err != nil {
		panic(err)
	}
	w.bytes[m.Digest()], w.manifests[m.Digest()] = raw, m
	return m
}

// reach returns all that roots lead to, what refers to any of it included.
func (w *world) reach(roots map[digest.Digest]bool) map[digest.Digest]bool {
	found := map[digest.Digest]bool{}
	var todo []digest.Digest
	for d := range roots {
		todo = append(todo, d)
	}
	for len(todo) > 0 {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if found[d] {
			continue
		}
		found[d] = true
		m := w.manifests[d]
		for _, b := range append(m.Blobs(), m.Children()...) {
			todo = append(todo, b.Digest)
		}
		todo = append(todo, w.about[d]...)
	}
	return found
}
