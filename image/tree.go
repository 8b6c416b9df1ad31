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
// hundred thousand entries; the names of all of them are in memory, in some 100 bytes each.
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
	spare []node // that are not used yet

	// headers tells that folders keep what is written of them.
	headers bool
}

// A meter holds layers to what they may have.
type meter struct {
	entries int
	text    int
	files   int64 // bytes of all files; sparse ones have more than was unpacked for them
	most    int64 // that they may have; less than 0 is any number
}

// A node is a name in a tree. There is one for each entry: it is kept small.
// Hard links are several nodes of one source.
type node struct {
	source

	layer  int32 // that gave it what it is, or that has something below it
	length int16 // bytes of its path
	kind   byte  // as in a tar
	own    bool  // its entry has given it what it is, and no hard link has
	name   string
	parent *node
	folder *folder // of a folder; nil of anything else
	link   *string // of a symbolic link; nil of anything else
}

// A source is where an entry is. The zero source is that of what has none.
type source struct{ layer, entry int32 } // both from 1

// A folder is what folders have beside what all nodes have.
type folder struct {
	children[*node]

	pruned  int32       // layer in which all from lower ones that was in it was removed
	header  *tar.Header // of its entry, where headers are kept
	written bool
}

func (n *node) called() string { return n.name }

// child returns what has that name in n; nil where nothing has.
func (n *node) child(name string) *node {
	if n.folder == nil {
		return nil
	}
	return n.folder.get(name)
}

// newTree returns an empty tree, whose files may have most bytes.
func newTree(most int64) *tree {
	root := &node{folder: &folder{}, kind: tar.TypeDir, own: true}
	return &tree{root: root, meter: meter{most: most}}
}

// node returns a new node, of memory that it shares with its neighbours.
func (t *tree) node() *node {
	const atOnce = 128
	if len(t.spare) == 0 {
		t.spare = make([]node, atOnce)
	}
	n := &t.spare[0]
	t.spare = t.spare[1:]
	return n
}

// begin says that what is added comes from the next layer.
func (t *tree) begin() {
	t.end()
	t.layer++
}

// end says that nothing more comes from the layer that is being applied.
func (t *tree) end() {
	t.root.folder.remove(aufsLink)
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
		n, err := t.put(parent, base, source{t.layer, entry}, h.Typeflag)
		if err != nil {
			return err
		}
		n.own = true
		if h.Typeflag == tar.TypeSymlink {
			to := h.Linkname
			n.link = &to
		}
		return nil
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
	t.tell(t.root, h, entry)
	return nil
}

// tell gives folder n an entry.
func (t *tree) tell(n *node, h *tar.Header, entry int32) {
	n.source, n.own = source{t.layer, entry}, true
	if t.headers {
		n.folder.header = kept(h)
	}
}

// addFolder makes a folder of name, or gives the one that is there another entry.
func (t *tree) addFolder(parent *node, name string, h *tar.Header, entry int32) error {
	n := parent.child(name)
	if n != nil && n.folder != nil {
		t.log.lose(n, t.layer)
		t.tell(n, h, entry)
		n.layer = t.layer
		t.log.make(n)
		return nil
	}
	n, err := t.put(parent, name, source{t.layer, entry}, tar.TypeDir)
	if err == nil {
		t.tell(n, h, entry)
	}
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
		n = folder.child(elems[len(elems)-1])
	}
	switch {
	case n == nil:
		return fmt.Errorf("hard link to %.100q, which is not there: %w", h.Linkname, content.ErrInvalid)
	case n.folder != nil:
		return fmt.Errorf("hard link to %.100q, which is a folder: %w", h.Linkname, content.ErrInvalid)
	case n == parent.child(name):
		return fmt.Errorf("hard link to itself: %w", content.ErrInvalid)
	}
	linked, err := t.put(parent, name, n.source, n.kind)
	if err == nil {
		linked.link = n.link
	}
	return err
}

// put places what is of a kind, and has that source, at name, in place of whatever
// is there.
func (t *tree) put(parent *node, name string, from source, kind byte) (*node, error) {
	length := int(parent.length) + 1 + len(name)
	if length > maxPath {
		return nil, fmt.Errorf("by way of links its name has more than %d bytes: %w", maxPath, content.ErrInvalid)
	}
	n := t.node()
	*n = node{
		source: from,
		layer:  t.layer,
		length: int16(length), //nolint:gosec // maxPath is less
		kind:   kind,
		name:   strings.Clone(name), // not all of the path it is a part of
		parent: parent,
	}
	if kind == tar.TypeDir {
		n.folder = &folder{pruned: t.layer}
	}
	if old := parent.child(name); old != nil && t.log != nil {
		old.each(func(below *node) { t.log.lose(below, t.layer) })
	}
	parent.folder.put(n)
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
	return t.put(parent, name, source{}, tar.TypeDir)
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
		next := at.child(name)
		if next == nil {
			made, err := absent(at, name)
			if err != nil {
				return nil, err
			}
			next = made
		}
		switch {
		case next.folder != nil:
			at = next
		case next.link == nil:
			return nil, fmt.Errorf("%.100q %w", next.path(), errNoFolder)
		case hops == maxHops:
			return nil, fmt.Errorf("%.100q is a link that leads to links in a circle, or to more than %d: %w", next.path(), maxHops, content.ErrInvalid)
		default:
			hops++
			if path.IsAbs(*next.link) {
				at = t.root
			}
			todo = append(strings.Split(*next.link, "/"), todo...)
		}
	}
	return at, nil
}

// settle returns the names of all that has an entry, by layer and in the order of
// the entries. Of one with several names that of its entry comes first, where it is
// left.
func (t *tree) settle() [][]*node {
	t.end()
	names := make([][]*node, t.layer)
	t.root.each(func(n *node) {
		if at := n.source.layer; at > 0 {
			names[at-1] = append(names[at-1], n)
		}
	})
	for _, all := range names {
		slices.SortStableFunc(all, func(a, b *node) int {
			if a.own != b.own && a.entry == b.entry {
				return map[bool]int{true: -1, false: 1}[a.own]
			}
			return int(a.entry - b.entry)
		})
	}
	return names
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
	if n.folder == nil {
		return true
	}
	for child := range n.folder.sorted() {
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
