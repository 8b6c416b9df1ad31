package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"

	"github.com/wherry-dev/wherry/content"
)

// A Tree is the file system that the layers of an image make, one over the other,
// without the bytes of its files. It is not changed once it is made, and may be
// used by several at once.
type Tree struct {
	layers []*Contents
	tree   *tree
}

// A File is a path in a [Tree].
type File struct {
	Path string // clean, without a slash at either end; "" is the root

	// Layer is that of Entry, the lowest is 0; -1 where there is none.
	Layer int

	// Entry is what a layer tells of it. It is nil for a folder that none tells of,
	// but what is below it. Paths with the same Layer and Entry are hard links of one
	// file; the path of Entry may be another one of them, or one that is gone.
	Entry *Entry
}

// IsDir reports whether f is a folder.
func (f File) IsDir() bool { return f.Entry == nil || f.Entry.IsDir() }

// Merge returns the file system that layers make, the lowest first. What cannot
// be applied is [content.ErrInvalid], as with [Export].
func Merge(layers []*Contents) (*Tree, error) {
	t := &Tree{layers: layers, tree: newTree(-1)}
	t.tree.log = newChangeLog(t.file)
	for i, c := range layers {
		t.tree.begin()
		for j := range c.Entries {
			if err := t.tree.add(c.Entries[j].header(), int32(j+1)); err != nil {
				return nil, fmt.Errorf("layer %d, %s: entry %.200q: %w", i+1, c.Layer, c.Entries[j].Path, err)
			}
		}
	}
	t.tree.end()
	return t, nil
}

// Layers returns what the layers have, the lowest first.
func (t *Tree) Layers() []*Contents { return t.layers }

// Changes returns what a layer does to the file system that those below it make,
// in the order of paths. The lowest layer is 0. Folders that no entry tells of are
// not among them, nor folders that the layer tells of as they were.
//
// What was of a file is lost with its last name only: paths with the same layer and
// [Entry] are one.
func (t *Tree) Changes(layer int) []Change { return t.tree.log.layers[layer] }

// All returns every path but the root, folders before what is in them, in the
// order of names.
func (t *Tree) All() iter.Seq[File] { return t.below(t.tree.root) }

// Below returns a path and, where it is a folder, all that is in it, as All does.
// Links on the way to it, and it itself where it is one, are not followed.
func (t *Tree) Below(name string) iter.Seq[File] {
	n := t.tree.at(name)
	if n == nil {
		return func(func(File) bool) {}
	}
	return func(yield func(File) bool) {
		if n.parent != nil && !yield(t.file(n)) {
			return
		}
		t.below(n)(yield)
	}
}

func (t *Tree) below(n *node) iter.Seq[File] {
	return func(yield func(File) bool) {
		n.until(func(below *node) bool { return below == n || yield(t.file(below)) })
	}
}

// Lookup returns what a path leads to. Links on the way to it are followed as the
// kernel would, were the root its own; where it is a link itself, that is what is
// returned. A path that leads nowhere is [ErrNoSuchFile], one that leads in a
// circle [content.ErrInvalid].
func (t *Tree) Lookup(name string) (File, error) {
	n, err := t.tree.lookup(strings.Split(name, "/"))
	if err != nil {
		return File{}, fmt.Errorf("%.200q: %w", name, err)
	}
	return t.file(n), nil
}

// Follow is Lookup that follows the path where it is a link, too.
func (t *Tree) Follow(name string) (File, error) {
	n, err := t.tree.follow(name)
	if err != nil {
		return File{}, fmt.Errorf("%.200q: %w", name, err)
	}
	return t.file(n), nil
}

func (t *Tree) file(n *node) File {
	f := File{Path: n.path(), Layer: int(n.file.layer) - 1}
	if f.Layer >= 0 {
		f.Entry = &t.layers[f.Layer].Entries[n.file.entry-1]
	}
	return f
}

// ErrNoSuchFile is a path that leads to nothing. It is [content.ErrNotFound].
var ErrNoSuchFile = fmt.Errorf("the image has no such file: %w", content.ErrNotFound)

// lookup returns the node that elems lead to from the root; the last is not
// followed.
func (t *tree) lookup(elems []string) (*node, error) {
	for len(elems) > 0 && (elems[len(elems)-1] == "" || elems[len(elems)-1] == ".") {
		elems = elems[:len(elems)-1]
	}
	if len(elems) == 0 {
		return t.root, nil
	}
	last := elems[len(elems)-1]
	folders := elems[:len(elems)-1]
	if last == ".." {
		folders = elems
	}
	at, err := t.walk(folders, t.none)
	switch {
	case errors.Is(err, errAbsent), errors.Is(err, errNoFolder):
		return nil, ErrNoSuchFile
	case err != nil || last == "..":
		return at, err
	case at.children[last] == nil:
		return nil, ErrNoSuchFile
	}
	return at.children[last], nil
}

// follow is lookup of a path that follows the last, too.
func (t *tree) follow(name string) (*node, error) {
	elems := strings.Split(name, "/")
	for range maxHops + 1 {
		n, err := t.lookup(elems)
		if err != nil || n.file.kind != tar.TypeSymlink {
			return n, err
		}
		elems = strings.Split(n.file.link, "/")
		if !path.IsAbs(n.file.link) {
			elems = append(strings.Split(n.parent.path(), "/"), elems...)
		}
	}
	return nil, errCircle
}
