package explore

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/image"
)

// A node is a file or folder that can be shown.
type node struct {
	name     string
	path     string
	entry    *image.Entry // nil where none tells of it
	layer    int          // of entry, the lowest is 0
	kind     image.ChangeKind
	size     int64 // of it and all below it
	wasted   bool  // it, or something below it, is in several layers
	open     bool  // what is below it is shown
	children []*node
	byName   map[string]*node
}

func (n *node) isFolder() bool { return n.byName != nil || n.entry != nil && n.entry.IsDir() }

// A forest grows trees of the files of an image.
type forest struct {
	tree   *image.Tree
	wasted map[string]bool
}

func newForest(img Image) *forest {
	f := &forest{tree: img.Tree, wasted: map[string]bool{}}
	for _, w := range img.Wasted {
		f.wasted[w.Path] = true
	}
	return f
}

// whole returns the files of the image that the lowest layers make, so many of
// them, with what the last of these does to them; 0 layers are all, unmarked.
func (f *forest) whole(layers int) (*node, error) {
	g := f.plot()
	tree := f.tree
	var changes iter.Seq[image.Change]
	if layers > 0 {
		var err error
		if tree, err = image.Merge(f.tree.Layers()[:layers]); err != nil {
			return nil, err
		}
		changes = f.tree.Changes(layers - 1)
	}
	for file := range tree.All() {
		g.add(file, 0)
	}
	if changes != nil {
		for c := range changes {
			g.mark(c)
		}
	}
	return g.grown(), nil
}

// changes returns what a layer does; the lowest is 1.
func (f *forest) changes(layer int) *node {
	g := f.plot()
	for c := range f.tree.Changes(layer - 1) {
		g.mark(c)
	}
	return g.grown()
}

// A plot is where a tree grows.
type plot struct {
	*forest

	root *node
	seen map[image.FileID]bool
	n    int
}

func (f *forest) plot() *plot {
	return &plot{forest: f, root: &node{byName: map[string]*node{}}, seen: map[image.FileID]bool{}}
}

// mark adds what a change is about.
func (g *plot) mark(c image.Change) {
	file := c.Now
	if c.Kind == image.Removed {
		file = c.Was
	}
	file.Path = c.Path
	g.add(file, c.Kind)
}

func (g *plot) add(file image.File, kind image.ChangeKind) {
	n := g.root
	for name := range strings.SplitSeq(file.Path, "/") {
		child := n.byName[name]
		if child == nil {
			child = &node{name: name, path: strings.TrimPrefix(n.path+"/"+name, "/"), layer: -1}
			if n.byName == nil {
				n.byName = map[string]*node{}
			}
			n.byName[name] = child
			n.children = append(n.children, child)
			g.n++
		}
		n = child
	}
	n.entry, n.layer = file.Entry, file.Layer
	n.kind = max(n.kind, kind)
	if file.Entry != nil && !g.seen[file.ID()] {
		g.seen[file.ID()] = true
		n.size = file.Entry.Size
	}
}

// few is how many files are shown at once without being asked for.
const few = 60

// grown returns the tree, with the sizes of its folders.
func (g *plot) grown() *node {
	g.sum(g.root)
	g.root.open = true
	if g.n <= few {
		g.root.each(func(n *node) { n.open = true })
	}
	return g.root
}

func (g *plot) sum(n *node) {
	n.wasted = g.wasted[n.path]
	for _, c := range n.children {
		g.sum(c)
		n.size += c.size
		n.wasted = n.wasted || c.wasted
	}
}

func (n *node) each(do func(*node)) {
	do(n)
	for _, c := range n.children {
		c.each(do)
	}
}

// An order is how what is in a folder is sorted.
type order int

const (
	bySize order = iota
	byName
)

func (o order) other() order {
	switch o {
	case bySize:
		return byName
	default:
		return bySize
	}
}

func (o order) String() string {
	if o == byName {
		return "name"
	}
	return "size"
}

func (n *node) sort(o order) {
	n.each(func(n *node) {
		slices.SortFunc(n.children, func(a, b *node) int {
			if o == bySize && a.size != b.size {
				return cmp.Compare(b.size, a.size)
			}
			return strings.Compare(a.name, b.name)
		})
	})
}

// A row is a node that is shown, and how deep it is.
type row struct {
	*node

	depth int
}

// rows returns what is shown of the tree below n: what is in open folders or,
// where there is a filter, what has it in its path, and the way there.
func (n *node) rows(filter string) []row {
	var all []row
	var walk func(n *node, depth int) bool
	walk = func(n *node, depth int) bool {
		hit := false
		for _, c := range n.children {
			at := len(all)
			all = append(all, row{c, depth})
			here := filter == "" || strings.Contains(strings.ToLower(c.path), filter)
			if c.open || filter != "" {
				here = walk(c, depth+1) || here
			}
			if !here {
				all = all[:at]
			}
			hit = hit || here
		}
		return hit
	}
	walk(n, 0)
	return all
}
