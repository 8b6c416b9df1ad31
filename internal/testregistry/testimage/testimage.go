// Package testimage makes images for tests: small, real enough for docker load, and the same for the same seed.
//
// An Image is a plain value in memory. PutTo gives it to a registry; a test of a layout or an archive writes its
// maps itself.
//
//	m := testimage.Index(1)
//	m.PutTo(r, "team/app", "v1")
//
// Gzip and zstd bytes depend on the version of the compressor, so digests are stable within one build only: compare
// with Image.Root, never with a constant.
package testimage

import (
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Manifest is the bytes of a manifest and their media type.
type Manifest struct {
	MediaType string
	Bytes     []byte
}

// An Image is everything that belongs to one root: its graph, what refers to it, and the tags that belong to those.
type Image struct {
	Root      ocispec.Descriptor
	Manifests map[digest.Digest]Manifest
	Blobs     map[digest.Digest][]byte
	Elsewhere map[digest.Digest][]byte // bytes of foreign layers: they lie at a URL, not in the registry

	Referrers []ocispec.Descriptor     // manifests with a subject, in the order they were made
	Tags      map[string]digest.Digest // tags beside the image's own: cosign's and those of the referrers fallback
}

// A Store takes what an Image is made of; a testregistry.Registry is one.
type Store interface {
	PutBlobAs(repo string, d digest.Digest, content []byte)
	PutManifest(repo, ref, mediaType string, content []byte) digest.Digest
	Tag(repo, tag string, d digest.Digest)
}

// PutTo puts all of m into repo of s and points tag at its root.
func (m Image) PutTo(s Store, repo, tag string) {
	for d, content := range m.Blobs {
		s.PutBlobAs(repo, d, content)
	}
	for d, stored := range m.Manifests {
		s.PutManifest(repo, d.String(), stored.MediaType, stored.Bytes)
	}
	s.Tag(repo, tag, m.Root.Digest)
	for name, d := range m.Tags {
		s.Tag(repo, name, d)
	}
}

// BlobBytes is the size of all blobs, each counted once.
func (m Image) BlobBytes() int64 {
	var n int64
	for _, b := range m.Blobs {
		n += int64(len(b))
	}
	return n
}

// Largest returns the digest of the largest blob.
func (m Image) Largest() digest.Digest {
	return slices.MaxFunc(slices.Sorted(maps.Keys(m.Blobs)), func(a, b digest.Digest) int {
		return len(m.Blobs[a]) - len(m.Blobs[b])
	})
}
