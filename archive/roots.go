package archive

import (
	"context"
	"iter"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Roots implements [content.RootLister]: the images of the file, in its order.
func (a *Archive) Roots(ctx context.Context) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		for _, r := range a.roots {
			d := r.desc
			if r.image != nil {
				m, err := a.makeUp(ctx, r.image)
				if err != nil {
					yield(ocispec.Descriptor{}, a.fail(err))
					return
				}
				d = m.Descriptor()
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}
