package image

import (
	"archive/tar"
	"cmp"
	"iter"
	"slices"
)

// A Loss is what a layer takes away of a lower one: bytes that are stored and
// downloaded, and in no file of the image.
type Loss struct {
	From, By int // layers, the lowest is 0
	Files    int
	Bytes    int64

	// Again is how many of Bytes the layer has once more, in the same path: with
	// another owner, mode or time, or just so.
	Again int64
}

// Losses returns what the layers take away of each other, by the layer it is of
// and the one that takes it. A file is lost with the last of its names.
func (t *Tree) Losses() []Loss {
	type pair struct{ from, by int }
	names := newLinks(t.layers)
	losses := map[pair]*Loss{}
	for by, changes := range t.changes() {
		for _, c := range names.lost(changes) {
			was := t.entry(c.was)
			if was.Size == 0 {
				continue
			}
			at := pair{int(c.was.layer) - 1, by}
			if losses[at] == nil {
				losses[at] = &Loss{From: at.from, By: by}
			}
			losses[at].add(was, t.entry(c.now))
		}
	}
	var all []Loss
	for _, l := range losses {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Loss) int { return cmp.Or(a.From-b.From, a.By-b.By) })
	return all
}

// links are how many names each file has, by layer and the number of its entry.
type links [][]int32

func newLinks(layers []*Contents) links {
	l := make(links, len(layers))
	for i, c := range layers {
		l[i] = make([]int32, c.Len())
	}
	return l
}

// of returns the count of what is at a source.
func (l links) of(s source) *int32 { return &l[s.layer-1][s.entry-1] }

// lost counts the names that changes give and take, and returns those that take
// the last name of a file.
func (l links) lost(changes []change) []change {
	for _, c := range changes {
		if c.now.layer > 0 {
			*l.of(c.now)++
		}
	}
	var last []change
	for _, c := range changes {
		if c.was.layer == 0 {
			continue
		}
		n := l.of(c.was)
		if *n--; *n == 0 {
			last = append(last, c)
		}
	}
	return last
}

// add counts a file that has lost its last name, where there is now another one, or
// none.
func (l *Loss) add(was, now *Entry) {
	l.Files++
	l.Bytes += was.Size
	if now != nil && now.sameBytes(was) {
		l.Again += was.Size
	}
}

// A Stored file is one that a layer has the bytes of.
type Stored struct {
	Path  string
	Layer int // that has it; the lowest is 0
	Bytes int64
	Lost  bool // to a later layer: it is no file of the image
}

// Stored returns the files that the layers of t have, each once and under one
// name, those that are lost among them.
func (t *Tree) Stored() []Stored {
	var all []Stored
	for f := range t.regular() {
		all = append(all, Stored{Path: f.Path, Layer: f.Layer, Bytes: f.Entry.Size})
	}
	names := newLinks(t.layers)
	for _, changes := range t.changes() {
		for _, c := range names.lost(changes) {
			if was := t.entry(c.was); was.Size > 0 {
				all = append(all, Stored{Path: c.at.path(), Layer: int(c.was.layer) - 1, Bytes: was.Size, Lost: true})
			}
		}
	}
	return all
}

// regular yields the files of t that have bytes, each once and under one of its
// names.
func (t *Tree) regular() iter.Seq[File] {
	return func(yield func(File) bool) {
		seen := newLinks(t.layers)
		t.tree.root.until(func(n *node) bool {
			if n.kind == tar.TypeDir || n.source.layer == 0 {
				return true
			}
			before := seen.of(n.source)
			if *before++; *before > 1 {
				return true
			}
			f := t.file(n)
			return f.Entry.Size == 0 || yield(f)
		})
	}
}
