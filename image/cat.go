package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/packed"
	"github.com/wherry-dev/wherry/internal/spool"
)

// ErrNotFile is a path that leads to something without bytes: a folder, a device.
var ErrNotFile = errors.New("not a regular file")

// Cat writes the bytes of the file that name leads to in the single image m of
// src, and returns which file that is. Links are followed within the image, hard
// links too; what an upper layer removes is not there.
//
// Layers are read from the top, and none below the one that has the file. Of each
// that is read what it has is kept in the cache. Where a cache or a table of contents
// tells where the file is, of its layer only what the file needs is read. Where
// layers could be taken in several ways without those below them, as when one has
// files in what may be a link, all are read.
//
// Nothing is written before it is verified: by the digest of the layer, all of
// which is read then, or by that of the file where its layer is known. Until then
// a file is kept in memory or, where it is large, in [Reader.TempDir].
// [Reader.Unverified] does without.
//
// What is not there is [ErrNoSuchFile], a file that is called a folder too, as in
// etc/passwd/, of which nothing is fetched; a folder or a device is [ErrNotFile];
// wrong bytes are [content.ErrCorrupt].
func (r Reader) Cat(ctx context.Context, w io.Writer, src content.Source, m content.Manifest, name string) (_ File, err error) {
	if _, err := configOf(m); err != nil {
		return File{}, err
	}
	c := &cat{Reader: r, src: src, name: name, folder: isFolderName(name), w: w, layers: m.Layers(), listed: new(atomic.Int64)}
	c.held.dir = r.TempDir
	defer func() { err = errors.Join(err, c.held.close()) }()
	f, err := c.search(ctx)
	if err != nil {
		return File{}, err
	}
	if c.folder && !f.IsDir() {
		return f, fmt.Errorf("%.200q is no folder: %w", name, ErrNoSuchFile)
	}
	if f.Entry == nil || f.Entry.Type != tar.TypeReg {
		return f, fmt.Errorf("%.200q is a %s: %w", f.Path, noFile(f), ErrNotFile)
	}
	if f.Entry.Size == 0 || c.begun {
		return f, nil
	}
	if !c.holds(f) {
		if err := c.fetch(ctx, f); err != nil {
			return f, fmt.Errorf("layer %s: %.200q: %w", c.layers[f.Layer].Digest, f.Path, err)
		}
	}
	return f, c.held.pour(w)
}

// isFolderName reports whether what is called name can only be a folder.
func isFolderName(name string) bool {
	_, last := path.Split(name)
	return last == "" || last == "." || last == ".."
}

// noFile returns what people call f, which is no regular file.
func noFile(f File) string {
	if f.IsDir() {
		return "folder"
	}
	switch f.Entry.Type {
	case tar.TypeFifo:
		return "pipe"
	case tar.TypeChar, tar.TypeBlock:
		return "device"
	}
	return "special file"
}

// A cat looks for one file.
type cat struct {
	Reader

	src    content.Source
	name   string
	folder bool                 // the name is that of a folder
	layers []ocispec.Descriptor // the lowest first
	listed *atomic.Int64

	known uppermost
	held  held    // a file that was met with while a layer was read
	its   *FileID // nil where none is held

	w     io.Writer // of what is not to be verified
	begun bool      // it was begun to write there

	passed File // that was written so
}

// holds reports whether the bytes of f are held, and verified.
func (c *cat) holds(f File) bool { return c.its != nil && *c.its == f.ID() }

// search returns the file that the name leads to.
func (c *cat) search(ctx context.Context) (File, error) {
	p, hops := strings.Join(elements(c.name), "/"), 0
	for len(c.known.all) < len(c.layers) {
		if p == "" {
			return File{Layer: -1, Number: -1}, nil
		}
		a := c.known.find(p)
		switch a.verdict {
		case found:
			layer := len(c.layers) - 1 - a.layer
			return File{Path: p, Layer: layer, Number: a.entry, Entry: c.known.all[a.layer].Entry(a.entry)}, nil
		case gone:
			return File{}, fmt.Errorf("%.200q: %w", c.name, ErrNoSuchFile)
		case moved:
			if hops++; hops > maxHops {
				return File{}, fmt.Errorf("%.200q: %w", c.name, errCircle)
			}
			p = a.path
			continue
		case more, unsure:
		}
		err := c.next(ctx, p, a.verdict)
		if errors.Is(err, errEnough) {
			return c.passed, nil
		}
		if err != nil {
			return File{}, err
		}
	}
	return c.merged()
}

// next reads the highest layer that is not known, and holds what it has at p, of
// which those above it say v. It is errEnough where that was written.
func (c *cat) next(ctx context.Context, p string, v verdict) error {
	n := len(c.layers) - 1 - len(c.known.all)
	d := c.layers[n]
	if err := checkLayer(d); err != nil {
		return err
	}
	contents, err := c.Reader.known(ctx, c.src, d, c.listed)
	if contents == nil && err == nil {
		contents, err = c.readWhole(ctx, n, p, v)
	}
	if err != nil {
		return fmt.Errorf("layer %s: %w", d.Digest, err)
	}
	c.known.all = append(c.known.all, newListed(contents))
	return nil
}

// readWhole reads layer n, and holds what it has at p.
func (c *cat) readWhole(ctx context.Context, n int, p string, v verdict) (*Contents, error) {
	for i, l := range c.known.all {
		if l.Layer == c.layers[n].Digest { // the image has it twice
			return c.known.all[i].Contents, nil
		}
	}
	keep := capture{
		begin: c.drop,
		take: func(i int, e *Entry) (io.Writer, error) {
			if c.folder || e.Path != p {
				return nil, nil //nolint:nilnil // nobody wants it
			}
			if err := c.drop(); err != nil {
				return nil, err
			}
			c.its = &FileID{n, i}
			return &c.held, nil
		},
	}
	if c.Unverified && v == more && !c.folder {
		keep.pass = func(e *Entry, body io.Reader) error { return c.pass(n, p, e, body) }
	}
	return c.whole(ctx, c.src, c.layers[n], c.listed, keep)
}

