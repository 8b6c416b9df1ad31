package backup

import (
	"context"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A MissingError says what a restore needs and nobody has. It is
// [content.ErrInvalid].
type MissingError struct {
	Blobs  []ocispec.Descriptor
	Images []string // that need some of them
}

// Error counts the blobs and lists the first, and the images.
func (e *MissingError) Error() string {
	var digests []string
	for _, d := range e.Blobs {
		digests = append(digests, d.Digest.String())
	}
	return fmt.Sprintf("%d blobs are neither in the store nor in what was given (%s); they are needed by %s",
		len(e.Blobs), firstOf(digests), firstOf(e.Images))
}

// Is reports whether target is [content.ErrInvalid].
func (e *MissingError) Is(target error) bool { return target == content.ErrInvalid }

// firstOf lists a few of many.
func firstOf(all []string) string {
	const most = 3
	list := strings.Join(all[:min(most, len(all))], ", ")
	if len(all) > most {
		list += fmt.Sprintf(" and %d more", len(all)-most)
	}
	return list
}

// NeededBy returns which of roots need some of missing, as far as the manifests
// that are there tell.
func NeededBy(ctx context.Context, src content.Source, roots, missing []ocispec.Descriptor) []digest.Digest {
	lacks := make(map[digest.Digest]bool, len(missing))
	for _, d := range missing {
		lacks[d.Digest] = true
	}
	shelf := &content.Shelf{Source: src, Room: shelfRoom}
	var need []digest.Digest
	for _, root := range roots {
		if needs(ctx, shelf, root.Digest, lacks) {
			need = append(need, root.Digest)
		}
	}
	return need
}

// needs reports whether something below root is in lacks.
func needs(ctx context.Context, src content.Source, root digest.Digest, lacks map[digest.Digest]bool) bool {
	seen := map[digest.Digest]bool{}
	todo := []digest.Digest{root}
	for len(todo) > 0 {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if lacks[d] {
			return true
		}
		m, err := src.Manifest(ctx, d.String())
		if seen[d] || err != nil {
			continue // a child that is not there, as in a sparse index, or no manifest
		}
		seen[d] = true
		for _, b := range m.Blobs() {
			if lacks[b.Digest] {
				return true
			}
		}
		for _, child := range m.Children() {
			todo = append(todo, child.Digest)
		}
	}
	return false
}
