package image

import (
	"archive/tar"
	"fmt"
	"iter"
	"path"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Contents are what the tar of one layer has, without the bytes of its files.
type Contents struct {
	Layer digest.Digest // as it is stored

	// Table is the digest of the table of contents that the layer carries, where that
	// table told the contents: whoever made the image says so, and the tar was not
	// read. It is empty where all of the layer was read and verified.
	Table digest.Digest

	DiffID   digest.Digest // sha256 of the tar; empty where it was not read
	Unpacked int64         // bytes of the tar; 0 where it was not read

	entries entryList
}

// NewContents returns the contents of a layer that has those entries. Of digests those
// of regular files are kept, which must be sha256: a file that is not empty and has none
// is taken for a copy of no other.
func NewContents(entries ...Entry) *Contents {
	c := &Contents{}
	for i := range entries {
		c.entries.add(&entries[i])
	}
	return c
}

// Len returns how many entries the layer has.
func (c *Contents) Len() int { return c.entries.n }

// Entry returns an entry by its number, from 0, in the order of the tar. It is a copy,
// which is unpacked each time, after the paths of up to 15 entries before it: what needs
// most of the entries takes them from All.
func (c *Contents) Entry(i int) *Entry { return c.entries.at(i) }

// All yields copies of the entries, with their numbers, in the order of the tar.
func (c *Contents) All() iter.Seq2[int, *Entry] { return c.entries.all() }

// Size returns how many bytes the files of the layer have, as they are in the
// layer: names that stand there twice count twice.
func (c *Contents) Size() int64 { return c.entries.size }

// An Entry is one entry of a layer's tar.
type Entry struct {
	// Path is the name without needless slashes and dots, and without a slash at
	// either end; "" is the root. One with .. in it is in no file system.
	Path string

	Type    byte  // as in package tar; all kinds of regular files are tar.TypeReg
	Mode    int64 // permissions, setuid, setgid, sticky: 0o7777 at most
	UID     int
	GID     int
	Size    int64 // of a regular file, in bytes
	ModTime time.Time
	Link    string // where a symbolic link leads to; of a hard link the name it is another of, as it stands in the tar

	Major, Minor int64 // of a device

	Xattrs map[string]string // extended attributes, by name

	Digest digest.Digest // sha256 of the bytes of a regular file; empty of anything else, and where nobody knows

	at span
}

// A span is where in a layer the bytes of a file are, on their own. The zero span
// is of a file of which nobody knows.
type span struct {
	off  int64 // in the layer, where decompression can begin
	end  int64 // in the layer, where it is past the file
	skip int64 // decompressed bytes before the file
}

// sameBytes reports whether e and other are files that are known to have the same bytes.
func (e *Entry) sameBytes(other *Entry) bool { return e.Digest != "" && e.Digest == other.Digest }

// IsDir reports whether e is a folder.
func (e *Entry) IsDir() bool { return e.Type == tar.TypeDir }

// typeNames are what the types of files are called in machine output.
var typeNames = map[byte]string{
	tar.TypeDir: "dir", tar.TypeReg: "file", tar.TypeSymlink: "symlink", tar.TypeLink: "hardlink",
	tar.TypeChar: "char", tar.TypeBlock: "block", tar.TypeFifo: "fifo",
}

// TypeName returns what machine output calls the type of e.
func (e *Entry) TypeName() string {
	if name, ok := typeNames[e.Type]; ok {
		return name
	}
	return fmt.Sprintf("%q", e.Type)
}

// Whiteout returns the path that e removes of lower layers, and whether e is a
// whiteout at all. A mark that a folder is opaque is none.
func (e *Entry) Whiteout() (removed string, ok bool) {
	dir, base := path.Split(e.Path)
	name, ok := strings.CutPrefix(base, whiteout)
	if !ok || name == "" || strings.HasPrefix(base, aufsMeta) {
		return "", false
	}
	return dir + name, true
}

// Opaque returns the folder that e empties of what lower layers have in it, ""
// for the root, and whether e is such a mark.
func (e *Entry) Opaque() (folder string, ok bool) {
	dir, base := path.Split(e.Path)
	if base != opaque {
		return "", false
	}
	return strings.TrimSuffix(dir, "/"), true
}

// newEntry returns the entry of h, without the digest.
func newEntry(h *tar.Header) Entry {
	e := Entry{
		Path:    clean(h.Name),
		Type:    h.Typeflag,
		Mode:    h.Mode & 0o7777,
		UID:     h.Uid,
		GID:     h.Gid,
		ModTime: h.ModTime,
	}
	switch {
	case isRegular(h.Typeflag):
		e.Type, e.Size = tar.TypeReg, h.Size
	case h.Typeflag == tar.TypeSymlink, h.Typeflag == tar.TypeLink:
		e.Link = h.Linkname
	case h.Typeflag == tar.TypeChar, h.Typeflag == tar.TypeBlock:
		e.Major, e.Minor = h.Devmajor, h.Devminor
	}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, xattrRecord); ok {
			e.setXattr(name, value)
		}
	}
	return e
}

// xattrRecord is what the keys of extended attributes begin with in a tar.
const xattrRecord = "SCHILY.xattr."

func (e *Entry) setXattr(name, value string) {
	if e.Xattrs == nil {
		e.Xattrs = map[string]string{}
	}
	e.Xattrs[name] = value
}

// header returns e as it stands in a tar.
func (e *Entry) header() *tar.Header {
	h := &tar.Header{
		Typeflag: e.Type,
		Name:     e.Path,
		Linkname: e.Link,
		Size:     e.Size,
		Mode:     e.Mode,
		Uid:      e.UID,
		Gid:      e.GID,
		ModTime:  e.ModTime,
		Devmajor: e.Major,
		Devminor: e.Minor,
	}
	for name, value := range e.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[xattrRecord+name] = value
	}
	return h
}

// clean returns a name of a tar as an [Entry] has it.
func clean(name string) string {
	trimmed := strings.Trim(name, "/")
	if trimmed != "" && trimmed != "." && !strings.Contains(trimmed, "//") &&
		!strings.HasPrefix(trimmed, "./") && !strings.Contains(trimmed, "/./") && !strings.HasSuffix(trimmed, "/.") {
		return trimmed
	}
	return strings.Join(elements(name), "/")
}
