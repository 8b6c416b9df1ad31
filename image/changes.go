package image

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A ChangeKind is what a layer does to a path.
type ChangeKind uint8

// The kinds of changes.
const (
	Added   ChangeKind = iota + 1 // it is not in the layers below
	Changed                       // the layers below have something else there, or the same once more
	Removed                       // the layers below have it, and it is gone
)

// String returns what machine output calls the kind.
func (k ChangeKind) String() string {
	switch k {
	case Added:
		return "added"
	case Changed:
		return "changed"
	case Removed:
		return "removed"
	}
	return fmt.Sprintf("change %d", uint8(k))
}

// A Change is what a layer does to one path, as seen from the file system that
// the layers below make.
type Change struct {
	Kind ChangeKind
	Path string
	Now  File // what is there with the layer; zero where it is Removed
	Was  File // what was there without it; zero where it is Added
}

// A changeLog notes what layers do to a tree. A nil one notes nothing.
type changeLog struct {
	layers [][]Change // of those that are applied
	lost   map[string]File
	made   []*node
	file   func(*node) File
}

func newChangeLog(file func(*node) File) *changeLog {
	return &changeLog{lost: map[string]File{}, file: file}
}

// lose notes that what n has of lower layers than that one is going away.
func (l *changeLog) lose(n *node, layer int32) {
	if l == nil || n.layer == layer || n.file.layer == 0 {
		return
	}
	f := l.file(n)
	l.lost[f.Path] = f
}

// make notes that the layer has put something at n.
func (l *changeLog) make(n *node) {
	if l == nil || n.file.layer == 0 {
		return
	}
	l.made = append(l.made, n)
}

// close works out what the layer did that t has applied.
func (l *changeLog) close(t *tree) {
	if l == nil || t.layer == 0 || len(l.layers) == int(t.layer) {
		return
	}
	var changes []Change
	seen := map[*node]bool{}
	for _, n := range l.made {
		if seen[n] || n.file.layer == 0 || !n.attached() {
			continue
		}
		seen[n] = true
		c := Change{Kind: Added, Now: l.file(n)}
		c.Path = c.Now.Path
		if was, had := l.lost[c.Path]; had {
			c.Kind, c.Was = Changed, was
			delete(l.lost, c.Path)
		}
		if !c.nothing() {
			changes = append(changes, c)
		}
	}
	for name, was := range l.lost {
		c := Change{Kind: Removed, Path: name, Was: was}
		if n := t.at(name); n != nil { // a folder that is left for what is below it
			c.Kind, c.Now = Changed, l.file(n)
		}
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	l.layers = append(l.layers, changes)
	l.made = nil
	clear(l.lost)
}

// nothing reports whether c is a folder that is told of once more: layers have the
// folders of what is in them.
func (c Change) nothing() bool {
	now, was := c.Now.Entry, c.Was.Entry
	return now != nil && was != nil && now.IsDir() && was.IsDir() && now.Mode == was.Mode && now.UID == was.UID && now.GID == was.GID &&
		now.ModTime.Equal(was.ModTime) && maps.Equal(now.Xattrs, was.Xattrs)
}

// attached reports whether n is in the tree still, and not only its memory.
func (n *node) attached() bool {
	for ; n.parent != nil; n = n.parent {
		if n.parent.children[n.name] != n {
			return false
		}
	}
	return true
}

// at returns the node of a clean path, nil where there is none. No link is
// followed.
func (t *tree) at(name string) *node {
	n := t.root
	for _, elem := range elements(name) {
		if n = n.children[elem]; n == nil {
			return nil
		}
	}
	return n
}
