package image

import (
	"context"
	"slices"

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

// A Config is what a comparison takes of an image's config.
type Config struct {
	Platform content.Platform // with empty parts where it is not stated
	Labels   map[string]string
	DiffIDs  []digest.Digest
}

// ReadConfig reads the config of the single image m of src. What is no image is
// [content.ErrInvalid], and so is a config that is none.
func ReadConfig(ctx context.Context, src content.Source, m content.Manifest) (Config, error) {
	wire, err := decodeConfig[struct {
		ocispec.Platform

		Config struct {
			Labels map[string]string `json:"Labels"`
		} `json:"config"`
		rootFS
	}](ctx, src, m)
	if err != nil {
		return Config{}, err
	}
	return Config{Platform: content.PlatformOf(wire.Platform), Labels: wire.Config.Labels, DiffIDs: wire.RootFS.DiffIDs}, nil
}

// StartsWith reports whether the first layers of image m of src are those of base,
// of another source: the same blobs, or the same when they are unpacked. A base
// without layers is the start of everything.
func StartsWith(ctx context.Context, src content.Source, m content.Manifest, baseSrc content.Source, base content.Manifest) (bool, error) {
	layers, baseLayers := m.Layers(), base.Layers()
	if len(layers) < len(baseLayers) {
		return false, nil
	}
	same := func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest }
	if slices.EqualFunc(layers[:len(baseLayers)], baseLayers, same) {
		return true, nil
	}
	config, err := ReadConfig(ctx, src, m)
	if err != nil {
		return false, err
	}
	baseConfig, err := ReadConfig(ctx, baseSrc, base)
	if err != nil {
		return false, err
	}
	n := len(baseConfig.DiffIDs)
	return n == len(baseLayers) && len(config.DiffIDs) >= n && slices.Equal(config.DiffIDs[:n], baseConfig.DiffIDs), nil
}
