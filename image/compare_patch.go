package image

import (
	"bytes"
	"context"
	"path"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff"
)

// What is shown as the difference of texts.
const (
	maxPatched   = 256 << 10 // bytes of a file on either side
	maxPatchText = 8 << 20   // bytes of the files of all patches
)

// patch puts into files the difference of those that are small texts. Their layers
// are read once more for that, each up to the last such file in it.
func (c *comparer) patch(ctx context.Context, files []FileChange) error {
	patched := patchables(files)
	for side := range c.sides {
		for layer, entries := range c.missing(side, patched) {
			if err := c.fetch(ctx, side, layer, entries); err != nil {
				return err
			}
		}
	}
	for _, f := range patched {
		was, okA := c.text(f.Was)
		now, okB := c.text(f.Now)
		if okA && okB {
			f.Patch = udiff.Unified(label("a", f.Was, f.Path), label("b", f.Now, f.Path), was, now)
		}
	}
	return nil
}

// patchables returns the files whose texts may be compared, as many as may be.
func patchables(files []FileChange) []*FileChange {
	var all []*FileChange
	total := int64(0)
	for i := range files {
		if f := &files[i]; f.patchable() && total+f.bytes() <= maxPatchText {
			total += f.bytes()
			all = append(all, f)
		}
	}
	return all
}

// missing returns, by layer, what an image has of files and what is not kept yet.
func (c *comparer) missing(side int, files []*FileChange) map[int][]*Entry {
	wanted := map[int][]*Entry{}
	for _, f := range files {
		e := [2]*Entry{f.Was, f.Now}[side]
		if e == nil || e.Size == 0 {
			continue
		}
		if _, there := c.kept.get(e); !there {
			wanted[f.layers[side]] = append(wanted[f.layers[side]], e)
		}
	}
	return wanted
}

// patchable reports whether f is of small files whose bytes differ.
func (f *FileChange) patchable() bool {
	small := func(e *Entry) bool { return e == nil || e.Digest != "" && e.Size <= maxPatched }
	switch f.Difference {
	case OnlyA, OnlyB, Differs:
		return f.bytes() > 0 && small(f.Was) && small(f.Now) && (f.Difference != Differs || f.Aspects&AspectContent != 0)
	case Touched:
	}
	return false
}

// bytes returns how many bytes the files of f have.
func (f *FileChange) bytes() int64 {
	var n int64
	for _, e := range []*Entry{f.Was, f.Now} {
		if e != nil {
			n += e.Size
		}
	}
	return n
}

// text returns the bytes of a file that is kept, and whether they are text.
func (c *comparer) text(e *Entry) (string, bool) {
	if e == nil {
		return "", true
	}
	raw, _ := c.kept.get(e)
	return string(raw), utf8.Valid(raw) && bytes.IndexByte(raw, 0) < 0
}

// label returns what a patch calls a file of one side.
func label(side string, e *Entry, name string) string {
	if e == nil {
		return "/dev/null"
	}
	return path.Join(side, name)
}
