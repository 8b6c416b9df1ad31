package image

import (
	"archive/tar"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/content"
)

// An uppermost tells what a path leads to from the uppermost layers of an image
// alone, as far as they say so. What it says is what a [Tree] of all layers would;
// where they could be taken in several ways it says that it is not sure.
type uppermost struct {
	all []*listed // the highest first
}

// A verdict is what is known of a path.
type verdict uint8

const (
	more   verdict = iota // the layers say nothing of it, lower ones may
	unsure                // it takes all layers to know
	found                 // it is the entry
	gone                  // it is not there, whatever lower layers have
	moved                 // a link leads somewhere else
)

// An answer is a verdict, and what it is about.
type answer struct {
	verdict

	layer, entry int    // found; layer 0 is the highest
	path         string // moved: where to
}

// A listed is the entries of a layer by path.
type listed struct {
	*Contents

	at    map[string]int  // the last entry of a path
	twice map[string]bool // paths that have several entries
	mixed map[string]bool // those whose entries are of several kinds
	above map[string]bool // folders that something is in, the root aside

	// told are the folders of which the layer says that they are folders, and so are
	// all they are in, before it has anything in them. What is elsewhere is loose: lower
	// layers may have a link on the way there, which leads somewhere else. Loose paths
	// stand by their last element; swept tells whether a mark is among them that
	// empties a folder.
	told  map[string]bool
	loose map[string][]string
	swept bool
}

func newListed(c *Contents) *listed {
	l := &listed{
		Contents: c, at: make(map[string]int, c.Len()), twice: map[string]bool{}, mixed: map[string]bool{}, above: map[string]bool{},
		told: map[string]bool{"": true}, loose: map[string][]string{},
	}
	for i, e := range c.All() {
		l.add(i, e)
	}
	return l
}

// add lists entry i, after those before it.
func (l *listed) add(i int, e *Entry) {
	if before, again := l.at[e.Path]; again {
		l.twice[e.Path] = true
		if l.Entry(before).Type != e.Type {
			l.mixed[e.Path] = true
		}
	}
	l.at[e.Path] = i
	folder := parentOf(e.Path)
	for dir := folder; dir != "" && !l.above[dir]; dir = parentOf(dir) {
		l.above[dir] = true
	}
	if l.told[folder] {
		l.told[e.Path] = l.told[e.Path] || e.IsDir()
		return
	}
	base := path.Base(e.Path)
	l.swept = l.swept || base == opaque
	base = strings.TrimPrefix(base, whiteout)
	l.loose[base] = append(l.loose[base], e.Path)
}

// isLoose reports whether p has an entry that is loose.
func (l *listed) isLoose(p string) bool {
	return slices.Contains(l.loose[strings.TrimPrefix(path.Base(p), whiteout)], p)
}

// parentOf returns the folder that p is in, "" for the root.
func parentOf(p string) string {
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 0)]
}

// foldersOf returns the folders that p is in, the outermost first, without the
// root.
func foldersOf(p string) []string {
	var all []string
	for i := range len(p) {
		if p[i] == '/' {
			all = append(all, p[:i])
		}
	}
	return all
}

// entry returns the entry of p, nil where there is none.
func (l *listed) entry(p string) *Entry {
	if i, ok := l.at[p]; ok {
		return l.Entry(i)
	}
	return nil
}

// find returns what p leads to, a clean path that is not the root's.
func (u *uppermost) find(p string) answer {
	for elem := range strings.SplitSeq(p, "/") {
		switch {
		case elem == "..":
			return answer{verdict: unsure}
		case strings.HasPrefix(elem, whiteout):
			return answer{verdict: gone}
		}
	}
	folders := map[string]bool{} // that layers so far have entries for; true where it is sure that they are there
	implied := false             // one of them has, or may have, something below p, which is a folder then
	for i, l := range u.all {
		a := l.find(p, folders)
		a.layer = i
		implied = implied || l.above[p] || len(l.loose) > 0
		if a.verdict == gone && implied {
			return answer{verdict: unsure}
		}
		if a.verdict != more {
			return a
		}
		for _, dir := range foldersOf(p) {
			if l.entry(dir) != nil {
				folders[dir] = folders[dir] || l.told[dir]
			}
		}
	}
	return answer{verdict: more}
}

