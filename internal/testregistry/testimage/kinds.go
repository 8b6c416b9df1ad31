package testimage

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Kind is one kind of content that a copy has to carry.
type Kind struct {
	Name string
	Make func(seed uint64) Image
}

// Kinds returns one of each kind of content. Schema1 is not among them: it is refused, not copied.
func Kinds() []Kind {
	return []Kind{
		{"single", Single},
		{"docker", DockerV2},
		{"docker-list", DockerMultiPlatform},
		{"index", Index},
		{"nested-index", NestedIndex},
		{"artifact", UnknownArtifact},
		{"unknown-child", UnknownChild},
		{"untyped-child", UntypedChild},
		{"empty-index", EmptyIndex},
		{"empty-config", EmptyConfig},
		{"zero-blob", ZeroBlob},
		{"no-layers", NoLayers},
		{"twice-layer", TwiceLayer},
		{"orphan", Orphan},
		{"sha512", SHA512},
		{"foreign", func(seed uint64) Image { return Foreign(seed, "http://127.0.0.1:1/foreign") }},
		{"zstd", func(seed uint64) Image { return packed(seed, Zstd) }},
		{"raw", func(seed uint64) Image { return packed(seed, Raw) }},
		{"shared", func(seed uint64) Image { _, second := Shared(seed); return second }},
		{"referrers", WithReferrers},
		{"cosign", WithCosign},
	}
}

// Named returns the kind of that name, made from seed, and whether there is one: "schema1" and "fallback" too, which
// are for registries that take the one and need the other, and "arm64", which is another platform's "raw".
func Named(name string, seed uint64) (Image, bool) {
	switch name {
	case "schema1":
		return Schema1(seed), true
	case "arm64":
		return ForArm(seed), true
	case "fallback":
		return WithFallback(seed), true
	case "attested":
		return Attested(seed), true
	case "release":
		return Release(seed), true
	case "release-base":
		b := Builder{Seed: 1}
		return b.Done(b.Image("linux/amd64", b.releaseBase()...)), true
	}
	for _, k := range Kinds() {
		if k.Name == name {
			return k.Make(seed), true
		}
	}
	return Image{}, false
}

// Single is an OCI image of one platform with two gzip layers.
func Single(seed uint64) Image { return packed(seed, Gzip) }

// Made is an OCI image of one platform, with one layer, that was made at that time.
func Made(seed uint64, at time.Time) Image {
	b := Builder{Seed: seed, Created: at}
	return b.Done(b.Image("linux/amd64", b.Layer(Gzip, 3000)))
}

// ForArm is an OCI image for linux/arm64 whose layer is a plain tar.
func ForArm(seed uint64) Image {
	b := Builder{Seed: seed}
	return b.Done(b.Image("linux/arm64", b.Layer(Raw, 3000)))
}

// Zstandard is an OCI image with zstd layers.
func Zstandard(seed uint64) Image { return packed(seed, Zstd) }

// Uncompressed is an OCI image whose layers are plain tars.
func Uncompressed(seed uint64) Image { return packed(seed, Raw) }

func packed(seed uint64, c Compression) Image {
	b := Builder{Seed: seed}
	return b.Done(b.Image("linux/amd64", b.Layer(c, 3000), b.Layer(c, 500)))
}

// DockerV2 is an image with Docker's media types.
func DockerV2(seed uint64) Image {
	b := Builder{Seed: seed, Flavour: Docker}
	return b.Done(b.Image("linux/amd64", b.Layer(Gzip, 3000), b.Layer(Gzip, 500)))
}

// DockerMultiPlatform is a Docker manifest list of two platforms.
func DockerMultiPlatform(seed uint64) Image {
	b := Builder{Seed: seed, Flavour: Docker}
	return b.Done(b.Index(
		b.Image("linux/amd64", b.Layer(Gzip, 2000)),
		b.Image("linux/arm64", b.Layer(Gzip, 2000)),
	))
}

// Index is an OCI index of amd64, arm64 and arm/v7, each with an attestation, over one base layer they share.
func Index(seed uint64) Image { return IndexOf(seed, "linux/amd64", "linux/arm64", "linux/arm/v7") }

// IndexOf is an OCI index of the given platforms, each with an attestation, over one base layer they share.
func IndexOf(seed uint64, platforms ...string) Image {
	b := Builder{Seed: seed}
	return b.Done(b.multi(platforms...))
}

func (b *Builder) multi(platforms ...string) ocispec.Descriptor {
	base := b.Layer(Gzip, 4000)
	var children, attestations []ocispec.Descriptor
	for _, p := range platforms {
		child := b.Image(p, base, b.Layer(Gzip, 1000))
		children = append(children, child)
		attestations = append(attestations, b.Attestation(child))
	}
	return b.Index(append(children, attestations...)...)
}

// NestedIndex is an index that holds an index beside an image.
func NestedIndex(seed uint64) Image {
	b := Builder{Seed: seed}
	inner := b.multi("linux/arm64", "linux/arm/v7")
	return b.Done(b.Index(b.Image("linux/amd64", b.Layer(Gzip, 1000)), inner))
}

