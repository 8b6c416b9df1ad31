package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// A writer writes what a tree has.
type writer struct {
	tw  *tar.Writer
	buf []byte
}

func newWriter(w io.Writer) *writer { return &writer{tar.NewWriter(w), make([]byte, 64<<10)} }

// file writes a file, whose entry is h and body, under all its names.
func (w *writer) file(names []*node, h *tar.Header, body io.Reader) error {
	first := names[0]
	if first.folder != nil {
		return w.folder(first)
	}
	if err := w.folder(first.parent); err != nil {
		return err
	}
	if err := w.head(kept(h), first.path()); err != nil {
		return err
	}
	if _, err := io.CopyBuffer(w.tw, body, w.buf); err != nil {
		return err
	}
	for _, n := range names[1:] {
		if err := w.folder(n.parent); err != nil {
			return err
		}
		link := kept(h)
		link.Typeflag, link.Linkname, link.Size = tar.TypeLink, first.path(), 0
		if err := w.head(link, n.path()); err != nil {
			return err
		}
	}
	return nil
}

// folder writes n and what it is in, each once. The root is written where an
// entry tells what it is.
func (w *writer) folder(n *node) error {
	if n.folder.written {
		return nil
	}
	n.folder.written = true
	h := n.folder.header
	if n.parent == nil {
		if h == nil {
			return nil
		}
		return w.head(h, "./")
	}
	if err := w.folder(n.parent); err != nil {
		return err
	}
	if h == nil {
		h = &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)}
	}
	return w.head(h, n.path()+"/")
}

// rest writes the folders that nothing was written below of, and no entry tells of.
func (w *writer) rest(t *tree) error {
	var failed error
	t.root.each(func(n *node) {
		if n.folder != nil && failed == nil {
			failed = w.folder(n)
		}
	})
	return failed
}

func (w *writer) head(h *tar.Header, name string) error {
	h.Name = name
	err := w.tw.WriteHeader(h)
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) {
		return fmt.Errorf("no tar can say what it is: %w: %w", err, content.ErrInvalid)
	}
	return err
}

// kept returns what is written of an entry: all that tells what the file is, and
// nothing that tells how it was stored.
func kept(h *tar.Header) *tar.Header {
	k := &tar.Header{
		Typeflag:   h.Typeflag,
		Linkname:   h.Linkname,
		Size:       h.Size,
		Mode:       h.Mode & 0o7777,
		Uid:        h.Uid,
		Gid:        h.Gid,
		Uname:      h.Uname,
		Gname:      h.Gname,
		ModTime:    h.ModTime,
		Devmajor:   h.Devmajor,
		Devminor:   h.Devminor,
		PAXRecords: maps.Clone(h.PAXRecords),
	}
	maps.DeleteFunc(k.PAXRecords, func(key, _ string) bool { return !tellsOfFile(key) })
	if isRegular(h.Typeflag) {
		k.Typeflag = tar.TypeReg
	} else {
		k.Size = 0
	}
	if k.Typeflag != tar.TypeSymlink {
		k.Linkname = ""
	}
	if len(k.PAXRecords) > 0 || h.ModTime.Nanosecond() != 0 {
		k.Format = tar.FormatPAX // the others have whole seconds only
	}
	return k
}

// isRegular reports whether a tar has the bytes of a file of that type.
func isRegular(kind byte) bool {
	return kind == tar.TypeReg || kind == tar.TypeCont || kind == tar.TypeGNUSparse
}

// tellsOfFile reports whether a PAX record is about the file and not about the
// archive it is in: extended attributes, access lists, what Windows has.
func tellsOfFile(key string) bool {
	for _, prefix := range []string{"SCHILY.xattr.", "SCHILY.acl.", "LIBARCHIVE.xattr.", "LIBARCHIVE.creationtime", "MSWINDOWS."} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
