package image

import (
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"
	"sync"

	"github.com/wherry-dev/wherry/content"
)

// A Tree is the file system that the layers of an image make, one over the other,
// without the bytes of its files. It is not changed once it is made, and may be
// used by several at once.
type Tree struct {
	layers []*Contents
	tree   *tree

	logging sync.Once // that the tree has no log of its own
	log     *changeLog
}

// A File is a path in a [Tree].
type File struct {
	Path string // clean, without a slash at either end; "" is the root

	// Layer is that of Entry, the lowest is 0; -1 where there is none.
	Layer int

	// Number is that of Entry in its layer, from 0; -1 where there is none.
	Number int

	// Entry is what a layer tells of it. It is nil for a folder that none tells of,
	// but what is below it. The path of Entry may be another one of the same file, see
	// [File.ID], or one that is gone.
	Entry *Entry
}

// IsDir reports whether f is a folder.
func (f File) IsDir() bool { return f.Entry == nil || f.Entry.IsDir() }

// A FileID tells files apart that have an entry: those of hard links are one.
type FileID struct{ Layer, Number int }

// ID returns what tells f from other files of its image.
func (f File) ID() FileID { return FileID{f.Layer, f.Number} }

// Merge returns the file system that layers make, the lowest first. What cannot
// be applied is [content.ErrInvalid], as with [Export].
func Merge(layers []*Contents) (*Tree, error) {
	t := &Tree{layers: layers, tree: newTree(-1)}
	return t, t.merge()
}

// mergeLogged is Merge of what will be asked for the changes of all layers: those
// are worked out on the way, and take their room.
func mergeLogged(layers []*Contents) (*Tree, error) {
	t := &Tree{layers: layers, tree: newTree(-1)}
	t.log = &changeLog{entry: t.entry}
	t.tree.log = t.log
	return t, t.merge()
}

// merge applies the layers.
func (t *Tree) merge() error {
	for i, c := range t.layers {
		t.tree.begin()
		var entry int32
		for _, e := range c.All() {
			entry++
			if err := t.tree.add(e.header(), entry); err != nil {
				return fmt.Errorf("layer %d, %s: entry %.200q: %w", i+1, c.Layer, e.Path, err)
			}
		}
	}
	t.tree.end()
	t.tree.spare = nil
	return nil
}

// changes returns what the layers do, the lowest first.
func (t *Tree) changes() [][]change {
	t.logging.Do(func() {
		if t.log != nil {
			return
		}
		logged, _ := mergeLogged(t.layers) // that was done once, and did not fail
		t.log = logged.log
	})
	return t.log.layers
}

// Layers returns what the layers have, the lowest first.
func (t *Tree) Layers() []*Contents { return t.layers }

// Changes yields what a layer does to the file system that those below it make,
// in the order of paths. The lowest layer is 0. Folders that no entry tells of are
// not among them, nor folders that the layer tells of as they were.
//
// What was of a file is lost with its last name only: see [File.ID].
func (t *Tree) Changes(layer int) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		for _, c := range t.changes()[layer] {
			shown := Change{Kind: c.kind, Path: c.at.path()}
			if c.kind != Added {
				shown.Was = t.fileAt(shown.Path, c.was)
			}
			if c.kind != Removed {
				shown.Now = t.fileAt(shown.Path, c.now)
			}
			if !yield(shown) {
				return
			}
		}
	}
}

// Count returns how many paths a layer changes in each way.
func (t *Tree) Count(layer int) map[ChangeKind]int {
	n := map[ChangeKind]int{}
	for _, c := range t.changes()[layer] {
		n[c.kind]++
	}
	return n
}

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

func (t *Tree) file(n *node) File { return t.fileAt(n.path(), n.source) }

func (t *Tree) fileAt(path string, at source) File {
	return File{Path: path, Layer: int(at.layer) - 1, Number: int(at.entry) - 1, Entry: t.entry(at)}
}

// entry returns what there is at a source; nil where that is none.
func (t *Tree) entry(at source) *Entry {
	if at.layer == 0 {
		return nil
	}
	return t.layers[at.layer-1].Entry(int(at.entry - 1))
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
	}
	if n := at.child(last); n != nil {
		return n, nil
	}
	return nil, ErrNoSuchFile
}

// follow is lookup of a path that follows the last, too.
func (t *tree) follow(name string) (*node, error) {
	elems := strings.Split(name, "/")
	for range maxHops + 1 {
		n, err := t.lookup(elems)
		if err != nil || n.link == nil {
			return n, err
		}
		elems = strings.Split(*n.link, "/")
		if !path.IsAbs(*n.link) {
			elems = append(strings.Split(n.parent.path(), "/"), elems...)
		}
	}
	return nil, errCircle
}
