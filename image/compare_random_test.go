package image_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wherry-dev/wherry/image"
)

// TestAFullComparisonIsThatOfTheUnpackedImages compares random images with what a model unpacks. Without what the images
// share the comparison says nothing that is wrong, and leaves nothing out.
func TestAFullComparisonIsThatOfTheUnpackedImages(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	told, left := 0, 0
	for range 60 {
		stacks := randomStacks(rnd)
		models := [2]model{newModel(), newModel()}
		for i, m := range models {
			for _, l := range stacks[i] {
				must(m.unpack(l))
			}
		}
		want := differences(models[0], models[1])
		var b builder
		ma, mb := b.of(stacks[0]...), b.of(stacks[1]...)
		full := compared(t, &b.place, ma, mb, image.Reader{}, image.CompareOptions{Full: true, Parts: image.PartFiles})
		if diff := cmp.Diff(want, kinds(full, func(image.FileChange) bool { return true })); diff != "" {
			t.Fatalf("%v\n%s", stacks, diff)
		}
		part := compared(t, &b.place, ma, mb, image.Reader{}, image.CompareOptions{Parts: image.PartFiles})
		settled := kinds(part, func(f image.FileChange) bool { return !f.Unsettled })
		all := kinds(part, func(image.FileChange) bool { return true })
		if wrong := wrongIn(settled, all, want); len(wrong) > 0 {
			t.Fatalf("%v\n%v", stacks, wrong)
		}
		told += len(settled)
		left += len(all) - len(settled)
	}
	if told < 20 || left < 20 {
		t.Errorf("%d were settled, %d were not: the images are no test", told, left)
	}
}

// wrongIn returns the paths that are settled as what they are not, and those that are left out.
func wrongIn(settled, all, want map[string]string) []string {
	var wrong []string
	for path, kind := range settled {
		if want[path] != kind {
			wrong = append(wrong, fmt.Sprintf("%s is %q, and settled as %q", path, want[path], kind))
		}
	}
	for path := range want {
		if !covers(all, path) {
			wrong = append(wrong, path+" is left out")
		}
	}
	return wrong
}

// randomStacks returns the layers of two images, some of which both have.
func randomStacks(rnd *rand.Rand) (stacks [2]layers) {
	for range 1 + rnd.IntN(4) {
		one := randomLayer(rnd)
		other := one
		if rnd.IntN(2) == 0 {
			other = randomLayer(rnd)
		}
		stacks[0], stacks[1] = append(stacks[0], one), append(stacks[1], other)
	}
	return stacks
}

// covers reports whether path, or a folder it is in that was touched, is among all:
// what was in a folder that is gone only the layers tell that were not read.
func covers(all map[string]string, path string) bool {
	if _, ok := all[path]; ok {
		return true
	}
	for path != "" {
		path = path[:max(0, strings.LastIndexByte(path, '/'))]
		if _, ok := all[path]; ok {
			return true
		}
	}
	return false
}

func kinds(c *image.Comparison, keep func(image.FileChange) bool) map[string]string {
	all := map[string]string{}
	for _, f := range c.Files {
		if keep(f) {
			all[f.Path] = f.String()
		}
	}
	return all
}

func differences(a, b model) map[string]string {
	all := map[string]string{}
	for path, f := range a {
		switch g := b[path]; {
		case path == "":
		case g == nil:
			all[path] = "removed"
		case *f != *g:
			all[path] = "changed"
		}
	}
	for path := range b {
		if a[path] == nil {
			all[path] = "added"
		}
	}
	return all
}

// randomLayer returns a layer whose entries go through no link.
func randomLayer(rnd *rand.Rand) []entry {
	names := []string{"a", "b", "a/b", "a/c", "a/b/c", "a/b/d", "c", "b/c"}
	marks := []string{".wh.a", ".wh.b", "a/.wh.b", "a/b/.wh.c", ".wh..wh..opq", "a/.wh..wh..opq", "a/b/.wh..wh..opq"}
	var all []entry
	used := map[string]bool{}
	for range 1 + rnd.IntN(5) {
		if rnd.IntN(4) == 0 {
			mark := marks[rnd.IntN(len(marks))]
			if dir, opaque := strings.CutSuffix(mark, "/.wh..wh..opq"); opaque && !used[dir] { // builders tell of the folder too
				used[dir] = true
				all = append(all, owned(folder(dir), rnd.IntN(2), 0, 0o755))
			}
			all = append(all, file(mark, ""))
			continue
		}
		name := names[rnd.IntN(len(names))]
		if used[name] {
			continue
		}
		used[name] = true
		// What things are in is a folder in every layer, so that none goes through what is no folder.
		leaf := !slices.Contains([]string{"a", "b", "a/b"}, name)
		switch n := rnd.IntN(3); {
		case !leaf || n == 0 && name == "c":
			all = append(all, owned(folder(name), rnd.IntN(2), 0, 0o755))
		case n == 1:
			all = append(all, symlink(name, fmt.Sprint(rnd.IntN(2))))
		default:
			all = append(all, file(name, fmt.Sprint(rnd.IntN(2))))
		}
	}
	return all
}
