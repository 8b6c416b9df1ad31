package archive

import (
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Uncompressed returns the digest that manifest d, made up for a docker
// archive's image, has when raw layers stay raw; false where no layer was
// compressed for it ([Options].Compress).
func (a *Archive) Uncompressed(d digest.Digest) (digest.Digest, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was, ok := a.uncompressed[d]
	return was, ok
}

// noteRaw remembers what manifest d would be without compression.
func (a *Archive) noteRaw(d digest.Digest, config ocispec.Descriptor, layers []ocispec.Descriptor) error {
	raw := slices.Clone(layers)
	a.mu.Lock()
	for i, layer := range layers {
		if was, ok := a.unpacked[layer.Digest]; ok {
			raw[i] = was
		}
	}
	a.mu.Unlock()
	m, err := a.manifestOf(config, raw)
	if err != nil || m.Digest() == d {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.uncompressed[d] = m.Digest()
	return nil
}

// noteLayer remembers which raw layer was compressed to packed.
func (a *Archive) noteLayer(packed digest.Digest, raw ocispec.Descriptor) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unpacked[packed] = raw
}
