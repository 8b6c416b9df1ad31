package backup

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// shelfRoom is how many bytes of manifests are kept to be read once only.
const shelfRoom = 64 << 20

// A Stock is a source that knows what is there.
type Stock interface {
	content.Source
	content.Sizer
}

// Contents returns every manifest, config and layer that is reached from roots, by
// digest and each once. Children of an index that src has not are left out with
// what is below them, and so are foreign layers. A root that is not there, or is
// not what its descriptor says, is an error that names it as name does.
func Contents(ctx context.Context, src Stock, roots []ocispec.Descriptor, name func(digest.Digest) string) ([]ocispec.Descriptor, error) {
	w := &walk{Stock: src, shelf: &content.Shelf{Source: src, Room: shelfRoom}, seen: map[digest.Digest]int64{}}
	for _, root := range roots {
		if err := w.image(ctx, root); err != nil {
			return nil, fmt.Errorf("%s: %w", name(root.Digest), err)
		}
	}
	return sorted(w.found), nil
}

// A walk collects what images need.
type walk struct {
	Stock
	shelf *content.Shelf
	seen  map[digest.Digest]int64 // sizes
	found []ocispec.Descriptor
}

func (w *walk) image(ctx context.Context, root ocispec.Descriptor) error {
	m, err := w.shelf.Manifest(ctx, root.Digest.String())
	if err != nil {
		return err
	}
	if err := content.CheckChild(m, root); err != nil {
		return err
	}
	keep := func(_ content.Manifest, child ocispec.Descriptor) bool {
		_, err := w.BlobSize(ctx, child.Digest)
		return !errors.Is(err, content.ErrNotFound)
	}
	graph, err := content.Loader{Keep: keep}.Load(ctx, w.shelf, m)
	if err != nil {
		return err
	}
	for _, d := range graph.Order {
		if err := w.add(graph.Manifests[d].Descriptor()); err != nil {
			return err
		}
	}
	for _, d := range graph.Blobs() {
		if err := w.blob(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// blob adds a config or a layer, unless it is one that nobody has to have.
func (w *walk) blob(ctx context.Context, d ocispec.Descriptor) error {
	if content.IsForeign(d.MediaType) {
		if _, err := w.BlobSize(ctx, d.Digest); errors.Is(err, content.ErrNotFound) {
			return nil
		}
	}
	return w.add(d)
}

func (w *walk) add(d ocispec.Descriptor) error {
	size, seen := w.seen[d.Digest]
	if seen && size != d.Size {
		return &content.MismatchError{Want: d, Size: size}
	}
	if !seen {
		w.seen[d.Digest] = d.Size
		w.found = append(w.found, ocispec.Descriptor{Digest: d.Digest, Size: d.Size})
	}
	return nil
}