// find returns what l says of p, above which there are those folders.
func (l *listed) find(p string, above map[string]bool) answer {
	if l.ambiguous(p) {
		return answer{verdict: unsure}
	}
	for _, dir := range foldersOf(p) {
		e := l.entry(dir)
		if e == nil || e.IsDir() {
			continue
		}
		sure, replaced := above[dir]
		switch {
		case sure:
			return answer{verdict: gone} // a folder took its place
		case replaced || !l.certain(dir, above) || e.Type == tar.TypeLink:
			return answer{verdict: unsure}
		case e.Type == tar.TypeSymlink:
			return l.follow(e, strings.TrimPrefix(p, dir), above)
		}
		return answer{verdict: gone}
	}
	if e := l.entry(p); e != nil {
		return l.foundAt(p, e, above)
	}
	if l.removes(p) {
		return answer{verdict: gone}
	}
	return answer{verdict: more}
}

// foundAt returns what e says, which is the entry of p.
func (l *listed) foundAt(p string, e *Entry, above map[string]bool) answer {
	switch {
	case !l.certain(p, above):
		return answer{verdict: unsure}
	case e.Type == tar.TypeSymlink:
		return l.follow(e, "", above)
	case e.Type != tar.TypeLink:
		return answer{verdict: found, entry: l.at[p]}
	}
	// A hard link to a file of the same layer; all else takes more to know.
	to := clean(e.Link)
	i, ok := l.at[to]
	if !ok || i > l.at[p] || l.Entry(i).Type != tar.TypeReg || l.twice[to] || l.ambiguous(to) || !l.certain(to, nil) {
		return answer{verdict: unsure}
	}
	return answer{verdict: found, entry: i}
}

// ambiguous reports whether an entry of l may be what p leads to and has another
// path: by way of a link that a lower layer has, or because the layer says several
// things of it.
func (l *listed) ambiguous(p string) bool {
	if l.swept {
		return true
	}
	paths := append(foldersOf(p), p)
	for _, own := range paths {
		for _, other := range l.loose[path.Base(own)] {
			name := path.Join(parentOf(other), strings.TrimPrefix(path.Base(other), whiteout))
			if name != own {
				return true
			}
		}
		if l.mixed[own] {
			return true
		}
	}
	return false
}

// certain reports whether what l has at p is there in the end. Where it is loose
// there may be a link on the way: a layer above that tells of a folder there takes
// it away, and l itself may, after it has put something where the link leads.
func (l *listed) certain(p string, above map[string]bool) bool {
	if !l.isLoose(p) {
		return true
	}
	for _, dir := range foldersOf(p) {
		if _, told := above[dir]; told || l.entry(dir) != nil || l.removes(dir) {
			return false
		}
	}
	return true
}

// follow returns where link e leads, with rest behind it.
func (l *listed) follow(e *Entry, rest string, above map[string]bool) answer {
	to := e.Link + rest
	if !path.IsAbs(to) {
		to = parentOf(e.Path) + "/" + to
	}
	up := false
	for _, elem := range elements(to) {
		up = up || elem == ".."
	}
	if up && !l.lexical(e, above) {
		return answer{verdict: unsure}
	}
	return answer{verdict: moved, path: strings.TrimPrefix(path.Clean("/"+to), "/")}
}

// lexical reports whether .. in a link means the folder that its name says: where
// the link is below links it may be another one.
func (l *listed) lexical(e *Entry, above map[string]bool) bool {
	for elems, depth := elements(e.Link), 0; depth < len(elems); depth++ {
		if elems[depth] == ".." && depth > 0 && elems[depth-1] != ".." {
			return false // it comes out of a folder that may be a link itself
		}
	}
	for _, dir := range foldersOf(e.Path) {
		if !l.told[dir] && !above[dir] {
			return false
		}
	}
	return true
}

// removes reports whether l takes away what lower layers have at p.
func (l *listed) removes(p string) bool {
	for _, own := range append(foldersOf(p), p) {
		dir, base := path.Split(own)
		if l.entry(dir+whiteout+base) != nil || l.entry(dir+opaque) != nil {
			return true
		}
	}
	return false
}

// errCircle is links that lead nowhere.
var errCircle = fmt.Errorf("links lead in a circle, or there are more than %d: %w", maxHops, content.ErrInvalid)
