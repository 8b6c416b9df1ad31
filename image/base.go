package image

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A Base is what an image says that it was built on: a name, and the digest that
// the name stood for then. Either may be missing.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md
type Base struct {
	Name   string
	Digest digest.Digest
}

// BaseOf returns the base image that the first of annotations tells of that tells
// of one: those of the image, of its index, or the labels of its config. What is no
// digest there is left out.
func BaseOf(annotations ...map[string]string) Base {
	for _, a := range annotations {
		b := Base{Name: a[ocispec.AnnotationBaseImageName], Digest: digest.Digest(a[ocispec.AnnotationBaseImageDigest])}
		if content.CheckDigest(b.Digest) != nil {
			b.Digest = ""
		}
		if b != (Base{}) {
			return b
		}
	}
	return Base{}
}
