package image

import (
	"archive/tar"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/content"
)

// What the layers of one image may have, all together. Real images have a
// hundred thousand entries; all of them are in memory, in some 250 bytes each.
const (
	maxEntries = 10_000_000
	maxText    = 256 << 20 // bytes of names, of links, and of what folders have beside those
	maxPath    = 4 << 10   // bytes of one name, as Linux has it
	maxHops    = 40        // links that lead to one folder, as Linux has it
)

// A tree is the file system that layers make, without what is in its files.
type tree struct {
	meter

	root  *node
	layer int32 // that is being applied, from 1
	log   *changeLog
}

// A meter holds layers to what they may have.
type meter struct {
	entries int
	text    int
	files   int64 // bytes of all files; sparse ones have more than was unpacked for them
	most    int64 // that they may have; less than 0 is any number
}

// A node is a name in a tree.
type node struct {
	name     string
	parent   *node
	children map[string]*node // of a folder; nil of anything else
	file     *inode
	layer    int32 // that gave it what it is, or that has something below it
	pruned   int32 // layer in which all from lower ones that was below it was removed
	length   int   // bytes of its path
	written  bool
}

// An inode is what a name stands for. Hard links are several names of one.
type inode struct {
	layer, entry int32 // where its entry is; layer 0 where there is none
	kind         byte  // as in a tar
	link         string
	header       *tar.Header // of a folder that has an entry
	origin       *node       // the name of its entry
	names        []*node     // those that are left, when all layers are applied
}

// newTree returns an empty tree, whose files may have most bytes.
func newTree(most int64) *tree {
	root := &node{children: map[string]*node{}}
	root.file = &inode{kind: tar.TypeDir, origin: root}
	return &tree{root: root, meter: meter{most: most}}
}

// begin says that what is added comes from the next layer.
func (t *tree) begin() {
	t.end()
	t.layer++
}

// end says that nothing more comes from the layer that is being applied.
func (t *tree) end() {
	delete(t.root.children, aufsLink)
	t.log.close(t)
}

// add applies an entry, whose number in its layer is given, as a program would
// that unpacks the layers into an empty folder and never leaves it. An entry that
// cannot be applied is [content.ErrInvalid].
func (t *tree) add(h *tar.Header, entry int32) error {
	if err := t.admit(h); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return checkGlobal(h)
	}
	elems, err := split(h.Name)
	if err != nil {
		return err
	}
	if len(elems) == 0 {
		return t.addRoot(h, entry)
	}
	folders, base := elems[:len(elems)-1], elems[len(elems)-1]
	for i, name := range folders {
		if strings.HasPrefix(name, whiteout) && (i > 0 || name != aufsLink) {
			return belowWhiteout(name)
		}
	}
	if strings.HasPrefix(base, whiteout) {
		return t.remove(folders, base)
	}
	parent, err := t.walk(folders, t.imply)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return t.addFolder(parent, base, h, entry)
	case tar.TypeLink:
		return t.addLink(parent, base, h)
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		n, err := t.put(parent, base, &inode{layer: t.layer, entry: entry, kind: h.Typeflag})
		if err == nil && h.Typeflag == tar.TypeSymlink {
			n.file.link = h.Linkname
		}
		return err
	}
	return fmt.Errorf("it is of a type %q that no file has: %w", h.Typeflag, content.ErrInvalid)
}

// admit counts an entry against the limits.
func (m *meter) admit(h *tar.Header) error {
	m.entries++
	m.text += len(h.Name) + len(h.Linkname)
	if isRegular(h.Typeflag) {
		m.files += h.Size
	}
	if h.Typeflag == tar.TypeDir {
		m.text += len(h.Uname) + len(h.Gname)
		for key, value := range h.PAXRecords {
			m.text += len(key) + len(value)
		}
	}
	switch {
	case len(h.Name) > maxPath || len(h.Linkname) > maxPath:
		return fmt.Errorf("its name, or where it links to, has more than %d bytes: %w", maxPath, content.ErrInvalid)
	case m.entries > maxEntries:
		return fmt.Errorf("the layers have more than %d entries: %w", maxEntries, content.ErrInvalid)
	case m.most >= 0 && (m.files > m.most || m.files < 0):
		return fmt.Errorf("the files of the layers have more than %d bytes: %w", m.most, content.ErrInvalid)
	case m.text > maxText:
		return fmt.Errorf("the names of the layers have more than %d bytes: %w", maxText, content.ErrInvalid)
	}
	return nil
}

// checkGlobal refuses records for all entries that follow which other readers
// obey and Go passes over.
func checkGlobal(h *tar.Header) error {
	for key := range h.PAXRecords {
		if key != "comment" { // git archive writes one
			return fmt.Errorf("a global header sets %.100q for all entries: %w", key, content.ErrInvalid)
		}
	}
	return nil
}

// split returns the parts of a name, none for the root. A name with .. in it is
// refused, wherever it would lead.
func split(name string) ([]string, error) {
	elems := elements(name)
	if slices.Contains(elems, "..") {
		return nil, fmt.Errorf(".. leads out of the file system: %w", content.ErrInvalid)
	}
	return elems, nil
}

// elements returns the parts of a name that mean something.
func elements(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(s string) bool { return s == "" || s == "." })
}

func (t *tree) addRoot(h *tar.Header, entry int32) error {
	if h.Typeflag != tar.TypeDir {
		return fmt.Errorf("the root is no folder: %w", content.ErrInvalid)
	}
	t.root.file = &inode{layer: t.layer, entry: entry, kind: tar.TypeDir, header: kept(h), origin: t.root}
	return nil
}