// pass writes e, which is of layer n, where it is what is looked for, and ends the
// reading with errEnough.
func (c *cat) pass(n int, p string, e *Entry, body io.Reader) error {
	if e.Path != p {
		return nil
	}
	c.begun, c.passed = true, File{Path: p, Layer: n, Entry: e}
	if _, err := io.Copy(c.w, body); err != nil {
		return err
	}
	return errEnough
}

// drop forgets what is held. What was written cannot be taken back.
func (c *cat) drop() error {
	if c.begun {
		return fmt.Errorf("what was written already is wrong: %w", content.ErrCorrupt)
	}
	c.its = nil
	return c.held.reset()
}

// merged looks for the name in all layers.
func (c *cat) merged() (File, error) {
	all := make([]*Contents, len(c.layers))
	for i, l := range c.known.all {
		all[len(all)-1-i] = l.Contents
	}
	t, err := Merge(all)
	if err != nil {
		return File{}, err
	}
	return t.Follow(c.name)
}

// fetch reads f, which is of a layer that is known, and holds it.
func (c *cat) fetch(ctx context.Context, f File) error {
	d := c.layers[f.Layer]
	return content.Reread(ctx, content.NewBlob(c.src, d), func() error {
		err := errors.ErrUnsupported
		if f.Entry.at != (span{}) {
			err = c.fetchSpan(ctx, d, f.Entry)
		}
		if errors.Is(err, errors.ErrUnsupported) {
			err = c.fetchUpTo(ctx, d, f)
		}
		return err
	})
}

// fetchSpan reads no more of d than has e in it.
func (c *cat) fetchSpan(ctx context.Context, d ocispec.Descriptor, e *Entry) error {
	rc, err := c.src.Open(ctx, d, content.Range{Off: e.at.off, Len: e.at.end - e.at.off})
	if err != nil {
		return err
	}
	defer rc.Close()
	in := packed.NewInput(ctx, rc)
	unpacked, err := packed.UnpackPart(in)
	if err != nil {
		return in.Blame(err)
	}
	defer unpacked.Close()
	if _, err := io.CopyN(io.Discard, unpacked, e.at.skip); err != nil {
		return in.Blame(cutOff(err))
	}
	return in.Blame(c.hold(unpacked, e))
}

// cutOff gives the end of what should go on its class.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("it is not where the table of contents says: %w", content.ErrCorrupt)
	}
	return err
}

// errEnough ends the reading of a layer.
var errEnough = errors.New("it was found")

// fetchUpTo reads d up to the end of f.
func (c *cat) fetchUpTo(ctx context.Context, d ocispec.Descriptor, f File) error {
	contents := c.known.all[len(c.layers)-1-f.Layer].Contents
	i := -1
	err := (layer{Descriptor: d}).read(ctx, c.src, c.MaxUnpacked, io.Discard, func(h *tar.Header, body io.Reader) error {
		if h.Typeflag == tar.TypeXGlobalHeader {
			return nil
		}
		i++
		// A table need not have the entries in the order of the tar.
		its := i == f.Number
		if contents.Table != "" {
			its = isRegular(h.Typeflag) && clean(h.Name) == f.Entry.Path
		}
		if !its {
			return nil
		}
		if err := c.hold(body, f.Entry); err != nil {
			return err
		}
		return errEnough
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("the layer does not have it: %w", content.ErrCorrupt)
	}
	return err
}

// hold holds the bytes of e, which come first of r, and verifies them.
func (c *cat) hold(r io.Reader, e *Entry) error {
	if err := c.held.reset(); err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.CopyN(io.MultiWriter(&c.held, sum), r, e.Size)
	if errors.Is(err, io.EOF) {
		err = nil // Got and Size tell
	}
	if err != nil {
		return err
	}
	if got := digest.NewDigest(digest.SHA256, sum); got != e.Digest || n != e.Size {
		return &content.MismatchError{Want: ocispec.Descriptor{Digest: e.Digest, Size: e.Size}, Got: got, Size: n}
	}
	return nil
}

// A held is bytes that wait to be verified: in memory, or in a temporary file
// where there are many.
type held struct {
	dir  string
	buf  bytes.Buffer
	file *spool.File
}

// maxHeld is how many bytes are held in memory.
const maxHeld = 1 << 20

// Write appends p.
func (h *held) Write(p []byte) (int, error) {
	if h.file == nil && h.buf.Len()+len(p) <= maxHeld {
		return h.buf.Write(p)
	}
	if h.file == nil {
		f, err := spool.Create(h.dir)
		if err != nil {
			return 0, err
		}
		h.file = f
		if _, err := h.buf.WriteTo(f); err != nil {
			return 0, err
		}
	}
	return h.file.Write(p)
}

// reset forgets what was written.
func (h *held) reset() error {
	h.buf.Reset()
	return h.close()
}

func (h *held) close() error {
	if h.file == nil {
		return nil
	}
	err := h.file.Close()
	h.file = nil
	return err
}

// pour writes all to w.
func (h *held) pour(w io.Writer) error {
	if h.file == nil {
		_, err := w.Write(h.buf.Bytes())
		return err
	}
	if _, err := h.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(w, h.file)
	return err
}