// UnknownArtifact is an OCI manifest with a config and layers of types nobody knows.
func UnknownArtifact(seed uint64) Image {
	b := Builder{Seed: seed}
	return b.Done(b.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    b.Blob("application/vnd.example.config.v3+toml", []byte("answer = 42\n")),
		Layers: []ocispec.Descriptor{
			b.Blob("application/vnd.example.model", b.random(2000)),
			b.Blob("text/x-readme", []byte("read me\n")),
		},
		Annotations: map[string]string{"com.example.unknown": "kept"},
	}))
}

// UnknownChild is an index one of whose children is a manifest of a type nobody knows: a leaf.
func UnknownChild(seed uint64) Image {
	b := Builder{Seed: seed}
	leaf := b.RawManifest("application/vnd.example.manifest.v9", []byte(`{"thing": [1, 2, 3]}`+"\n"))
	return b.Done(b.Index(b.Image("linux/amd64", b.Layer(Gzip, 1000)), leaf))
}

// UntypedChild is an index one of whose children is no JSON: only the index knows what it is.
func UntypedChild(seed uint64) Image {
	b := Builder{Seed: seed}
	leaf := b.RawManifest("application/vnd.example.manifest.v9+yaml", fmt.Appendf(nil, "things:\n- %x\n", b.random(4)))
	return b.Done(b.Index(b.Image("linux/amd64", b.Layer(Gzip, 1000)), leaf))
}

// EmptyIndex is an index without children.
func EmptyIndex(seed uint64) Image {
	b := Builder{Seed: seed}
	return b.Done(b.Manifest(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{},
		Annotations: map[string]string{"com.example.seed": strconv.FormatUint(seed, 10)},
	}))
}

// TwiceLayer is an image that has one of its layers twice.
func TwiceLayer(seed uint64) Image {
	b := Builder{Seed: seed}
	layer := b.Layer(Gzip, 1000)
	return b.Done(b.Image("linux/amd64", layer, b.Layer(Gzip, 500), layer))
}

// Orphan is an artifact that refers to an image that is nowhere.
func Orphan(seed uint64) Image {
	b := Builder{Seed: seed}
	gone := b.describe(ocispec.MediaTypeImageManifest, b.random(100))
	return b.Done(b.artifact("application/vnd.example.orphan", &gone, []ocispec.Descriptor{b.Blob("application/vnd.example.data", b.random(200))}))
}

// EmptyConfig is an OCI 1.1 artifact with the empty config.
func EmptyConfig(seed uint64) Image {
	b := Builder{Seed: seed}
	return b.Done(b.Artifact("application/vnd.example.thing", b.Blob("application/vnd.example.data", b.random(1500))))
}

// ZeroBlob is an image one of whose layers has no bytes at all.
func ZeroBlob(seed uint64) Image {
	b := Builder{Seed: seed}
	nothing := Layer{Descriptor: b.Blob(ocispec.MediaTypeImageLayer, []byte{}), DiffID: digest.FromString("")}
	return b.Done(b.Image("linux/amd64", b.Layer(Gzip, 1000), nothing))
}

// NoLayers is an image with a config and an empty list of layers.
func NoLayers(seed uint64) Image {
	b := Builder{Seed: seed}
	return b.Done(b.Image("linux/amd64"))
}

// SHA512 is an index, named by sha256, whose children, configs and layers are all named by sha512.
func SHA512(seed uint64) Image {
	b := Builder{Seed: seed, Algorithm: digest.SHA512}
	one := b.Image("linux/amd64", b.Layer(Gzip, 2000))
	two := b.Image("linux/arm64", b.Layer(Gzip, 2000))
	b.Algorithm = digest.SHA256
	return b.Done(b.Index(one, two))
}

// Foreign is a Docker image with one layer at url+"/"+digest, whose bytes are in Elsewhere, and one of its own.
func Foreign(seed uint64, url string) Image {
	b := Builder{Seed: seed, Flavour: Docker}
	return b.Done(b.Image("windows/amd64", b.ForeignLayer(url, 2000), b.Layer(Gzip, 500)))
}

// Shared is two images over the same two base layers, each with a layer of its own.
func Shared(seed uint64) (first, second Image) {
	b := Builder{Seed: seed}
	base := []Layer{b.Layer(Gzip, 5000), b.Layer(Gzip, 3000)}
	other := Builder{Seed: seed + 1}
	for _, l := range base {
		other.Blob(l.Descriptor.MediaType, b.image.Blobs[l.Descriptor.Digest])
	}
	return b.Done(b.Image("linux/amd64", append(base[:2:2], b.Layer(Gzip, 700))...)),
		other.Done(other.Image("linux/amd64", append(base[:2:2], other.Layer(Gzip, 900))...))
}

// On is a base image, and an image with one layer more that says by annotations that it was built on that, which is
// called name.
func On(seed uint64, name string) (base, image Image) {
	b := Builder{Seed: seed}
	layers := []Layer{b.Layer(Gzip, 2000), b.Layer(Gzip, 1000)}
	base = b.Done(b.Image("linux/amd64", layers...))
	layers = append(layers, b.Layer(Gzip, 500))
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    b.Config("linux/amd64", layers...),
		Annotations: map[string]string{
			ocispec.AnnotationBaseImageName:   name,
			ocispec.AnnotationBaseImageDigest: base.Root.Digest.String(),
		},
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.Descriptor)
	}
	return base, b.Done(b.Manifest(m.MediaType, m))
}

