package testimage

import (
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Artifact adds an OCI 1.1 artifact manifest over blobs, with the empty config.
func (b *Builder) Artifact(artifactType string, blobs ...ocispec.Descriptor) ocispec.Descriptor {
	return b.artifact(artifactType, nil, blobs)
}

// Refer adds an artifact that refers to subject, with one blob of random bytes.
func (b *Builder) Refer(subject ocispec.Descriptor, artifactType string) ocispec.Descriptor {
	bare := ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	d := b.artifact(artifactType, &bare, []ocispec.Descriptor{b.Blob("application/vnd.example.data", b.random(200))})
	d.ArtifactType = artifactType
	b.image.Referrers = append(b.image.Referrers, d)
	return d
}

func (b *Builder) artifact(kind string, subject *ocispec.Descriptor, blobs []ocispec.Descriptor) ocispec.Descriptor {
	return b.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: kind,
		Config:       b.Blob(ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data),
		Layers:       blobs,
		Subject:      subject,
	})
}

// Attestation adds a buildkit attestation of child, an SBOM; the descriptor goes into the same index as the child.
func (b *Builder) Attestation(child ocispec.Descriptor) ocispec.Descriptor {
	return b.Attest(child, b.Statement(child, "https://spdx.dev/Document", map[string]any{"name": "test"}))
}

// Attest adds a buildkit attestation of child over statements; the descriptor goes into the same index as the child.
func (b *Builder) Attest(child ocispec.Descriptor, statements ...Layer) ocispec.Descriptor {
	d := b.Image("unknown/unknown", statements...)
	d.Annotations = map[string]string{
		"vnd.docker.reference.type":   "attestation-manifest",
		"vnd.docker.reference.digest": child.Digest.String(),
	}
	return d
}

// Statement adds an in-toto statement about child, which is a layer of its attestation.
func (b *Builder) Statement(child ocispec.Descriptor, predicateType string, predicate any) Layer {
	return b.RawStatement(predicateType, encode(map[string]any{
		"_type":         "https://in-toto.io/Statement/v0.1",
		"predicateType": predicateType,
		"subject":       []any{map[string]any{"digest": map[string]string{"sha256": child.Digest.Encoded()}}},
		"predicate":     predicate,
	}))
}

// RawStatement adds a layer of exactly these bytes that is called an in-toto statement.
func (b *Builder) RawStatement(predicateType string, content []byte) Layer {
	d := b.Blob("application/vnd.in-toto+json", content)
	d.Annotations = map[string]string{"in-toto.io/predicate-type": predicateType}
	return Layer{Descriptor: d, DiffID: d.Digest}
}

// tagOf is a digest in the form of a tag, "sha256-…".
func tagOf(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }

// Cosign adds what cosign attaches to target by tags: signature (.sig), attestation (.att) and SBOM (.sbom).
func (b *Builder) Cosign(target ocispec.Descriptor) {
	kinds := map[string]string{
		".sig":  "application/vnd.dev.cosign.simplesigning.v1+json",
		".att":  "application/vnd.dsse.envelope.v1+json",
		".sbom": "text/spdx+json",
	}
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		payload := b.Blob(kinds[suffix], encode(map[string]any{
			"critical": map[string]any{"image": map[string]any{"docker-manifest-digest": target.Digest}},
		}))
		payload.Annotations = map[string]string{"dev.cosignproject.cosign/signature": "dGVzdA=="}
		d := b.Image("/", Layer{Descriptor: payload, DiffID: payload.Digest})
		b.AddTag(tagOf(target.Digest)+suffix, d.Digest)
	}
}

// Fallback adds the index "sha256-…" that lists the referrers of subject, as clients keep it on registries without
// the referrers API.
func (b *Builder) Fallback(subject ocispec.Descriptor, referrers ...ocispec.Descriptor) {
	d := b.Index(referrers...)
	b.AddTag(tagOf(subject.Digest), d.Digest)
}

// AddTag adds a tag beside the image's own.
func (b *Builder) AddTag(tag string, d digest.Digest) {
	if b.image.Tags == nil {
		b.image.Tags = map[string]digest.Digest{}
	}
	b.image.Tags[tag] = d
}
