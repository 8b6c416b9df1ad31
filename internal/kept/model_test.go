package kept

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
)

// A state is what should be in a store.
type state struct {
	tags  map[string]digest.Digest // as they are shown, and what they stand for
	roots map[digest.Digest]bool   // what is listed as an image
	whole map[digest.Digest]bool   // manifests that came with all they need, and are there for as long as they are reached
}

func newState() state {
	return state{map[string]digest.Digest{}, map[digest.Digest]bool{}, map[digest.Digest]bool{}}
}

func (s state) clone() state {
	return state{maps.Clone(s.tags), maps.Clone(s.roots), maps.Clone(s.whole)}
}

// tagged returns the tags of an image.
func (s state) tagged(d digest.Digest) (tags []string) {
	for tag, of := range s.tags {
		if of == d {
			tags = append(tags, tag)
		}
	}
	return tags
}

// remove takes an image away with all its tags.
func (s state) remove(d digest.Digest) {
	for _, tag := range s.tagged(d) {
		delete(s.tags, tag)
	}
	delete(s.roots, d)
}

// calledBesides reports whether an image is called by its digest in another
// repository than that of name.
func calledBesides(i layout.Image, name string) bool {
	own, _ := content.SplitName(name)
	return slices.ContainsFunc(i.Names, func(name string) bool {
		repository, _, byDigest := strings.Cut(name, "@")
		return byDigest && repository != own
	})
}

// A model is a store, and what should be in it.
type model struct {
	state
	world *world
	path  string
}

// collected forgets what a collection may have taken away: all that is not
// reached when it begins.
func (m *model) collected(s state) {
	reached := m.reached(s)
	maps.DeleteFunc(s.whole, func(d digest.Digest, _ bool) bool { return !reached[d] })
}

// reached returns the manifests that images lead to as far as they have come, and
// what has come that refers to any of these.
func (m *model) reached(s state) map[digest.Digest]bool {
	found := map[digest.Digest]bool{}
	todo := slices.Collect(maps.Keys(s.roots))
	for len(todo) > 0 {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if found[d] || !s.whole[d] {
			continue
		}
		found[d] = true
		for _, child := range m.world.manifests[d].Children() {
			todo = append(todo, child.Digest)
		}
		todo = append(todo, m.world.about[d]...)
	}
	return found
}

// open opens the store for as long as the test runs at most.
func (m *model) open(t *testing.T) *layout.Store {
	t.Helper()
	s, err := layout.OpenStore(m.path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// seen returns what the store lists.
func (m *model) seen(t *testing.T) state {
	t.Helper()
	s := m.open(t)
	images, err := s.Images(t.Context())
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	seen := newState()
	for _, i := range images {
		seen.roots[i.Root.Digest] = true
		for _, tag := range i.Tags() {
			seen.tags[tag] = i.Root.Digest
		}
	}
	return seen
}

// blobs returns the digests of the files there are.
func (m *model) blobs(t *testing.T) map[digest.Digest]bool {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(m.path, "blobs", "sha256"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	found := map[digest.Digest]bool{}
	for _, f := range files {
		found[digest.NewDigestFromEncoded(digest.SHA256, f.Name())] = true
	}
	return found
}

// check wants the store to hold what the model says: its images under their
// names, each with the platforms and the signatures that came with it. No
// manifest is ever there without its config and layers.
func (m *model) check(t *testing.T) {
	t.Helper()
	seen, there := m.seen(t), m.blobs(t)
	if !maps.Equal(seen.tags, m.tags) || !maps.Equal(seen.roots, m.roots) {
		t.Errorf("listed are %v, want %v\nimages %v, want %v", seen.tags, m.tags, seen.roots, m.roots)
	}
	for d := range m.reached(m.state) {
		if !there[d] {
			t.Errorf("manifest %s is gone", d)
		}
	}
	for d := range there {
		for _, b := range m.world.manifests[d].Blobs() {
			if !there[b.Digest] {
				t.Errorf("manifest %s is there, and not %s, which it needs", d, b.Digest)
			}
		}
	}
}

// checkSignatures wants what refers to a manifest to be found from it.
func (m *model) checkSignatures(t *testing.T) {
	t.Helper()
	s := m.open(t)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	tags := map[string]bool{}
	for d, err := range s.Roots(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range content.NamesOf(d) {
			_, tag := content.SplitName(name)
			tags[tag] = true
		}
	}
	reached := m.reached(m.state)
	for d := range reached {
		found := map[digest.Digest]bool{}
		for r, err := range s.Referrers(t.Context(), d, "") {
			if err != nil {
				t.Fatal(err)
			}
			found[r.Digest] = true
		}
		for _, about := range m.world.about[d] {
			if reached[about] && !found[about] && !tags[m.world.tagged[about]] {
				t.Errorf("%s is lost, which refers to %s", about, d)
			}
		}
	}
}

// checkPruned wants nothing to be there that no image leads to, and no lease.
func (m *model) checkPruned(t *testing.T) {
	t.Helper()
	reached := m.world.reach(m.roots)
	for d := range m.blobs(t) {
		if !reached[d] {
			t.Errorf("%s is left, and nothing leads to it: %.100s", d, m.world.bytes[d])
		}
	}
	leases, err := os.ReadDir(filepath.Join(m.path, ".wherry", "leases"))
	if len(leases) > 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("leases are left: %v, %v", leases, err)
	}
}

// checkBytes wants every blob to be right.
func (m *model) checkBytes(t *testing.T) {
	t.Helper()
	for d := range m.blobs(t) {
		raw, err := os.ReadFile(filepath.Join(m.path, "blobs", "sha256", d.Encoded()))
		if err != nil || !bytes.Equal(raw, m.world.bytes[d]) {
			t.Errorf("%s has %d bytes that are not its own, %v", d, len(raw), err)
		}
	}
}

// settle makes the model what the store shows after work that did not come to its
// end: each name and each image is as it was before, or as it was to be.
func (m *model) settle(t *testing.T, want state) {
	t.Helper()
	before, seen := m.state, m.seen(t)
	for _, tag := range slices.Concat(slices.Collect(maps.Keys(before.tags)), slices.Collect(maps.Keys(want.tags)), slices.Collect(maps.Keys(seen.tags))) {
		if d := seen.tags[tag]; d != before.tags[tag] && d != want.tags[tag] {
			t.Errorf("%s stands for %q, which was %q and was to be %q", tag, d, before.tags[tag], want.tags[tag])
		}
	}
	for _, d := range slices.Concat(slices.Collect(maps.Keys(before.roots)), slices.Collect(maps.Keys(want.roots)), slices.Collect(maps.Keys(seen.roots))) {
		if seen.roots[d] != before.roots[d] && seen.roots[d] != want.roots[d] {
			t.Errorf("image %s: listed %t, before %t, after all %t", d, seen.roots[d], before.roots[d], want.roots[d])
		}
	}
	seen.whole = maps.Clone(before.whole)
	for d := range seen.roots {
		if before.roots[d] {
			continue
		}
		// What an image needs is there when it is named; what refers to it may come later.
		seen.whole[d] = true
		for _, child := range m.world.manifests[d].Children() {
			if want.whole[child.Digest] {
				seen.whole[child.Digest] = true
			}
		}
	}
	m.state = seen
}