// Big is an image with one layer of about mib MiB of random bytes, which do not compress, over a small one.
func Big(seed uint64, mib int64) Image {
	b := Builder{Seed: seed}
	return b.Done(b.Image("linux/amd64", b.Layer(Gzip, 500), b.Layer(Stored, mib<<20)))
}

// Release returns a release of an app: five layers, of which all but the last are
// those of every other release. The last one has the app, its settings, and a package
// in the version of the release.
func Release(seed uint64) Image {
	b := Builder{Seed: 1}
	layers := append(b.releaseBase(), b.Files(Gzip, map[string]string{
		"app/version":         fmt.Sprintf("release\n%d\n", seed),
		"app/license":         "free\n",
		"var/lib/dpkg/status": fmt.Sprintf("Package: app\nStatus: install ok installed\nArchitecture: all\nVersion: 1.%d\n", seed),
	}))
	return b.Done(b.Image("linux/amd64", layers...))
}

// releaseBase returns the layers that all releases have.
func (b *Builder) releaseBase() []Layer {
	return []Layer{b.Layer(Gzip, 5000), b.Layer(Gzip, 4000), b.Files(Gzip, map[string]string{"etc/os-release": "ID=debian\n"}), b.Layer(Gzip, 3000)}
}

// Layers is an image with n gzip layers of about size random bytes each.
func Layers(seed uint64, n int, size int64) Image {
	b := Builder{Seed: seed}
	var layers []Layer
	for range n {
		layers = append(layers, b.Layer(Stored, size))
	}
	return b.Done(b.Image("linux/amd64", layers...))
}

// Attested is an index of amd64, with two SBOMs and its provenance, arm64, with its provenance, and arm/v7.
func Attested(seed uint64) Image {
	b := Builder{Seed: seed}
	amd64 := b.Image("linux/amd64", b.Layer(Gzip, 1000))
	arm64 := b.Image("linux/arm64", b.Layer(Gzip, 1000))
	const sbom, provenance = "https://spdx.dev/Document", "https://slsa.dev/provenance/v0.2"
	return b.Done(b.Index(amd64, arm64, b.Image("linux/arm/v7", b.Layer(Gzip, 1000)),
		b.Attest(amd64,
			b.Statement(amd64, sbom, map[string]any{"name": "image", "packages": []any{map[string]string{"name": "zlib"}, map[string]string{"name": "musl"}}}),
			b.Statement(amd64, sbom, map[string]any{"name": "stage"}),
			b.Statement(amd64, provenance, map[string]any{"buildType": "https://mobyproject.org/buildkit@v1"}),
		),
		b.Attest(arm64, b.Statement(arm64, provenance, map[string]any{"buildType": "other"})),
	))
}

// WithReferrers is an index with OCI referrers: two of the index, one of its first child, and one of a referrer.
func WithReferrers(seed uint64) Image {
	b := Builder{Seed: seed}
	child := b.Image("linux/amd64", b.Layer(Gzip, 2000))
	root := b.Index(child, b.Image("linux/arm64", b.Layer(Gzip, 2000)))
	sbom := b.Refer(root, "application/vnd.example.sbom")
	b.Refer(root, "application/vnd.example.signature")
	b.Refer(child, "application/vnd.example.signature")
	b.Refer(sbom, "application/vnd.example.signature")
	return b.Done(root)
}

// WithFallback is an index with one referrer, listed by the fallback tag too.
func WithFallback(seed uint64) Image {
	b := Builder{Seed: seed}
	root := b.multi("linux/amd64")
	b.Fallback(root, b.Refer(root, "application/vnd.example.sbom"))
	return b.Done(root)
}

// WithCosign is an index with cosign's tags on itself and on its first child.
func WithCosign(seed uint64) Image {
	b := Builder{Seed: seed}
	child := b.Image("linux/amd64", b.Layer(Gzip, 2000))
	root := b.Index(child, b.Image("linux/arm64", b.Layer(Gzip, 2000)))
	b.Cosign(root)
	b.Cosign(child)
	return b.Done(root)
}

// Schema1 is a Docker schema 1 image, which is to be refused.
func Schema1(seed uint64) Image {
	b := Builder{Seed: seed, Flavour: Docker}
	layer := b.Layer(Gzip, 1000)
	v1, _ := json.Marshal(map[string]any{"id": layer.DiffID.Encoded(), "architecture": "amd64", "os": "linux"})
	return b.Done(b.Manifest(DockerSchema1, map[string]any{
		"schemaVersion": 1, "name": "team/app", "tag": "v1", "architecture": "amd64",
		"fsLayers":   []any{map[string]any{"blobSum": layer.Descriptor.Digest}},
		"history":    []any{map[string]any{"v1Compatibility": string(v1)}},
		"signatures": []any{},
	}))
}
