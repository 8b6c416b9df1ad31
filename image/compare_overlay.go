package image

import (
	"archive/tar"
	"fmt"
	"path"
	"slices"
	"strings"
)

// An overlay is what the known layers of an image do to those that are not known,
// told by the names of their entries alone: a link that one of the unknown layers may
// have is not followed.
type overlay struct{ root *mark }

// A mark is what the known layers say of a path. The zero mark says nothing.
type mark struct {
	below map[string]*mark

	told    bool // there is an entry
	implied bool // there is none, and something is in it
	entry   *Entry
	layer   int
	rank    int // as that of a saying
	there   int // as that of a saying
	loose   bool
	stray   bool

	cleared cleared
	emptied int // rank of what cleared it
}

// cleared is what of lower layers is gone.
type cleared uint8

const (
	uncleared cleared = iota
	insides           // what is in the folder
	whole             // what is there, and in it
)

// overlay returns what the known layers of a side say.
func (c *comparer) overlay(side int) (view, error) {
	o := &overlay{root: &mark{}}
	rank, m := 0, meter{most: -1}
	for i, contents := range c.sides[side].known {
		if contents == nil {
			rank++
			continue
		}
		for _, e := range contents.All() {
			if err := m.admit(e.header()); err != nil {
				return nil, fmt.Errorf("layer %s: %w", contents.Layer, err)
			}
			o.clear(e, rank)
		}
		for _, e := range contents.All() {
			if err := o.put(e, i, rank); err != nil {
				return nil, fmt.Errorf("layer %s: entry %.200q: %w", contents.Layer, e.Path, err)
			}
		}
	}
	return o, nil
}

// clear applies e where it removes something of lower layers.
func (o *overlay) clear(e *Entry, rank int) {
	if folder, ok := e.Opaque(); ok {
		m := o.make(folder)
		m.below, m.emptied = nil, rank
		m.cleared = max(m.cleared, insides)
	}
	if path, ok := e.Whiteout(); ok {
		*o.make(path) = mark{cleared: whole, emptied: rank}
	}
}

// put places e, unless it is a mark itself.
func (o *overlay) put(e *Entry, layer, rank int) error {
	elems, err := split(e.Path)
	if len(elems) > 0 && elems[len(elems)-1] == opaque { // it is in a folder
		m := o.root
		for _, name := range elems[:len(elems)-1] {
			m = m.child(name)
			if !m.told && !m.implied { // it may be another mark's to take it away
				m.implied, m.rank, m.there, m.stray = true, rank, rank, true
			}
		}
	}
	if err != nil || slices.ContainsFunc(elems, func(s string) bool { return strings.HasPrefix(s, whiteout) }) {
		return err
	}
	m, stray := o.root, false
	for _, name := range elems {
		stray = stray || m.told && !m.isFolder()
		m.imply(rank)
		m = m.child(name)
	}
	if e.Type == tar.TypeDir {
		if m.told && !m.isFolder() {
			m.below, m.cleared, m.emptied = nil, whole, m.rank
		}
		m.told, m.entry, m.layer, m.rank, m.there, m.loose, m.stray, m.implied = true, e, layer, rank, rank, false, stray, false
		return nil
	}
	*m = mark{told: true, entry: e, layer: layer, rank: rank, there: rank, stray: stray, cleared: whole, emptied: rank}
	if e.Type == tar.TypeLink {
		m.link(o.find(clean(e.Link)))
	}
	return nil
}

// link makes m another name of what to says, where that is known.
func (m *mark) link(to *mark) {
	if to == nil || !to.told || to == m || to.isFolder() || to.loose || to.stray {
		m.loose = true
		return
	}
	m.entry, m.layer = to.entry, to.layer
}

// imply makes a folder of m where nothing tells what it is.
func (m *mark) imply(rank int) {
	m.there = rank
	if !m.told && (!m.implied || m.stray) {
		m.implied, m.rank, m.stray = true, rank, false
	}
}

func (m *mark) isFolder() bool { return m.entry == nil || m.entry.IsDir() }

// child returns what there is of a name in m, and makes it where it is missing.
func (m *mark) child(name string) *mark {
	if m.below == nil {
		m.below = map[string]*mark{}
	}
	next := m.below[name]
	if next == nil {
		next = &mark{}
		m.below[strings.Clone(name)] = next
	}
	return next
}

