package image

import (
	"cmp"
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
	layers [][]change // of those that are applied
	lost   []change   // what the layer that is being applied takes away
	made   []*node
	entry  func(source) *Entry
}

// A change is a [Change] as it is kept: there may be one for each entry.
type change struct {
	at       *node // it may be gone from the tree, or something else
	was, now source
	kind     ChangeKind
}

// lose notes that what n has of lower layers than that one is going away.
func (l *changeLog) lose(n *node, layer int32) {
	if l == nil || n.layer == layer || n.source.layer == 0 {
		return
	}
	l.lost = append(l.lost, change{kind: Removed, at: n, was: n.source})
}

// make notes that the layer has put something at n.
func (l *changeLog) make(n *node) {
	if l == nil || n.source.layer == 0 {
		return
	}
	l.made = append(l.made, n)
}

// close works out what the layer did that t has applied.
func (l *changeLog) close(t *tree) {
	if l == nil || t.layer == 0 || len(l.layers) == int(t.layer) {
		return
	}
	l.made = slices.DeleteFunc(l.made, func(n *node) bool { return n.source.layer == 0 || !n.attached() })
	slices.SortFunc(l.made, byPath)
	l.made = slices.Compact(l.made)
	slices.SortFunc(l.lost, func(a, b change) int { return byPath(a.at, b.at) })
	changes := make([]change, 0, len(l.made)+len(l.lost))
	lost := l.lost
	for _, n := range l.made {
		for len(lost) > 0 && byPath(lost[0].at, n) < 0 {
			changes = append(changes, lost[0].left(t))
			lost = lost[1:]
		}
		c := change{kind: Added, at: n, now: n.source}
		if len(lost) > 0 && byPath(lost[0].at, n) == 0 {
			c.kind, c.was = Changed, lost[0].was
			lost = lost[1:]
		}
		if !l.nothing(c) {
			changes = append(changes, c)
		}
	}
	for _, c := range lost {
		changes = append(changes, c.left(t))
	}
	l.layers = append(l.layers, slices.Clip(changes))
	l.made, l.lost = nil, nil
}

// left returns what becomes of c, of which the layer makes nothing: a folder may be
// left for what is below it.
func (c change) left(t *tree) change {
	if n := t.at(c.at.path()); n != nil {
		c.kind, c.now = Changed, n.source
	}
	return c
}

// byPath sorts nodes by their paths, folders before what is in them. It goes by
// names: nodes that were there one after the other have the same path.
func byPath(a, b *node) int {
	deepA, deepB := a.depth(), b.depth()
	upA, upB := a, b
	for range deepA - deepB {
		upA = upA.parent
	}
	for range deepB - deepA {
		upB = upB.parent
	}
	return cmp.Or(byNames(upA, upB), deepA-deepB)
}

// byNames is byPath for nodes of the same depth.
func byNames(a, b *node) int {
	if a == b {
		return 0
	}
	return cmp.Or(byNames(a.parent, b.parent), strings.Compare(a.name, b.name))
}

// depth returns how many folders n is in.
func (n *node) depth() int {
	d := 0
	for ; n.parent != nil; n = n.parent {
		d++
	}
	return d
}

// nothing reports whether c is a folder that is told of once more: layers have the
// folders of what is in them.
func (l *changeLog) nothing(c change) bool {
	if c.kind != Changed || c.at.folder == nil {
		return false
	}
	now, was := l.entry(c.now), l.entry(c.was)
	return now != nil && was != nil && now.IsDir() && was.IsDir() && now.Mode == was.Mode && now.UID == was.UID && now.GID == was.GID &&
		now.ModTime.Equal(was.ModTime) && maps.Equal(now.Xattrs, was.Xattrs)
}

// attached reports whether n is in the tree still, and not only its memory.
func (n *node) attached() bool {
	for ; n.parent != nil; n = n.parent {
		if n.parent.child(n.name) != n {
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
		if n = n.child(elem); n == nil {
			return nil
		}
	}
	return n
}
