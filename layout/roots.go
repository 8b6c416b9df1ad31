package layout

import (
	"context"
	"iter"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Roots implements [content.RootLister]: the entries of index.json, in its order.
func (l *Layout) Roots(context.Context) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		x, err := l.index()
		if err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		for _, e := range x.entries {
			if !yield(e.descriptor(), nil) {
				return
			}
		}
	}
}
