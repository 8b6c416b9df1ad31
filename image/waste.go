package image

import (
	"cmp"
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
	var w Waste
	var t tally
	below := &shelf{}
	for i, c := range layers {
		size := c.Size()
		w.Size += size
		if i > 0 {
			w.UserSize += size
		}
		top := shelve(c)
		if top.below.whiteouts {
			top.walk("", func(path string, n *shelf) { t.remove(below, path, n, i) })
		}
		below.stack(top)
		t.place("", below, top, i)
	}
	w.Efficiency = 1
	if t.bytes > 0 {
		w.Efficiency = float64(t.least) / float64(t.bytes)
	}
	for _, c := range t.several {
		w.Bytes += c.Bytes
		w.Paths = append(w.Paths, *c)
	}
	slices.SortFunc(w.Paths, func(a, b WastedPath) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Path, b.Path))
	})
	return w
}

// A tally counts the copies of each path.
type tally struct {
	bytes, least int64
	several      []*WastedPath // those of which there are several
}

// remove counts what a layer removes of those below it, where path is a whiteout.
func (t *tally) remove(below *shelf, path string, n *shelf, layer int) {
	removed, ok := removedBy(path)
	if !ok || n.isFull() {
		return
	}
	if was := below.at(removed); was != nil && !was.gone {
		t.add(was, parentOf(removed), layer, was.total(layer))
	}
}

// place counts what a layer has in a folder, once it is on the others.
func (t *tally) place(folder string, below, top *shelf, layer int) {
	for upper := range top.below.sorted() {
		if upper.isFull() {
			t.place(strings.TrimPrefix(folder+"/"+upper.name, "/"), below.below.get(upper.name), upper, layer)
			continue
		}
		if _, whiteout := removedBy(upper.name); !whiteout {
			t.add(below.below.get(upper.name), folder, layer, upper.size)
		}
	}
}

// add counts a copy of what is in a folder.
func (t *tally) add(n *shelf, folder string, layer int, bytes int64) {
	t.bytes += bytes
	if n.first == 0 {
		n.first, n.least = int32(layer)+1, bytes //nolint:gosec // a manifest has room for some thousand
		t.least += bytes
		return
	}
	if n.copies == nil {
		n.copies = &WastedPath{Path: strings.TrimPrefix(folder+"/"+n.name, "/"), Layers: []int{int(n.first - 1)}, Bytes: n.least}
		t.several = append(t.several, n.copies)
	}
	n.copies.Layers = append(n.copies.Layers, layer)
	n.copies.Bytes += bytes
	if bytes < n.least {
		t.least += bytes - n.least
		n.least = bytes
	}
}

// removedBy returns the path that a whiteout at path removes.
func removedBy(path string) (string, bool) { return (&Entry{Path: path}).Whiteout() }

// A shelf is a path of one layer, or of several without regard to what is a
// folder: what a layer puts in the place of a folder leaves what is below it. One
// that is gone has the copies still that there were. There is one for each path: it
// is kept small.
type shelf struct {
	name   string
	below  *shelves // nil where nothing is below it
	size   int64
	number int32 // of its entry in its layer, from 1; 0 where none tells of it
	dir    bool
	gone   bool

	first  int32 // layer that has it, from 1; 0 where it is not counted
	least  int64 // bytes of its smallest copy
	copies *WastedPath
}

// shelves are what is below a shelf.
type shelves struct {
	children[*shelf]

	whiteouts bool  // of the root: there are some
	sum       int64 // bytes of all below it, as
	known     int   // that layer found it, from 1; 0 is none yet
}

func (n *shelf) called() string { return n.name }

// isFull reports whether the layer has something below n.
func (n *shelf) isFull() bool { return n.below != nil }

