package archive

import (
	"cmp"
	"context"
	"iter"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Roots implements [content.RootLister]: the images of the file, in its order.
// Broken ones are left out, and make the last pair an error.
func (a *Archive) Roots(ctx context.Context) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		var broken error
		for _, r := range a.roots {
			d := r.desc
			if r.image != nil {
				m, err := a.makeUp(ctx, r.image)
				if err != nil {
					broken = cmp.Or(broken, err)
					continue
				}
				d = m.Descriptor()
			}
			if !yield(d, nil) {
				return
			}
		}
		if broken != nil {
			yield(ocispec.Descriptor{}, a.fail(broken))
		}
	}
}

// IsLayout reports whether the images are those of index.json, in their own
// manifests; else they are a docker archive's.
func (a *Archive) IsLayout() bool {
	for _, r := range a.roots {
		if r.image != nil {
			return false
		}
	}
	return true
}