// addFolder makes a folder of name, or gives the one that is there another entry.
func (t *tree) addFolder(parent *node, name string, h *tar.Header, entry int32) error {
	file := &inode{layer: t.layer, entry: entry, kind: tar.TypeDir, header: kept(h)}
	if n := parent.children[name]; n != nil && n.children != nil {
		file.origin = n
		t.log.lose(n, t.layer)
		n.file, n.layer = file, t.layer
		t.log.make(n)
		return nil
	}
	_, err := t.put(parent, name, file)
	return err
}

// addLink gives what is at h.Linkname one more name. Whatever becomes of that
// name later, this one keeps what it is now.
func (t *tree) addLink(parent *node, name string, h *tar.Header) error {
	elems, err := split(h.Linkname)
	if err != nil {
		return fmt.Errorf("hard link to %.100q: %w", h.Linkname, err)
	}
	n := t.root
	if len(elems) > 0 {
		folder, err := t.walk(elems[:len(elems)-1], t.none)
		if err != nil {
			return fmt.Errorf("hard link to %.100q: %w", h.Linkname, err)
		}
		n = folder.children[elems[len(elems)-1]]
	}
	switch {
	case n == nil:
		return fmt.Errorf("hard link to %.100q, which is not there: %w", h.Linkname, content.ErrInvalid)
	case n.children != nil:
		return fmt.Errorf("hard link to %.100q, which is a folder: %w", h.Linkname, content.ErrInvalid)
	case n == parent.children[name]:
		return fmt.Errorf("hard link to itself: %w", content.ErrInvalid)
	}
	_, err = t.put(parent, name, n.file)
	return err
}

// put places file at name, in place of whatever is there.
func (t *tree) put(parent *node, name string, file *inode) (*node, error) {
	n := &node{
		name:   strings.Clone(name), // not all of the path it is a part of
		parent: parent,
		file:   file,
		layer:  t.layer,
		pruned: t.layer,
		length: parent.length + 1 + len(name),
	}
	if n.length > maxPath {
		return nil, fmt.Errorf("by way of links its name has more than %d bytes: %w", maxPath, content.ErrInvalid)
	}
	if file.kind == tar.TypeDir {
		n.children = map[string]*node{}
	}
	if file.origin == nil {
		file.origin = n
	}
	if old := parent.children[name]; old != nil && t.log != nil {
		old.each(func(below *node) { t.log.lose(below, t.layer) })
	}
	parent.children[n.name] = n
	t.log.make(n)
	return n, nil
}

// errAbsent is a name that is not there.
var errAbsent = fmt.Errorf("it is not there: %w", content.ErrInvalid)

// errNoFolder is a name that leads on where it cannot.
var errNoFolder = fmt.Errorf("is no folder: %w", content.ErrInvalid)

// none leaves a folder absent.
func (t *tree) none(*node, string) (*node, error) { return nil, errAbsent }

// imply makes a folder that no entry tells of, but what is below it.
func (t *tree) imply(parent *node, name string) (*node, error) {
	if strings.HasPrefix(name, whiteout) && (parent != t.root || name != aufsLink) {
		return nil, fmt.Errorf("by way of links it is below a whiteout: %w", content.ErrInvalid)
	}
	return t.put(parent, name, &inode{kind: tar.TypeDir})
}

// walk returns the folder that elems lead to from the root. Links on the way are
// followed as the kernel would, were the root its own; absent is asked for what is
// not there.
func (t *tree) walk(elems []string, absent func(*node, string) (*node, error)) (*node, error) {
	at, todo, hops := t.root, elems, 0
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			if at.parent != nil {
				at = at.parent
			}
			continue
		}
		next := at.children[name]
		if next == nil {
			made, err := absent(at, name)
			if err != nil {
				return nil, err
			}
			next = made
		}
		switch {
		case next.children != nil:
			at = next
		case next.file.kind != tar.TypeSymlink:
			return nil, fmt.Errorf("%.100q %w", next.path(), errNoFolder)
		case hops == maxHops:
			return nil, fmt.Errorf("%.100q is a link that leads to links in a circle, or to more than %d: %w", next.path(), maxHops, content.ErrInvalid)
		default:
			hops++
			if path.IsAbs(next.file.link) {
				at = t.root
			}
			todo = append(strings.Split(next.file.link, "/"), todo...)
		}
	}
	return at, nil
}

// settle gives every inode the names it has in the end, the one of its entry
// first, and returns the inodes that have an entry, by layer and in its order.
func (t *tree) settle() [][]*inode {
	t.end()
	files := make([][]*inode, t.layer)
	t.root.each(func(n *node) {
		f := n.file
		f.names = append(f.names, n)
		if len(f.names) == 1 && f.layer > 0 {
			files[f.layer-1] = append(files[f.layer-1], f)
		}
		if last := len(f.names) - 1; f.origin == n {
			f.names[0], f.names[last] = f.names[last], f.names[0]
		}
	})
	for _, all := range files {
		slices.SortFunc(all, func(a, b *inode) int { return int(a.entry - b.entry) })
	}
	return files
}

// each calls do for n and all below it, folders before what they have, in the
// order of names.
func (n *node) each(do func(*node)) {
	n.until(func(n *node) bool {
		do(n)
		return true
	})
}

// until is each that ends when do returns false, and returns that.
func (n *node) until(do func(*node) bool) bool {
	if !do(n) {
		return false
	}
	children := make([]*node, 0, len(n.children))
	for _, child := range n.children {
		children = append(children, child)
	}
	slices.SortFunc(children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	for _, child := range children {
		if !child.until(do) {
			return false
		}
	}
	return true
}

// path returns the name of n from the root, "" for that.
func (n *node) path() string {
	if n.parent == nil {
		return ""
	}
	if n.parent.parent == nil {
		return n.name
	}
	return n.parent.path() + "/" + n.name
}
