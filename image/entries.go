package image

import (
	"bytes"
	"iter"
)

// perBlock is how many entries a block has. To get at one, the paths of those
// before it in its block are read.
const perBlock = 16

// An entryList is entries as they are on disk, in some 75 bytes each: one is
// unpacked when it is asked for. The zero entryList has none.
type entryList struct {
	n      int
	size   int64    // bytes of all files
	blocks [][]byte // that are full
	last   string   // path of the last entry
	tail   encoder  // the block that is not
}

// add appends e.
func (l *entryList) add(e *Entry) {
	if l.n%perBlock == 0 && l.n > 0 {
		l.blocks = append(l.blocks, bytes.Clone(l.tail.buf))
		l.tail.buf, l.last = l.tail.buf[:0], ""
	}
	l.tail.entry(e, l.last)
	l.n++
	l.size += e.Size
	l.last = e.Path
}

// block returns the block with that number.
func (l *entryList) block(i int) []byte {
	if i == len(l.blocks) {
		return l.tail.buf
	}
	return l.blocks[i]
}

// at returns entry i.
func (l *entryList) at(i int) *Entry {
	d := decoder{rest: l.block(i / perBlock)}
	for range i % perBlock {
		d.skip()
	}
	e := new(Entry)
	d.entry(e)
	return e
}

// all yields the entries and their numbers.
func (l *entryList) all() iter.Seq2[int, *Entry] {
	return func(yield func(int, *Entry) bool) {
		var d decoder
		for i := range l.n {
			if i%perBlock == 0 {
				d.rest, d.path = l.block(i/perBlock), d.path[:0]
			}
			e := new(Entry)
			d.entry(e)
			if !yield(i, e) {
				return
			}
		}
	}
}
