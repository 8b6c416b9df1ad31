package image

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// A tableEntry is an entry of a table: both formats have these fields.
type tableEntry struct {
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Link        string            `json:"linkName"`
	Mode        int64             `json:"mode"`
	Size        int64             `json:"size"`
	UID         int               `json:"uid"`
	GID         int               `json:"gid"`
	ModTime     string            `json:"modtime"`
	Major       int64             `json:"devMajor"`
	Minor       int64             `json:"devMinor"`
	Xattrs      map[string][]byte `json:"xattrs"`
	Digest      digest.Digest     `json:"digest"`
	Offset      int64             `json:"offset"`
	InnerOffset int64             `json:"innerOffset"`
	EndOffset   int64             `json:"endOffset"`
}

// listTable lists the entries of a table, which r gives as JSON. end is where in
// the layer what the table tells of is over.
func (l *lister) listTable(r io.Reader, end int64) error {
	limited := &allowance{r: r, left: maxTableEntry}
	dec := json.NewDecoder(limited)
	if err := intoEntries(dec); err != nil {
		return unreadable(err)
	}
	p := placer{end: end}
	for dec.More() {
		var e tableEntry
		limited.left = maxTableEntry
		if err := dec.Decode(&e); err != nil {
			return unreadable(err)
		}
		if err := l.listEntry(&e, &p); err != nil {
			return fmt.Errorf("entry %.200q: %w", e.Name, err)
		}
	}
	if _, err := dec.Token(); err != nil { // it is cut off
		return unreadable(err)
	}
	l.entries = p.place(&l.entries)
	return nil
}

// An allowance is a reader that fails where more is read at a stretch than may be.
type allowance struct {
	r    io.Reader
	left int64
	all  int64
}

func (a *allowance) Read(p []byte) (int, error) {
	n, err := a.r.Read(p[:min(int64(len(p)), a.left+1)])
	a.left -= int64(n)
	a.all += int64(n)
	if a.left < 0 || a.all > maxTableJSON {
		return 0, fmt.Errorf("an entry of more than %d bytes, or more than %d for all: %w", int64(maxTableEntry), int64(maxTableJSON), content.ErrInvalid)
	}
	return n, err
}

// intoEntries reads a table up to its first entry.
func intoEntries(dec *json.Decoder) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("no table: %w", content.ErrInvalid)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if key == "entries" {
			t, err := dec.Token()
			if err != nil {
				return err
			}
			if t != json.Delim('[') {
				return fmt.Errorf("no entries: %w", content.ErrInvalid)
			}
			return nil
		}
		var other json.RawMessage // version comes first
		if err := dec.Decode(&other); err != nil {
			return err
		}
	}
	return fmt.Errorf("no entries: %w", content.ErrInvalid)
}

// listEntry lists e; a chunk is a part of the file before it.
func (l *lister) listEntry(e *tableEntry, p *placer) error {
	if e.Type == "chunk" {
		if l.entries.n == 0 {
			return fmt.Errorf("a chunk of nothing: %w", content.ErrInvalid)
		}
		return p.note(l.entries.n-1, e)
	}
	h, err := e.header()
	if err != nil {
		return err
	}
	listed, err := l.admitted(h)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeReg {
		if e.Size == 0 && e.Digest == "" {
			e.Digest = emptyFile
		}
		if !isSHA256(e.Digest) {
			return fmt.Errorf("it has no digest: %w", content.ErrInvalid)
		}
		listed.Digest = e.Digest
	}
	l.entries.add(listed)
	if h.Typeflag != tar.TypeReg || e.Size == 0 {
		return nil
	}
	return p.note(l.entries.n-1, e)
}

// header returns e as it stands in the tar.
func (e *tableEntry) header() (*tar.Header, error) {
	kinds := map[string]byte{
		"dir": tar.TypeDir, "reg": tar.TypeReg, "symlink": tar.TypeSymlink, "hardlink": tar.TypeLink,
		"char": tar.TypeChar, "block": tar.TypeBlock, "fifo": tar.TypeFifo,
	}
	kind, ok := kinds[e.Type]
	if !ok {
		return nil, fmt.Errorf("it is of type %.20q: %w", e.Type, content.ErrInvalid)
	}
	// JSON has no bytes that are no UTF-8: whoever wrote the table has lost them.
	if e.Size < 0 || strings.ContainsAny(e.Name+e.Link, "\x00\uFFFD") {
		return nil, fmt.Errorf("a name or a size that no tar has: %w", content.ErrInvalid)
	}
	h := &tar.Header{
		Typeflag: kind, Name: e.Name, Linkname: e.Link, Size: e.Size, Mode: e.Mode, Uid: e.UID, Gid: e.GID,
		Devmajor: e.Major, Devminor: e.Minor, ModTime: time.Unix(0, 0),
	}
	if e.ModTime != "" {
		t, err := time.Parse(time.RFC3339Nano, e.ModTime)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, content.ErrInvalid)
		}
		h.ModTime = t
	}
	for name, value := range e.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[xattrRecord+name] = string(value)
	}
	return h, nil
}

// A placer works out where the files of a table are. A tar is one stream: what
// comes out from where the first chunk of a file begins is the file, however many
// chunks it has.
type placer struct {
	end    int64 // of all files, in the layer
	starts []int64
	files  []placed
}

// A placed is where a file begins, and where its last chunk does.
type placed struct {
	entry            int
	off, inner, last int64
}

// note takes down where e is, which is a chunk of a file.
func (p *placer) note(entry int, e *tableEntry) error {
	if e.Offset < 0 || e.InnerOffset < 0 || e.Offset >= p.end {
		return fmt.Errorf("it lies outside of the layer: %w", content.ErrInvalid)
	}
	if len(p.starts) >= maxListed {
		return fmt.Errorf("more than %d chunks: %w", maxListed, content.ErrInvalid)
	}
	p.starts = append(p.starts, e.Offset)
	if last := len(p.files) - 1; last >= 0 && p.files[last].entry == entry {
		p.files[last].last = max(p.files[last].last, e.Offset)
		return nil
	}
	p.files = append(p.files, placed{entry, e.Offset, e.InnerOffset, e.Offset})
	return nil
}

// place returns the entries, each of which says where it is: up to where the next
// chunk begins.
func (p *placer) place(entries *entryList) entryList {
	slices.Sort(p.starts)
	var all entryList
	files := p.files
	for n, e := range entries.all() {
		if len(files) > 0 && files[0].entry == n {
			e.at = p.span(files[0])
			files = files[1:]
		}
		all.add(e)
	}
	return all
}

// span returns where f is.
func (p *placer) span(f placed) span {
	i, _ := slices.BinarySearch(p.starts, f.last+1)
	end := p.end
	if i < len(p.starts) {
		end = p.starts[i]
	}
	return span{off: f.off, end: end, skip: f.inner}
}

// A countedHash counts what it hashes.
type countedHash struct {
	hash.Hash

	n int64
}

func (c *countedHash) Write(p []byte) (int, error) {
	n, err := c.Hash.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *countedHash) reset() {
	c.Reset()
	c.n = 0
}
