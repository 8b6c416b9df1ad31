package testimage

import (
	"cmp"
	"crypto/sha256"
	_ "crypto/sha512" // digest algorithm
	"encoding/binary"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Flavour is a family of media types.
type Flavour int

// The flavours.
const (
	OCI Flavour = iota
	Docker
)

// Media types of Docker that image-spec does not name.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerSchema1  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"
	DockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	DockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// A Builder puts an Image together. The zero Builder works; fields may change between two calls.
type Builder struct {
	Seed      uint64           // random bytes follow from it
	Flavour   Flavour          // media types of manifests, configs and layers
	Algorithm digest.Algorithm // of what is made next; "" is sha256
	Created   time.Time        // in configs; zero is a day of 2026

	source *rand.ChaCha8
	image  Image
}

// random returns the next n bytes that follow from Seed.
func (b *Builder) random(n int64) []byte {
	if b.source == nil {
		var seed [8]byte
		binary.LittleEndian.PutUint64(seed[:], b.Seed)
		b.source = rand.NewChaCha8(sha256.Sum256(seed[:]))
	}
	p := make([]byte, n)
	_, _ = b.source.Read(p) // never fails
	return p
}

func (b *Builder) describe(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: mediaType,
		Digest:    cmp.Or(b.Algorithm, digest.SHA256).FromBytes(content),
		Size:      int64(len(content)),
	}
}

// Blob adds a blob.
func (b *Builder) Blob(mediaType string, content []byte) ocispec.Descriptor {
	d := b.describe(mediaType, content)
	if b.image.Blobs == nil {
		b.image.Blobs = map[digest.Digest][]byte{}
	}
	b.image.Blobs[d.Digest] = content
	return d
}

// RawManifest adds a manifest of exactly these bytes.
func (b *Builder) RawManifest(mediaType string, content []byte) ocispec.Descriptor {
	d := b.describe(mediaType, content)
	if b.image.Manifests == nil {
		b.image.Manifests = map[digest.Digest]Manifest{}
	}
	b.image.Manifests[d.Digest] = Manifest{MediaType: mediaType, Bytes: content}
	return d
}

// Manifest adds a manifest: v as JSON, indented as many tools write it.
func (b *Builder) Manifest(mediaType string, v any) ocispec.Descriptor {
	return b.RawManifest(mediaType, encode(v))
}

// encode is only given values of this package, which are encodable.
func encode(v any) []byte {
	p, _ := json.MarshalIndent(v, "", "  ")
	return p
}

// Config adds an image config for "os/arch[/variant]" with those layers.
func (b *Builder) Config(platform string, layers ...Layer) ocispec.Descriptor {
	p := parsePlatform(platform)
	made := created
	if !b.Created.IsZero() {
		made = b.Created
	}
	config := ocispec.Image{
		Platform: ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant},
		Created:  &made,
		Author:   "seed " + strconv.FormatUint(b.Seed, 10),
		Config: ocispec.ImageConfig{
			Env:    []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
			Cmd:    []string{"/usr/bin/tool"},
			Labels: map[string]string{"org.opencontainers.image.title": "test image"},
		},
		RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}},
	}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.DiffID)
		config.History = append(config.History, ocispec.History{Created: &made, CreatedBy: "COPY files /"})
	}
	if b.Flavour == Docker {
		return b.Blob(DockerConfig, encode(config))
	}
	return b.Blob(ocispec.MediaTypeImageConfig, encode(config))
}

// Image adds a config and a manifest over layers. The descriptor carries the platform, as an index wants it.
func (b *Builder) Image(platform string, layers ...Layer) ocispec.Descriptor {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: b.manifestType(),
		Config:    b.Config(platform, layers...),
		Layers:    []ocispec.Descriptor{},
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.Descriptor)
	}
	d := b.Manifest(m.MediaType, m)
	d.Platform = parsePlatform(platform)
	return d
}

// Index adds an index of children.
func (b *Builder) Index(children ...ocispec.Descriptor) ocispec.Descriptor {
	m := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	}
	if b.Flavour == Docker {
		m.MediaType = DockerList
	}
	return b.Manifest(m.MediaType, m)
}

func (b *Builder) manifestType() string {
	if b.Flavour == Docker {
		return DockerManifest
	}
	return ocispec.MediaTypeImageManifest
}

// Done returns the image with that root. What is added to b later does not show in it.
func (b *Builder) Done(root ocispec.Descriptor) Image {
	m := b.image
	m.Root = root
	m.Manifests, m.Blobs = maps.Clone(m.Manifests), maps.Clone(m.Blobs)
	m.Tags, m.Elsewhere = maps.Clone(m.Tags), maps.Clone(m.Elsewhere)
	m.Referrers = append([]ocispec.Descriptor(nil), m.Referrers...)
	return m
}

func parsePlatform(s string) *ocispec.Platform {
	part := strings.Split(s+"//", "/")
	return &ocispec.Platform{OS: part[0], Architecture: part[1], Variant: part[2]}
}
