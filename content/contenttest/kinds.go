package contenttest

import (
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

var (
	amd64   = ocispec.Platform{OS: "linux", Architecture: "amd64"}
	arm64   = ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	unknown = ocispec.Platform{OS: "unknown", Architecture: "unknown"}
)

// Kinds returns one small image of every kind. They share no blobs but the
// empty config, and are the same in every run.
func Kinds(tb testing.TB) []Image {
	tb.Helper()
	kinds := []struct {
		name  string
		build func(k *maker) Image
	}{
		{"an OCI image", ociImage},
		{"an OCI image that does not say what it is", untypedImage},
		{"a docker image", dockerImage},
		{"a docker manifest list", dockerList},
		{"an image with uncompressed layers", rawImage},
		{"an image with zstd layers", zstdImage},
		{"an index with platforms and an attestation", platforms},
		{"a nested index", nestedIndex},
		{"an artifact of unknown types", unknownArtifact},
		{"a manifest of an unknown type", unknownManifest},
		{"an index with a child of an unknown type", unknownChild},
		{"an index with a child only the index knows", untypedChild},
		{"an artifact with an empty config", emptyConfig},
		{"an image without layers", noLayers},
		{"a zero-byte layer", zeroLayer},
		{"the same layer twice", twiceLayer},
		{"an image named by sha512", sha512Image},
		{"a foreign layer", foreignLayer},
		{"an image with referrers", referred},
		{"an image named by sha512 with a referrer", referredSHA512},
		{"a referrer whose subject is missing", orphan},
		{"an index without children", emptyIndex},
	}
	images := make([]Image, 0, len(kinds))
	for _, kind := range kinds {
		k := newMaker(tb)
		img := kind.build(k)
		img.Name, img.Blobs = kind.name, k.blobs
		images = append(images, img)
	}
	return images
}

// Anchor returns a plain image that no kind shares anything with.
func Anchor(tb testing.TB) Image {
	tb.Helper()
	k := newMaker(tb)
	return Image{Name: "an anchor", Root: k.image(amd64, 9000, 1), Blobs: k.blobs}
}

// anchors returns n plain images that differ.
func anchors(tb testing.TB, n int) []Image {
	tb.Helper()
	images := make([]Image, n)
	for i := range images {
		k := newMaker(tb)
		images[i] = Image{Name: "an image", Root: k.image(amd64, 10_000+100*uint64(i), 1), Blobs: k.blobs}
	}
	return images
}

func ociImage(k *maker) Image { return Image{Root: k.image(amd64, 100, 3)} }

func untypedImage(k *maker) Image {
	b := body{SchemaVersion: 2}
	k.fill(&b, amd64, []string{ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip}, 200, 1)
	return Image{Root: k.manifest(ocispec.MediaTypeImageManifest, b)}
}

func docker(k *maker, p ocispec.Platform, seed uint64) content.Manifest {
	b := body{SchemaVersion: 2, MediaType: content.DockerManifest}
	k.fill(&b, p, []string{content.DockerConfig, content.DockerLayerGzip}, seed, 2)
	return k.manifest(content.DockerManifest, b)
}

func dockerImage(k *maker) Image { return Image{Root: docker(k, amd64, 300)} }

func dockerList(k *maker) Image {
	a, b := docker(k, amd64, 400), docker(k, arm64, 410)
	root := k.manifest(content.DockerManifestList, body{
		SchemaVersion: 2, MediaType: content.DockerManifestList,
		Manifests: []ocispec.Descriptor{child(a, amd64), child(b, arm64)},
	})
	return Image{Root: root, Children: []content.Manifest{a, b}}
}

func rawImage(k *maker) Image {
	b := body{SchemaVersion: 2, MediaType: ocispec.MediaTypeImageManifest}
	k.fill(&b, amd64, []string{ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayer}, 500, 2)
	return Image{Root: k.manifest(ocispec.MediaTypeImageManifest, b)}
}

func zstdImage(k *maker) Image {
	b := body{SchemaVersion: 2, MediaType: ocispec.MediaTypeImageManifest}
	k.fill(&b, amd64, []string{ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerZstd}, 1600, 2)
	return Image{Root: k.manifest(ocispec.MediaTypeImageManifest, b)}
}

// platforms builds what BuildKit builds: an image a platform, and an attestation each.
func platforms(k *maker) Image {
	var img Image
	var children, attestations []ocispec.Descriptor
	for i, p := range []ocispec.Platform{amd64, arm64} {
		m := k.image(p, 600+10*uint64(i), 2)
		children = append(children, child(m, p))
		a := k.attestation(m)
		d := child(a, unknown)
		d.Annotations = map[string]string{
			content.AnnotationReferenceType:   "attestation-manifest",
			content.AnnotationReferenceDigest: m.Digest().String(),
		}
		attestations = append(attestations, d)
		img.Children = append(img.Children, m, a)
	}
	img.Root = k.index(append(children, attestations...)...)
	return img
}

// attestation returns the manifest that BuildKit puts beside image m.
func (k *maker) attestation(m content.Manifest) content.Manifest {
	k.tb.Helper()
	statement := k.json(map[string]any{"_type": "https://in-toto.io/Statement/v0.1", "subject": m.Digest()})
	layer := k.add("application/vnd.in-toto+json", statement)
	config := k.add(ocispec.MediaTypeImageConfig, k.config(unknown, []digest.Digest{layer.Digest}))
	return k.manifest(ocispec.MediaTypeImageManifest, body{
		SchemaVersion: 2, MediaType: ocispec.MediaTypeImageManifest, Config: &config, Layers: []ocispec.Descriptor{layer},
	})
}

func nestedIndex(k *maker) Image {
	a, b := k.image(amd64, 700, 1), k.image(arm64, 710, 1)
	inner := k.index(child(a, amd64))
	return Image{
		Root:     k.index(inner.Descriptor(), child(b, arm64)),
		Children: []content.Manifest{a, inner, b},
	}
}

func unknownArtifact(k *maker) Image {
	config := k.add("application/vnd.example.config+json", []byte(`{"kind":"example"}`))
	layer := k.add("application/vnd.example.data", Noise(800, 900))
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: "data.bin"}
	return Image{Root: k.manifest(ocispec.MediaTypeImageManifest, body{
		SchemaVersion: 2, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example",
		Config: &config, Layers: []ocispec.Descriptor{layer},
	})}
}

