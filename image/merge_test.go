package image_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

// contentsOf returns what layers have.
func contentsOf(all layers) []*image.Contents {
	var b builder
	var read []*image.Contents
	for _, entries := range all {
		d := b.blob(ocispec.MediaTypeImageLayer, tarOf(entries...))
		c, err := image.Reader{}.Contents(context.Background(), &b.place, d)
		must(err)
		read = append(read, c)
	}
	return read
}

// linesOf describes a tree as a model does; of the bytes of files it knows the
// digest, which names stand for.
func linesOf(tree *image.Tree, bodies map[digest.Digest]string) []string {
	m := newModel()
	if root, err := tree.Lookup(""); err == nil && root.Entry != nil {
		*m[""] = modelOf(root.Entry, bodies)
	}
	files := map[image.FileID]*modelFile{}
	for f := range tree.All() {
		switch {
		case f.Entry == nil:
			m[f.Path] = &modelFile{kind: tar.TypeDir, mode: 0o755}
			continue
		case files[f.ID()] == nil:
			files[f.ID()] = new(modelOf(f.Entry, bodies))
		}
		m[f.Path] = files[f.ID()]
	}
	return m.lines()
}

func modelOf(e *image.Entry, bodies map[digest.Digest]string) modelFile {
	f := modelFile{kind: e.Type, body: bodies[e.Digest], link: e.Link, mode: e.Mode, uid: e.UID, gid: e.GID, device: [2]int64{e.Major, e.Minor}}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		f.xattrs += "SCHILY.xattr." + name + "=" + e.Xattrs[name] + ";"
	}
	return f
}

// bodiesOf returns the bytes of files by digest.
func bodiesOf(all layers) map[digest.Digest]string {
	bodies := map[digest.Digest]string{}
	for _, layer := range all {
		for _, e := range layer {
			bodies[sumOf(e.body)] = e.body
		}
	}
	return bodies
}

