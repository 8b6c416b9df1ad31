package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// contentsMagic begins contents on disk, before they are compressed. Another
// version has another number. docs/format/contents.md tells the rest.
const contentsMagic = "wherry contents 2\n"

// maxEncoded is how many bytes contents on disk may have once they are unpacked.
const maxEncoded = 1 << 30

// What an entry on disk has beside what all have.
const (
	hasSize = 1 << iota // with the digest: a file that is not empty
	hasLink
	hasDevice
	hasXattrs
	hasSpan
	hasNanos
)

var emptyFile = digest.FromBytes(nil)

// unknownSum stands for the digest of a file of which nobody knows it: no bytes have it.
var unknownSum [sha256.Size]byte

// encode returns c as it is on disk.
func (c *Contents) encode() ([]byte, error) {
	head := encoder{buf: []byte(contentsMagic)}
	head.text(c.Layer.String())
	head.text(c.Table.String())
	head.text(c.DiffID.String())
	head.number(c.Unpacked)
	head.number(int64(c.entries.n))
	parts := append([][]byte{head.buf}, c.entries.blocks...)
	parts = append(parts, c.entries.tail.buf)
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	var stored bytes.Buffer
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, err
	}
	z.ResetContentSize(&stored, int64(size)) // that much is made room for at once when it is read
	for _, part := range parts {
		if _, err := z.Write(part); err != nil {
			return nil, err
		}
	}
	err = z.Close()
	return stored.Bytes(), err
}

// An encoder writes numbers as varints, and texts with their length in front.
type encoder struct{ buf []byte }

func (e *encoder) number(n int64) { e.buf = binary.AppendVarint(e.buf, n) }

func (e *encoder) text(s string) {
	e.number(int64(len(s)))
	e.buf = append(e.buf, s...)
}

// entry writes f, with its length in front, after an entry of path last.
func (e *encoder) entry(f *Entry, last string) {
	var body [256]byte // of most
	parts := encoder{buf: body[:0]}
	parts.parts(f, last)
	e.number(int64(len(parts.buf)))
	e.buf = append(e.buf, parts.buf...)
}

func (e *encoder) parts(f *Entry, last string) {
	shared := 0
	for shared < min(len(last), len(f.Path)) && last[shared] == f.Path[shared] {
		shared++
	}
	flags := f.flags()
	e.buf = append(e.buf, f.Type, flags)
	e.number(int64(shared))
	e.text(f.Path[shared:])
	e.number(f.Mode)
	e.number(int64(f.UID))
	e.number(int64(f.GID))
	e.number(f.ModTime.Unix())
	if flags&hasNanos != 0 {
		e.number(int64(f.ModTime.Nanosecond()))
	}
	if flags&hasSize != 0 {
		e.number(f.Size)
		var sum [sha256.Size]byte
		if isSHA256(f.Digest) {
			_, _ = hex.Decode(sum[:], []byte(f.Digest.Encoded()))
		}
		e.buf = append(e.buf, sum[:]...)
	}
	if flags&hasLink != 0 {
		e.text(f.Link)
	}
	if flags&hasDevice != 0 {
		e.number(f.Major)
		e.number(f.Minor)
	}
	if flags&hasXattrs != 0 {
		e.number(int64(len(f.Xattrs)))
		for _, name := range slices.Sorted(maps.Keys(f.Xattrs)) {
			e.text(name)
			e.text(f.Xattrs[name])
		}
	}
	if flags&hasSpan != 0 {
		e.number(f.at.off)
		e.number(f.at.end - f.at.off)
		e.number(f.at.skip)
	}
}

// flags tells which parts of f are there.
func (f *Entry) flags() byte {
	var flags byte
	for _, part := range []struct {
		flag byte
		has  bool
	}{
		{hasSize, f.Size > 0},
		{hasLink, f.Link != ""},
		{hasDevice, f.Major != 0 || f.Minor != 0},
		{hasXattrs, len(f.Xattrs) > 0},
		{hasSpan, f.at != span{}},
		{hasNanos, f.ModTime.Nanosecond() != 0},
	} {
		if part.has {
			flags |= part.flag
		}
	}
	return flags
}

