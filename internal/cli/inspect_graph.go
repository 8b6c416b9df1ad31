package cli

import (
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// imagesOf returns the images of g, in its order. What an index calls an attestation
// is none.
func imagesOf(g *content.Graph) []content.Manifest {
	attestations := map[digest.Digest]bool{}
	for child := range childrenOf(g) {
		if content.IsAttestation(child) {
			attestations[child.Digest] = true
		}
	}
	var images []content.Manifest
	for _, d := range g.Order {
		if _, ok := g.Manifests[d].ImageConfig(); ok && !attestations[d] {
			images = append(images, g.Manifests[d])
		}
	}
	return images
}

// childrenOf yields what the indexes of g name, there or not.
func childrenOf(g *content.Graph) iter.Seq[ocispec.Descriptor] {
	return func(yield func(ocispec.Descriptor) bool) {
		for _, d := range g.Order {
			for _, child := range g.Manifests[d].Children() {
				if !yield(child) {
					return
				}
			}
		}
	}
}