func TestTreeIsWhatExportWrites(t *testing.T) {
	for _, tt := range merges {
		t.Run(tt.name, func(t *testing.T) {
			tree, err := image.Merge(contentsOf(tt.layers))
			if err != nil {
				t.Fatal(err)
			}
			want := newModel()
			for _, layer := range tt.layers {
				must(want.unpack(layer))
			}
			if diff := cmp.Diff(want.lines(), linesOf(tree, bodiesOf(tt.layers))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// checkMerge compares trees with the model, and what each layer is said to do
// with what it does.
func checkMerge(tb testing.TB, all layers, refused error, want model) {
	tb.Helper()
	read := contentsOf(all)
	tree, err := image.Merge(read)
	if refused != nil {
		if !errors.Is(err, content.ErrInvalid) {
			tb.Fatalf("the model refuses %v, Merge says %v", all, err)
		}
		return
	}
	if err != nil {
		tb.Fatalf("the model takes %v, Merge says %v", all, err)
	}
	if diff := cmp.Diff(want.lines(), linesOf(tree, bodiesOf(all))); diff != "" {
		tb.Fatalf("%v\n%s", all, diff)
	}
	before := map[string]image.File{}
	for i := range all {
		sofar, err := image.Merge(read[:i+1])
		must(err)
		after := map[string]image.File{}
		for f := range sofar.All() {
			after[f.Path] = f
		}
		for c := range tree.Changes(i) {
			checkChange(tb, c, before[c.Path], after[c.Path])
			delete(before, c.Path)
			if c.Kind != image.Removed {
				before[c.Path] = c.Now
			}
		}
		// What is not among the changes is as it was; folders that nothing tells of come and go.
		hasEntry := func(_ string, f image.File) bool { return f.Entry == nil }
		told := maps.Clone(after)
		maps.DeleteFunc(before, hasEntry)
		maps.DeleteFunc(told, hasEntry)
		if diff := cmp.Diff(entriesOf(told), entriesOf(before)); diff != "" {
			tb.Fatalf("%v: layer %d\n%s", all, i, diff)
		}
		before = after
	}
}

func entriesOf(files map[string]image.File) map[string]string {
	all := map[string]string{}
	for name, f := range files {
		all[name] = fmt.Sprintf("%c %o %d:%d %q %s", f.Entry.Type, f.Entry.Mode, f.Entry.UID, f.Entry.GID, f.Entry.Link, f.Entry.Digest)
	}
	return all
}

func checkChange(tb testing.TB, c image.Change, before, after image.File) {
	tb.Helper()
	wasThere, isThere := before.Entry != nil, after.Path != ""
	same := func(a, b image.File) bool { return a.Path == b.Path && a.ID() == b.ID() }
	switch {
	case c.Kind == image.Added && !wasThere && isThere && same(c.Now, after) && c.Was == (image.File{}):
	case c.Kind == image.Changed && wasThere && isThere && same(c.Now, after) && same(c.Was, before):
	case c.Kind == image.Removed && wasThere && !isThere && same(c.Was, before) && c.Now == (image.File{}):
	default:
		tb.Fatalf("%s of %q: was %+v, is %+v", c.Kind, c.Path, before, after)
	}
}

func TestChangesAreWhatALayerDoes(t *testing.T) {
	lower := []entry{
		folder("etc"), file("etc/keep", "1"), file("etc/change", "22"), file("etc/remove", "333"),
		file("cache/a", "4444"), file("cache/b/c", "55555"), file("opaque/old", "6"), file("folder/x", "7"),
	}
	upper := []entry{
		folder("etc"), file("etc/change", "changed"), file("etc/.wh.remove", ""), file("etc/add", "new"), file(".wh.cache", ""),
		file("opaque/.wh..wh..opq", ""), file("opaque/new", "n"), file("folder", "a file now"),
	}
	tree, err := image.Merge(contentsOf(layers{lower, upper}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for c := range tree.Changes(1) {
		line := fmt.Sprintf("%s %s", c.Kind, c.Path)
		if c.Was.Entry != nil {
			line += fmt.Sprintf(" was %d of layer %d", c.Was.Entry.Size, c.Was.Layer)
		}
		if c.Now.Entry != nil {
			line += fmt.Sprintf(" is %d of layer %d", c.Now.Entry.Size, c.Now.Layer)
		}
		got = append(got, line)
	}
	want := []string{
		"removed cache/a was 4 of layer 0",
		"removed cache/b/c was 5 of layer 0",
		"added etc/add is 3 of layer 1",
		"changed etc/change was 2 of layer 0 is 7 of layer 1",
		"removed etc/remove was 3 of layer 0",
		"added folder is 10 of layer 1",
		"removed folder/x was 1 of layer 0",
		"added opaque/new is 1 of layer 1",
		"removed opaque/old was 1 of layer 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := tree.Count(0); n[image.Added] != len(lower) || len(n) != 1 {
		t.Errorf("the lowest layer has %v", n)
	}
}

func TestPathsAreLookedUpAsTheKernelWould(t *testing.T) {
	tree, err := image.Merge(contentsOf(layers{
		{file("usr/bin/dash", "x"), symlink("usr/bin/sh", "dash"), symlink("bin", "usr/bin"), symlink("abs", "/bin/sh"), symlink("up", "../../usr/.."), symlink("usr/bin/up", "../../bin/./sh")},
		{symlink("loop", "loop2"), symlink("loop2", "/loop"), symlink("nowhere", "gone"), folder("d")},
	}))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, lookup, follow string }{
		{"usr/bin/dash", "usr/bin/dash", "usr/bin/dash"},
		{"/bin/sh", "usr/bin/sh", "usr/bin/dash"},
		{"abs", "abs", "usr/bin/dash"},
		{"./bin/../bin/up", "usr/bin/up", "usr/bin/dash"},
		{"bin", "bin", "usr/bin"},
		{"d/..", "", ""},
		{"up", "up", ""},
		{"", "", ""},
		{"usr/bin/dash/x", "not found", "not found"},
		{"gone/x", "not found", "not found"},
		{"nowhere", "nowhere", "not found"},
		{"loop", "loop", "invalid content"},
		{"loop/x", "invalid content", "invalid content"},
	}
	say := func(f image.File, err error) string {
		for _, class := range []error{content.ErrNotFound, content.ErrInvalid} {
			if errors.Is(err, class) {
				return class.Error()
			}
		}
		return f.Path
	}
	for _, tt := range tests {
		if lookup, follow := say(tree.Lookup(tt.path)), say(tree.Follow(tt.path)); lookup != tt.lookup || follow != tt.follow {
			t.Errorf("%q: Lookup %q, want %q; Follow %q, want %q", tt.path, lookup, tt.lookup, follow, tt.follow)
		}
	}
}

func TestBelowIsAPathAndWhatIsInIt(t *testing.T) {
	tree, err := image.Merge(contentsOf(layers{{file("a/b/c", ""), file("a/d", ""), file("ab", "")}}))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "a a/b a/b/c a/d", "a/b/c": "a/b/c", "": "a a/b a/b/c a/d ab", "x": ""} {
		var got []string
		for f := range tree.Below(name) {
			got = append(got, f.Path)
		}
		if all := strings.Join(got, " "); all != want {
			t.Errorf("%q: %q", name, all)
		}
	}
	for f := range tree.All() {
		if f.Path != "a" {
			t.Error("it goes on when nobody listens")
		}
		break
	}
}

// A registry is asked for each layer once, however often the image has it, and
// not at all the second time.
func TestTreeReadsEachLayerOnce(t *testing.T) {
	var b builder
	same := []entry{file("f", "x"), file("f", "y")}
	m := b.of(same, []entry{file(".wh.f", "")}, same)
	cache := &memoryCache{}
	for run, want := range []int{2, 0} {
		src := &counted{Source: &b.place}
		tree, err := image.Reader{Cache: cache}.Tree(t.Context(), src, m)
		if err != nil {
			t.Fatal(err)
		}
		opened := 0
		for _, n := range src.opened {
			opened += n
		}
		if opened != want {
			t.Errorf("run %d: layers were opened %d times", run, opened)
		}
		f, err := tree.Lookup("f")
		if err != nil || f.Layer != 2 || f.Entry.Digest != sumOf("y") {
			t.Errorf("got %+v, %v", f, err)
		}
	}
}

func TestTreeRefusesLayersThatAreNotWhatTheConfigSays(t *testing.T) {
	var b builder
	raw := tarOf(file("f", "x"))
	cache := &memoryCache{}
	for range 2 { // the second time it comes from the cache
		m := b.layered(ocispec.MediaTypeImageLayerGzip, []byte("other"), packed(gzipped, raw))
		if _, err := (image.Reader{Cache: cache}).Tree(t.Context(), &b.place, m); !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	}
	evil := b.of([]entry{file("../f", "x")})
	if _, err := (image.Reader{}).Tree(t.Context(), &b.place, evil); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}