func unknownManifest(k *maker) Image {
	return Image{Root: k.manifest("application/vnd.example.manifest.v1", []byte("not JSON at all\r\n"))}
}

func unknownChild(k *maker) Image {
	const mediaType = "application/vnd.example.manifest.v1+json"
	a := k.image(amd64, 900, 1)
	b := k.manifest(mediaType, []byte(`{"mediaType":"`+mediaType+`","things":[{"digest":"sha256:none"}]}`))
	return Image{Root: k.index(child(a, amd64), b.Descriptor()), Children: []content.Manifest{a, b}}
}

// untypedChild builds an index with a child whose bytes do not say what it is.
func untypedChild(k *maker) Image {
	a := k.image(amd64, 1500, 1)
	b := k.manifest("application/vnd.example.manifest.v2", []byte("things:\n- none\n"))
	return Image{Root: k.index(child(a, amd64), b.Descriptor()), Children: []content.Manifest{a, b}}
}

func emptyConfig(k *maker) Image {
	return Image{Root: k.artifact("application/vnd.example.empty", nil)}
}

func noLayers(k *maker) Image {
	return Image{Root: k.image(amd64, 1000, 0)}
}

func zeroLayer(k *maker) Image {
	zero := k.add("application/vnd.example.zero", nil)
	return Image{Root: k.artifact("application/vnd.example.zero", nil, zero)}
}

func twiceLayer(k *maker) Image {
	layer := k.add("application/vnd.example.twice", Noise(1100, 500))
	return Image{Root: k.artifact("application/vnd.example.twice", nil, layer, layer)}
}

func sha512Image(k *maker) Image {
	k.alg = digest.SHA512
	return Image{Root: k.image(amd64, 1200, 2)}
}

// foreignLayer builds an image whose lowest layer is nowhere but at its URL.
func foreignLayer(k *maker) Image {
	b := body{SchemaVersion: 2, MediaType: content.DockerManifest}
	k.fill(&b, ocispec.Platform{OS: "windows", Architecture: "amd64"}, []string{content.DockerConfig, content.DockerLayerGzip}, 1300, 1)
	away := NewBlob(content.DockerForeignLayer, Noise(1310, 300)).Desc
	away.URLs = []string{"http://foreign.invalid/layer"}
	b.Layers = append([]ocispec.Descriptor{away}, b.Layers...)
	return Image{Root: k.manifest(content.DockerManifest, b)}
}

// referred builds an index with referrers of its own and of a child.
func referred(k *maker) Image {
	a, b := k.image(amd64, 1400, 1), k.image(arm64, 1410, 1)
	root := k.index(child(a, amd64), child(b, arm64))
	return Image{
		Root: root, Children: []content.Manifest{a, b},
		Referrers: []content.Manifest{
			k.artifact("application/vnd.example.signature", subject(root)),
			k.artifact("application/vnd.example.sbom", subject(root)),
			k.artifact("application/vnd.example.signature", subject(a)),
		},
	}
}

// referredSHA512 builds an image whose digest is longer than a tag may be.
func referredSHA512(k *maker) Image {
	k.alg = digest.SHA512
	root := k.image(amd64, 1700, 1)
	k.alg = digest.SHA256
	return Image{Root: root, Referrers: []content.Manifest{k.artifact("application/vnd.example.signature", subject(root))}}
}

func subject(m content.Manifest) *ocispec.Descriptor {
	d := m.Descriptor()
	d.ArtifactType = ""
	return &d
}

func orphan(k *maker) Image {
	gone := NewBlob(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"gone":true}`)).Desc
	return Image{Root: k.artifact("application/vnd.example.orphan", &gone)}
}

func emptyIndex(k *maker) Image {
	return Image{Root: k.manifest(ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`","manifests":[]}`))}
}