// shelve returns the root of what c has. Of entries with the same name the last
// one counts.
func shelve(c *Contents) *shelf {
	root := &shelf{below: &shelves{}}
	var number int32
	for _, e := range c.All() {
		number++
		if e.Path == "" || strings.Contains("/"+e.Path, "/"+aufsMeta) {
			continue
		}
		n := root
		for name := range strings.SplitSeq(e.Path, "/") {
			root.below.whiteouts = root.below.whiteouts || strings.HasPrefix(name, whiteout)
			n = n.child(name)
		}
		n.number, n.size, n.dir = number, e.Size, e.IsDir()
	}
	return root
}

// child returns what has that name below n, and makes it where it is missing.
func (n *shelf) child(name string) *shelf {
	if n.below == nil {
		n.below = &shelves{}
	}
	c := n.below.get(name)
	if c == nil {
		c = &shelf{name: strings.Clone(name)}
		n.below.put(c)
	}
	c.gone = false
	return c
}

// walk calls do for all below n, in the order of names, what is in a folder
// before the folder.
func (n *shelf) walk(path string, do func(path string, n *shelf)) {
	if n.below == nil {
		return
	}
	for c := range n.below.sorted() {
		child := strings.TrimPrefix(path+"/"+c.name, "/")
		c.walk(child, do)
		do(child, c)
	}
}

// stack puts a layer on top of n.
func (n *shelf) stack(top *shelf) {
	if top.below.whiteouts {
		n.merge(top)
		return
	}
	n.adopt(top)
}

// adopt is merge for what has no whiteouts: what is new is taken as it is.
func (n *shelf) adopt(top *shelf) {
	for upper := range top.below.sorted() {
		if n.below == nil {
			n.below = &shelves{}
		}
		if n.below.get(upper.name) == nil {
			n.below.put(upper)
			continue
		}
		c := n.child(upper.name)
		if upper.below != nil {
			c.adopt(upper)
		}
		c.number, c.size, c.dir = upper.number, upper.size, upper.dir
	}
}

// merge puts what is below top on top of what is below n.
func (n *shelf) merge(top *shelf) {
	for upper := range top.below.sorted() {
		if upper.below != nil {
			n.child(upper.name).merge(upper)
		}
		if removed, ok := removedBy(upper.name); ok {
			n.remove(removed)
			continue
		}
		c := n.child(upper.name)
		c.number, c.size, c.dir = upper.number, upper.size, upper.dir
	}
}

// remove removes what has that name below n.
func (n *shelf) remove(name string) {
	if n.below == nil {
		return
	}
	if c := n.below.get(name); c != nil {
		c.leave()
	}
}

// leave makes n, and all below it, be gone.
func (n *shelf) leave() {
	if n.gone {
		return
	}
	n.gone, n.number, n.size, n.dir = true, 0, 0, false
	if n.below == nil {
		return
	}
	for c := range n.below.sorted() {
		c.leave()
	}
}

// at returns what is at path, or was there; nil where nothing ever was.
func (n *shelf) at(path string) *shelf {
	for name := range strings.SplitSeq(path, "/") {
		if n.below == nil {
			return nil
		}
		if n = n.below.get(name); n == nil {
			return nil
		}
	}
	return n
}

// total returns the bytes of all that is in a folder; nothing of what is none.
func (n *shelf) total(layer int) int64 {
	if !n.dir {
		return 0
	}
	return n.sum(layer)
}

// sum returns the bytes of all that is below n. While one layer is counted that
// stays as it is, and is added up once, however often the layer removes a part of it.
func (n *shelf) sum(layer int) int64 {
	if n.below == nil {
		return 0
	}
	if n.below.known != layer+1 {
		n.below.known, n.below.sum = layer+1, 0
		for c := range n.below.sorted() {
			n.below.sum += c.size + c.sum(layer)
		}
	}
	return n.below.sum
}

// Walk calls do for all that c has and the folders on the way there, in the order
// of names, what is in a folder before the folder. The entry is nil for a folder
// that none tells of. Of entries with the same name only the last is there, and
// marks of opaque folders are not.
func (c *Contents) Walk(do func(path string, e *Entry)) {
	shelve(c).walk("", func(path string, n *shelf) {
		if n.number == 0 {
			do(path, nil)
			return
		}
		do(path, c.Entry(int(n.number-1)))
	})
}
