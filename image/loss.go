package image

import (
	"cmp"
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
	names := links{}
	losses := map[pair]*Loss{}
	for by := range t.layers {
		for _, c := range names.lost(t.Changes(by)) {
			at := pair{c.Was.Layer, by}
			if losses[at] == nil {
				losses[at] = &Loss{From: at.from, By: by}
			}
			losses[at].add(c)
		}
	}
	var all []Loss
	for _, l := range losses {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Loss) int { return cmp.Or(a.From-b.From, a.By-b.By) })
	return all
}

// A fileID tells files apart: a layer that an image has twice has the same entries.
type fileID struct {
	layer int
	entry *Entry
}

// links are how many names each file has.
type links map[fileID]int

// lost counts the names that changes give and take, and returns those that take
// the last name of a file that has bytes.
func (l links) lost(changes []Change) []Change {
	for _, c := range changes {
		if c.Now.Entry != nil {
			l[fileID{c.Now.Layer, c.Now.Entry}]++
		}
	}
	var last []Change
	for _, c := range changes {
		if c.Was.Entry == nil {
			continue
		}
		was := fileID{c.Was.Layer, c.Was.Entry}
		if l[was]--; l[was] == 0 && was.entry.Size > 0 {
			last = append(last, c)
		}
	}
	return last
}

// add counts a change that takes away the last name of a file.
func (l *Loss) add(c Change) {
	l.Files++
	l.Bytes += c.Was.Entry.Size
	if now := c.Now.Entry; now != nil && now.Digest == c.Was.Entry.Digest {
		l.Again += c.Was.Entry.Size
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
	for _, f := range t.inodes() {
		all = append(all, Stored{Path: f.Path, Layer: f.Layer, Bytes: f.Entry.Size})
	}
	names := links{}
	for by := range t.layers {
		for _, c := range names.lost(t.Changes(by)) {
			all = append(all, Stored{Path: c.Path, Layer: c.Was.Layer, Bytes: c.Was.Entry.Size, Lost: true})
		}
	}
	return all
}
