package image

import (
	"archive/tar"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// A Difference is what became of a file, or a setting, between two images.
type Difference uint8

// The differences.
const (
	OnlyB   Difference = iota + 1 // it is in B only: it was added
	OnlyA                         // it is in A only: it was removed
	Differs                       // it is in both, and not the same

	// Touched is what one image has a layer of its own say something about, and the
	// other one none: the layers that both have would tell what was there.
	Touched
)

// String returns what machine output calls the difference.
func (d Difference) String() string {
	switch d {
	case OnlyB:
		return "added"
	case OnlyA:
		return "removed"
	case Differs:
		return "changed"
	case Touched:
		return "touched"
	}
	return fmt.Sprintf("difference %d", uint8(d))
}

// Aspects are what differs of a file, as a set.
type Aspects uint8

// The aspects of files.
const (
	AspectType Aspects = 1 << iota
	AspectContent
	AspectSize
	AspectMode
	AspectOwner
	AspectTarget // where a link leads to, and which device it is
	AspectXattrs
	AspectTime
)

var aspectNames = []string{"type", "content", "size", "mode", "owner", "target", "xattrs", "time"}

// Names returns the aspects as machine output calls them.
func (a Aspects) Names() []string {
	var names []string
	for i, name := range aspectNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// A FileChange is a path at which two images differ.
type FileChange struct {
	Difference

	Path    string // "" is the root
	Aspects Aspects
	Was     *Entry // of A; nil where it has none, or nobody knows
	Now     *Entry // of B

	// Unsettled tells that a layer which both images have was not read, and may have it
	// otherwise: such a layer covers the file, or has what is Touched.
	Unsettled bool

	// By is the image whose own layers touch what is Touched: "A" or "B", or "AB" where
	// both do. Where the entry of that one is nil, they remove it.
	By string

	// Patch is the difference of small texts, as diff -u writes it; empty where nobody
	// asked for it, or there is none.
	Patch string

	layers [2]int // of the entries
}

// A view is the file system of an image as far as its layers are known.
type view interface {
	// at returns what is known of a clean path.
	at(path string) saying

	// in returns the names of what is known to be in a folder.
	in(path string) []string

	// leads returns the clean paths that a path leads to by way of links that are known:
	// what is there, and where that leads to in turn.
	leads(path string) []string
}

// A saying is what is known of a path.
type saying struct {
	what  knowledge
	entry *Entry // nil of a folder that no entry tells of
	layer int    // of the entry

	// rank is how many layers that are not known are below the one that says it; those
	// above may say something else.
	rank int

	// there is the rank of the last that says whether there is anything: what is put into
	// a folder says so of the folder, and not whose it is.
	there int

	// emptied is the rank of what took away what lower layers have in the folder.
	emptied int

	// loose tells that something is there, and that it takes the layers below to know
	// what: the folder that names go through, the file that a hard link leads to.
	loose bool

	// stray tells that it may not be there: the entry goes through a link, or there is
	// only a mark in the folder.
	stray bool
}

type knowledge uint8

const (
	nothing knowledge = iota // it is as the layers have it that are not known
	present
	absent
)

// look makes the views: of the merged trees where all layers are known.
func (c *comparer) look() (err error) {
	for i, s := range c.sides {
		if c.unknown() > 0 {
			s.view, err = c.overlay(i)
		} else {
			s.view, err = treeOf(s.known)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compareFiles returns the files that differ, by path.
func (c *comparer) compareFiles() []FileChange {
	var all []FileChange
	keep := func(path string, a, b saying) {
		f, differs := c.settle(a, b)
		if !differs || !c.within(path) || path == stargzName && (c.isTable(0, a) || c.isTable(1, b)) {
			return
		}
		f.Path = path
		all = append(all, f)
	}
	if a, ok := c.sides[0].view.(treeView); ok {
		compareTrees(a, c.sides[1].view.(treeView), keep)
	} else {
		a, b := c.sides[0].view.(*overlay), c.sides[1].view.(*overlay)
		compareNodes("", a.root, b.root, saying{}, saying{}, keep)
	}
	slices.SortFunc(all, func(a, b FileChange) int { return comparePaths(a.Path, b.Path) })
	return all
}

// isTable reports whether what an image has is the table of contents of an eStargz
// layer that told what the layer has: it stands before the end of the tar or behind
// it, as the layer was built, and is no part of the image either way.
func (c *comparer) isTable(side int, s saying) bool {
	return s.what == present && s.entry != nil && s.entry.Digest != "" && s.entry.Digest == c.sides[side].known[s.layer].Table
}

// comparePaths sorts folders before what is in them, and that before what comes
// after the folder.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// reach returns the paths that are asked for, and those that they lead to in either
// image.
func (c *comparer) reach() []string {
	all := slices.Clone(c.o.Paths)
	for _, path := range c.o.Paths {
		for _, s := range c.sides {
			all = append(all, s.view.leads(path)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// within reports whether path is among those that are compared.
func (c *comparer) within(path string) bool {
	return len(c.o.Paths) == 0 || slices.ContainsFunc(c.paths, func(folder string) bool {
		return folder == "" || path == folder || strings.HasPrefix(path, folder+"/")
	})
}

// seek returns the paths asked for of which nobody knows whether there is anything. It
// is [content.ErrNotFound] where one is in neither image.
func (c *comparer) seek() (unsought []string, err error) {
	unknown := c.unknown()
	for _, path := range c.o.Paths {
		a, b := c.sides[0].view.at(path), c.sides[1].view.at(path)
		gone := func(s saying) bool { return s.what == absent && !s.covered(s.there, unknown) }
		switch {
		case path == "", a.what == present, b.what == present, c.link(path), c.leadsToFile(path):
		case gone(a) && gone(b):
			return nil, fmt.Errorf("%.200q: neither image has such a file: %w", path, content.ErrNotFound)
		default:
			unsought = append(unsought, path)
		}
	}
	return unsought, nil
}

// link reports whether an image, of which all is known, has a link at path, wherever it
// leads to.
func (c *comparer) link(path string) bool {
	return slices.ContainsFunc(c.sides[:], func(s *side) bool {
		tree, ok := s.view.(treeView)
		if !ok {
			return false
		}
		_, err := tree.Lookup(path)
		return err == nil
	})
}

// leadsToFile reports whether links lead from path to something that is there.
func (c *comparer) leadsToFile(path string) bool {
	return slices.ContainsFunc(c.sides[:], func(s *side) bool {
		return slices.ContainsFunc(s.view.leads(path), func(to string) bool { return s.view.at(to).what == present })
	})
}

// settle returns how what B says of a path differs from what A says.
func (c *comparer) settle(a, b saying) (FileChange, bool) {
	unknown := c.unknown()
	f := FileChange{Was: a.entry, Now: b.entry, layers: [2]int{a.layer, b.layer}}
	f.Unsettled = a.covered(a.there, unknown) || b.covered(b.there, unknown)
	switch {
	case a.what == nothing && b.what == nothing:
		return f, false
	case b.what == nothing && a.rank > 0, a.what == nothing && b.rank > 0:
		return touched(f, a, b), true
	}
	switch {
	case a.what == present && b.what == present:
		f.Difference = Differs
		f.Unsettled = a.covered(a.rank, unknown) || b.covered(b.rank, unknown)
		f.Aspects = c.aspects(a.entry, b.entry)
		if f.Aspects == 0 && !a.saysAs(b) || f.Aspects != 0 && (a.loose || b.loose) {
			f.Aspects = 0
			return touched(f, a, b), true
		}
		return f, f.Aspects != 0
	case a.what == present:
		f.Difference = OnlyA
		return f, true
	case b.what == present:
		f.Difference = OnlyB
		return f, true
	case a.rank != b.rank && a.what != nothing && b.what != nothing:
		return touched(f, a, b), true
	}
	return f, false
}

// touched makes of f one that the layers which are not known would settle.
func touched(f FileChange, a, b saying) FileChange {
	f.Difference, f.Unsettled = Touched, true
	if a.what != nothing {
		f.By += "A"
	}
	if b.what != nothing {
		f.By += "B"
	}
	return f
}

// covered reports whether one of the unknown layers may say something else than s,
// which is of that rank.
func (s saying) covered(rank, unknown int) bool {
	return s.stray || rank < unknown
}

// saysAs reports whether s and other, which have the same entry, come to the same
// whatever the layers have that are not known.
func (s saying) saysAs(other saying) bool {
	folders := s.entry == nil || s.entry.IsDir()
	return s.rank == other.rank && s.there == other.there && s.loose == other.loose && !s.stray && !other.stray && (!folders || s.emptied == other.emptied)
}

// unknown returns how many layers are not known. Both images have them.
func (c *comparer) unknown() int {
	n := 0
	for _, known := range c.sides[0].known {
		if known == nil {
			n++
		}
	}
	return n
}

// implied is what a folder is taken for that no entry tells of.
var implied = Entry{Type: tar.TypeDir, Mode: 0o755}

// aspects returns what differs between two files.
func (c *comparer) aspects(a, b *Entry) Aspects {
	told := a != nil && b != nil
	if a == nil {
		a = &implied
	}
	if b == nil {
		b = &implied
	}
	var differ Aspects
	for aspect, same := range map[Aspects]bool{
		AspectType:    a.Type == b.Type,
		AspectContent: a.Digest == b.Digest || a.Type != b.Type,
		AspectSize:    a.Size == b.Size || a.Type != b.Type,
		AspectMode:    a.Mode == b.Mode || a.Type == tar.TypeSymlink && b.Type == tar.TypeSymlink,
		AspectOwner:   a.UID == b.UID && a.GID == b.GID,
		AspectTarget:  a.Type != b.Type || a.Link == b.Link && a.Major == b.Major && a.Minor == b.Minor,
		AspectXattrs:  maps.Equal(a.Xattrs, b.Xattrs),
		AspectTime:    c.o.Semantic || !told || sameTime(a.ModTime, b.ModTime),
	} {
		if !same {
			differ |= aspect
		}
	}
	return differ
}

// sameTime compares times as exactly as the one that is told less exactly: tables
// of contents, and old tars, have whole seconds.
func sameTime(a, b time.Time) bool {
	return a.Equal(b) || (a.Nanosecond() == 0 || b.Nanosecond() == 0) && a.Unix() == b.Unix()
}

// A treeView is an image whose layers are all known.
type treeView struct{ *Tree }

func treeOf(layers []*Contents) (view, error) {
	t, err := Merge(layers)
	return treeView{t}, err
}

func (v treeView) at(path string) saying {
	f, err := v.Follow(path)
	if err != nil {
		return saying{what: absent}
	}
	return sayingOf(f)
}

func (v treeView) in(path string) []string {
	f, err := v.Follow(path)
	if err != nil {
		return nil
	}
	var names []string
	for below := range v.Below(f.Path) {
		if name, ok := strings.CutPrefix(below.Path, f.Path+"/"); ok && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	return names
}

func (v treeView) leads(path string) []string {
	var all []string
	for _, look := range []func(string) (File, error){v.Lookup, v.Follow} {
		if f, err := look(path); err == nil {
			all = append(all, f.Path)
		}
	}
	return all
}

func sayingOf(f File) saying { return saying{what: present, entry: f.Entry, layer: f.Layer} }

// compareTrees calls keep for every path of two trees.
func compareTrees(a, b treeView, keep func(path string, a, b saying)) {
	keep("", a.at(""), b.at(""))
	nextA, stopA := iter.Pull(a.All())
	defer stopA()
	nextB, stopB := iter.Pull(b.All())
	defer stopB()
	was, inA := nextA()
	now, inB := nextB()
	for inA || inB {
		order := 0
		if inA && inB {
			order = comparePaths(was.Path, now.Path)
		}
		switch {
		case !inB || order < 0:
			keep(was.Path, sayingOf(was), saying{what: absent})
			was, inA = nextA()
		case !inA || order > 0:
			keep(now.Path, saying{what: absent}, sayingOf(now))
			now, inB = nextB()
		default:
			keep(now.Path, sayingOf(was), sayingOf(now))
			was, inA = nextA()
			now, inB = nextB()
		}
	}
}
