package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// loadThere loads what is there of a graph: an index that was copied with
// --sparse names manifests that are not. They are looked for one by one only
// where one was missed.
func loadThere(ctx context.Context, src content.Source, root content.Manifest) (*content.Graph, error) {
	g, err := content.Loader{}.Load(ctx, src, root)
	if err == nil || !content.IsMissing(err) {
		return g, err
	}
	shelf := &content.Shelf{Source: src, Room: shelfRoom}
	there := map[digest.Digest]bool{}
	keep := func(_ content.Manifest, child ocispec.Descriptor) bool {
		is, known := there[child.Digest]
		if !known {
			_, err := shelf.Manifest(ctx, child.Digest.String())
			is = !content.IsMissing(err) // any other failure is the load's
			there[child.Digest] = is
		}
		return is
	}
	return content.Loader{Keep: keep}.Load(ctx, shelf, root)
}

// sayMissing says which manifests a graph names and does not have, or nothing.
func sayMissing(g *content.Graph) string {
	const most = 5
	var missing []string
	seen := map[digest.Digest]bool{}
	for _, d := range g.Order {
		for _, child := range g.Manifests[d].Children() {
			if _, there := g.Manifests[child.Digest]; there || seen[child.Digest] {
				continue
			}
			seen[child.Digest] = true
			missing = append(missing, described(child))
		}
	}
	if len(missing) == 0 {
		return ""
	}
	names := missing[:min(most, len(missing))]
	if more := len(missing) - most; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%s of the index not there: %s", count(len(missing), "manifest"), strings.Join(names, ", "))
}

// described returns the digest of a child, with its platform where it has one.
func described(child ocispec.Descriptor) string {
	if child.Platform == nil || content.IsAttestation(child) {
		return child.Digest.String()
	}
	return child.Digest.String() + " (" + content.PlatformOf(*child.Platform).String() + ")"
}
