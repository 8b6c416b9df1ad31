package image

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// A Waste says how well layers use their bytes, counted as dive counts it: by
// path, whatever stands there. What a path has in the layer where it has the
// least is needed, and all else is not.
//
// A whiteout counts as a copy of no bytes, and as one with those of the whole
// folder where it removes a folder, so that the files of a folder that is removed
// at once are no waste for dive: [Tree.Losses] tells of those. Opaque folders
// count for nothing here, and so do whiteouts of what is not there.
// https://github.com/wagoodman/dive
type Waste struct {
	Size       int64        // bytes of the files of all layers, unpacked
	UserSize   int64        // the same without the lowest layer
	Bytes      int64        // of all copies of Paths
	Efficiency float64      // bytes that are needed of those there are; 1 where there are none
	Paths      []WastedPath // those that several layers have; the most bytes first
}

// A WastedPath is a path that several layers have.
type WastedPath struct {
	Path   string
	Layers []int // that have it, or remove it; the lowest is 0
	Bytes  int64 // of all copies
}

// UserWasted returns how many bytes are wasted of those above the lowest layer:
// 1 is as many, and more than that is possible.
func (w Waste) UserWasted() float64 {
	switch {
	case w.Bytes == 0:
		return 0
	case w.UserSize == 0:
		return 1
	}
	return float64(w.Bytes) / float64(w.UserSize)
}

// WasteOf returns what layers waste, the lowest first.
func WasteOf(layers []*Contents) Waste {
	counted := tally{}
	below := &shelf{}
	var w Waste
	for i, c := range layers {
		size := c.Size()
		w.Size += size
		if i > 0 {
			w.UserSize += size
		}
		top := shelve(c)
		top.walk("", func(path string, n *shelf) { counted.add(below, path, n, i) })
		below.stack(top)
	}
	var least, all int64
	for path, c := range counted {
		least += c.least
		all += c.bytes
		if len(c.layers) > 1 {
			w.Bytes += c.bytes
			w.Paths = append(w.Paths, WastedPath{Path: path, Layers: c.layers, Bytes: c.bytes})
		}
	}
	w.Efficiency = 1
	if all > 0 {
		w.Efficiency = float64(least) / float64(all)
	}
	slices.SortFunc(w.Paths, func(a, b WastedPath) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Path, b.Path))
	})
	return w
}

// copies are what several layers have of a path.
type copies struct {
	layers []int
	bytes  int64
	least  int64
}

// A tally has the copies of each path.
type tally map[string]*copies

// add counts what a layer has at path, or removes of what those below it have.
func (t tally) add(below *shelf, path string, n *shelf, layer int) {
	if len(n.children) > 0 {
		return
	}
	size := n.size()
	if removed, ok := removedBy(path); ok {
		was := below.at(removed)
		if was == nil {
			return
		}
		path, size = removed, was.total(layer)
	}
	c := t[path]
	if c == nil {
		c = &copies{least: size}
		t[path] = c
	}
	c.layers = append(c.layers, layer)
	c.bytes += size
	c.least = min(c.least, size)
}

// removedBy returns the path that a whiteout at path removes.
func removedBy(path string) (string, bool) { return (&Entry{Path: path}).Whiteout() }

// A shelf is a path of one layer, or of several without regard to what is a
// folder: what a layer puts in the place of a folder leaves what is below it.
type shelf struct {
	entry    *Entry // nil where none tells of it
	children map[string]*shelf

	sum   int64 // bytes of all below it, as
	known int   // that layer found it; 0 is none yet
}

// shelve returns the root of what c has. Of entries with the same name the last
// one counts.
func shelve(c *Contents) *shelf {
	root := &shelf{}
	for i := range c.Entries {
		e := &c.Entries[i]
		if e.Path == "" || strings.Contains("/"+e.Path, "/"+aufsMeta) {
			continue
		}
		n := root
		for name := range strings.SplitSeq(e.Path, "/") {
			n = n.child(name)
		}
		n.entry = e
	}
	return root
}

func (n *shelf) child(name string) *shelf {
	c := n.children[name]
	if c == nil {
		c = &shelf{}
		if n.children == nil {
			n.children = map[string]*shelf{}
		}
		n.children[name] = c
	}
	return c
}

// walk calls do for all below n, in the order of names, what is in a folder
// before the folder.
func (n *shelf) walk(path string, do func(path string, n *shelf)) {
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		c := n.children[name]
		child := strings.TrimPrefix(path+"/"+name, "/")
		c.walk(child, do)
		do(child, c)
	}
}

// stack puts a layer on top of n.
func (n *shelf) stack(top *shelf) {
	for _, name := range slices.Sorted(maps.Keys(top.children)) {
		upper := top.children[name]
		if len(upper.children) > 0 {
			n.child(name).stack(upper)
		}
		if removed, ok := removedBy(name); ok {
			delete(n.children, removed)
			continue
		}
		n.child(name).entry = upper.entry
	}
}

// at returns what is at path, nil where there is nothing.
func (n *shelf) at(path string) *shelf {
	if path == "" {
		return n
	}
	for name := range strings.SplitSeq(path, "/") {
		if n = n.children[name]; n == nil {
			return nil
		}
	}
	return n
}

func (n *shelf) size() int64 {
	if n.entry == nil {
		return 0
	}
	return n.entry.Size
}

// total returns the bytes of all that is in a folder; nothing of what is none.
// While one layer is counted what is below it stays as it is, and is added up once,
// however often the layer removes a part of it.
func (n *shelf) total(layer int) int64 {
	if n.entry == nil || !n.entry.IsDir() {
		return 0
	}
	return n.below(layer)
}

func (n *shelf) below(layer int) int64 {
	if n.known != layer {
		n.known, n.sum = layer, 0
		for _, c := range n.children {
			n.sum += c.size() + c.below(layer)
		}
	}
	return n.sum
}

// Walk calls do for all that c has and the folders on the way there, in the order
// of names, what is in a folder before the folder. The entry is nil for a folder
// that none tells of. Of entries with the same name only the last is there, and
// marks of opaque folders are not.
func (c *Contents) Walk(do func(path string, e *Entry)) {
	shelve(c).walk("", func(path string, n *shelf) { do(path, n.entry) })
}