// errNoContents is that bytes are no contents that this version can read.
var errNoContents = errors.New("these are no contents of a layer")

// decodeContents is the reverse of encode.
func decodeContents(raw []byte) (*Contents, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxEncoded))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	plain, err := z.DecodeAll(raw, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoContents, err)
	}
	rest, ok := bytes.CutPrefix(plain, []byte(contentsMagic))
	if !ok {
		return nil, errNoContents
	}
	d := &decoder{rest: rest}
	c := &Contents{Layer: digest.Digest(d.text()), Table: digest.Digest(d.text()), DiffID: digest.Digest(d.text()), Unpacked: d.number()}
	n := d.number()
	const least = 9 // bytes of an entry
	if n < 0 || n > maxListed || n > int64(len(d.rest)/least) {
		return nil, errNoContents
	}
	if c.entries = d.entries(int(n)); d.bad || len(d.rest) > 0 {
		return nil, errNoContents
	}
	return c, nil
}

// A decoder gives zero values once something was wrong.
type decoder struct {
	rest []byte
	path []byte // of the last entry
	bad  bool
}

func (d *decoder) number() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// take returns the next n bytes.
func (d *decoder) take(n int64) []byte {
	if n < 0 || n > int64(len(d.rest)) {
		d.fail()
		return nil
	}
	p := d.rest[:n:n]
	d.rest = d.rest[n:]
	return p
}

func (d *decoder) text() string { return string(d.take(d.number())) }

func (d *decoder) fail() { d.bad, d.rest = true, nil }

// entries returns the next n entries, which stay where they are.
func (d *decoder) entries(n int) entryList {
	var l entryList
	for l.n < n && !d.bad {
		d.path = d.path[:0]
		begin := d.rest
		in := min(perBlock, n-l.n)
		var e Entry
		for range in {
			e = Entry{}
			d.entry(&e)
			l.size += e.Size
		}
		block := begin[:len(begin)-len(d.rest)]
		l.n += in
		if l.n < n {
			l.blocks = append(l.blocks, block)
			continue
		}
		l.tail.buf, l.last = block, e.Path
	}
	return l
}

// skip reads the path of an entry, and no more of it.
func (d *decoder) skip() {
	body := decoder{rest: d.take(d.number()), path: d.path}
	body.take(2)
	body.readPath()
	d.path = body.path
}

// entry reads an entry into f, which is zero.
func (d *decoder) entry(f *Entry) {
	body := decoder{rest: d.take(d.number()), path: d.path}
	body.parts(f)
	d.path = body.path
	if body.bad || len(body.rest) > 0 {
		d.fail()
	}
}

func (d *decoder) parts(f *Entry) {
	head := d.take(2)
	if d.bad {
		return
	}
	flags := head[1]
	f.Type = head[0]
	d.readPath()
	f.Path = string(d.path)
	f.Mode = d.number()
	f.UID, f.GID = int(d.number()), int(d.number())
	sec, nanos := d.number(), int64(0)
	if flags&hasNanos != 0 {
		nanos = d.number()
	}
	f.ModTime = time.Unix(sec, nanos)
	if f.Type == tar.TypeReg {
		f.Digest = emptyFile
	}
	if flags&hasSize != 0 {
		f.Size, f.Digest = d.number(), ""
		if sum := d.take(sha256.Size); !bytes.Equal(sum, unknownSum[:]) {
			f.Digest = digest.NewDigestFromBytes(digest.SHA256, sum)
		}
	}
	if flags&hasLink != 0 {
		f.Link = d.text()
	}
	if flags&hasDevice != 0 {
		f.Major, f.Minor = d.number(), d.number()
	}
	if flags&hasXattrs != 0 {
		for n := d.number(); n > 0 && !d.bad; n-- {
			f.setXattr(d.text(), d.text())
		}
	}
	if flags&hasSpan != 0 {
		f.at.off = d.number()
		f.at.end = f.at.off + d.number()
		f.at.skip = d.number()
	}
}

// readPath reads a path, of which what it has in common with the last one is not
// there again.
func (d *decoder) readPath() {
	shared := d.number()
	if shared < 0 || shared > int64(len(d.path)) {
		d.fail()
		return
	}
	d.path = append(d.path[:shared], d.take(d.number())...)
}
