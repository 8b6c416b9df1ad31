package kept

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

// An image that is copied by its digest to where it is a platform of another is
// kept for its own sake: it does not go when the other does.
func TestAPlatformOfAnImageIsPulledByItsDigest(t *testing.T) {
	w := newWorld()
	index := w.roots[3]
	one := w.manifests[index].Children()[0].Digest
	for _, names := range [][]string{{one.String()}, {"docker.io/library/app@" + one.String(), one.String()}, nil} {
		s, err := layout.OpenStore(filepath.Join(inMemory(t), "store"))
		if err != nil {
			t.Fatal(err)
		}
		if err := bring(t.Context(), s, w, 3, "app:1"); err != nil {
			t.Fatal(err)
		}
		var c transfer.Copier
		plan, err := c.Plan(t.Context(), transfer.Job{Src: &w.registry, Ref: one.String(), Dst: []transfer.Target{{Sink: s, Names: names}}})
		if err != nil {
			t.Fatal(err)
		}
		if result, err := c.Run(t.Context(), plan); errors.Join(err, result.Err(), plan.Close()) != nil {
			t.Fatal(err, result.Err())
		}
		if !roots(t, s)[one] {
			t.Errorf("%q: nothing keeps the image", names)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// roots returns what s keeps for its own sake.
func roots(t *testing.T, s content.RootLister) map[digest.Digest]bool {
	t.Helper()
	found := map[digest.Digest]bool{}
	for d, err := range s.Roots(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		found[d.Digest] = true
	}
	return found
}