func (o *overlay) make(path string) *mark {
	m := o.root
	for _, name := range elements(path) {
		m = m.child(name)
	}
	return m
}

func (o *overlay) find(path string) *mark {
	m := o.root
	for _, name := range elements(path) {
		if m = m.below[name]; m == nil {
			return nil
		}
	}
	return m
}

// says returns what m says, where the folders it is in say that of all below them.
// A nil m says nothing more than those.
func (m *mark) says(above saying) saying {
	if m == nil {
		return above
	}
	emptied := 0
	if inside := m.inside(above); inside.what == absent {
		emptied = inside.rank
	}
	switch {
	case m.told:
		return saying{what: present, entry: m.entry, layer: m.layer, rank: m.rank, there: m.there, emptied: emptied, loose: m.loose, stray: m.stray}
	case m.cleared == whole:
		above = saying{what: absent, rank: m.emptied, there: m.emptied}
	}
	switch {
	case m.implied && above.what == absent:
		above.what, above.there, above.emptied, above.stray = present, m.there, emptied, m.stray
	case m.implied:
		return saying{what: present, rank: m.rank, there: m.there, emptied: emptied, loose: m.rank > 0, stray: m.stray}
	}
	return above
}

// saysRoot is says for the root, which is there whatever is in it.
func (m *mark) saysRoot() saying {
	switch {
	case m.told:
		return m.says(saying{})
	case m.cleared == insides:
		return saying{what: present, rank: m.emptied, there: m.emptied, emptied: m.emptied, loose: true}
	}
	return saying{}
}

// inside returns what m says of all that is below it and has no mark of its own.
func (m *mark) inside(above saying) saying {
	switch {
	case m == nil:
		return above
	case m.told && !m.isFolder():
		return saying{what: absent, rank: m.rank, there: m.rank}
	case m.cleared != uncleared:
		return saying{what: absent, rank: m.emptied, there: m.emptied}
	}
	return above
}

func (o *overlay) at(path string) saying {
	m, above := o.root, saying{}
	if path == "" {
		return m.saysRoot()
	}
	for _, name := range elements(path) {
		above = m.inside(above)
		if m != nil {
			m = m.below[name]
		}
	}
	return m.says(above)
}

func (o *overlay) in(path string) []string {
	var names []string
	if m := o.find(path); m != nil {
		for name := range m.below {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (o *overlay) leads(name string) []string {
	var at []string
	hops := 0
	for todo := elements(name); len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		if next == ".." {
			at = at[:max(0, len(at)-1)]
			continue
		}
		m := o.find(strings.Join(append(at, next), "/"))
		if m == nil || m.entry == nil || m.entry.Type != tar.TypeSymlink {
			at = append(at, next)
			continue
		}
		if hops++; hops > maxHops {
			return nil
		}
		if path.IsAbs(m.entry.Link) {
			at = nil
		}
		todo = append(elements(m.entry.Link), todo...)
	}
	return []string{strings.Join(at, "/")}
}

// compareNodes calls keep for every path at or below one that either image says
// something of. What the folders it is in say of all below them is in aboveA and
// aboveB.
func compareNodes(path string, a, b *mark, aboveA, aboveB saying, keep func(path string, a, b saying)) {
	if a == nil && b == nil {
		return
	}
	if path == "" {
		keep(path, a.saysRoot(), b.saysRoot())
	} else {
		keep(path, a.says(aboveA), b.says(aboveB))
	}
	aboveA, aboveB = a.inside(aboveA), b.inside(aboveB)
	next := func(name string) {
		compareNodes(strings.TrimPrefix(path+"/"+name, "/"), a.at(name), b.at(name), aboveA, aboveB, keep)
	}
	if a != nil {
		for name := range a.below {
			next(name)
		}
	}
	if b == nil {
		return
	}
	for name := range b.below {
		if a.at(name) == nil {
			next(name)
		}
	}
}

// at returns what there is of a name in m, nil where there is nothing.
func (m *mark) at(name string) *mark {
	if m == nil {
		return nil
	}
	return m.below[name]
}
