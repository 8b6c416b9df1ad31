package image

import (
	"archive/tar"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// contentsMagic begins contents on disk, before they are compressed. Another
// version has another number. docs/format/contents.md tells the rest.
const contentsMagic = "wherry contents 1\n"

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

// encode returns c as it is on disk.
func (c *Contents) encode() ([]byte, error) {
	e := encoder{buf: []byte(contentsMagic)}
	e.text(c.Layer.String())
	e.text(c.Table.String())
	e.text(c.DiffID.String())
	e.number(c.Unpacked)
	e.number(int64(len(c.Entries)))
	last := ""
	for i := range c.Entries {
		e.entry(&c.Entries[i], last)
		last = c.Entries[i].Path
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, err
	}
	return z.EncodeAll(e.buf, nil), z.Close()
}

// An encoder writes numbers as varints, and texts with their length in front.
type encoder struct{ buf []byte }

func (e *encoder) number(n int64) { e.buf = binary.AppendVarint(e.buf, n) }

func (e *encoder) text(s string) {
	e.number(int64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) entry(f *Entry, last string) {
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
		sum, _ := hex.DecodeString(f.Digest.Encoded()) // it is a sha256 of ours
		e.buf = append(e.buf, sum...)
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
	rest, ok := strings.CutPrefix(string(plain), contentsMagic)
	if !ok {
		return nil, errNoContents
	}
	d := &decoder{rest: rest}
	c := &Contents{Layer: digest.Digest(d.text()), Table: digest.Digest(d.text()), DiffID: digest.Digest(d.text()), Unpacked: d.number()}
	n := d.number()
	const least = 8 // bytes of an entry
	if n < 0 || n > maxListed || n > int64(len(d.rest)/least) {
		return nil, errNoContents
	}
	c.Entries = make([]Entry, n)
	last := ""
	for i := range c.Entries {
		d.entry(&c.Entries[i], last)
		last = c.Entries[i].Path
	}
	if d.bad || d.rest != "" {
		return nil, errNoContents
	}
	return c, nil
}

// A decoder gives zero values once something was wrong.
type decoder struct {
	rest string
	bad  bool
}

func (d *decoder) number() int64 {
	var n uint64
	for i := range min(len(d.rest), binary.MaxVarintLen64) {
		b := d.rest[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			d.rest = d.rest[i+1:]
			return int64(n>>1) ^ -int64(n&1)
		}
	}
	d.fail()
	return 0
}

// take returns the next n bytes.
func (d *decoder) take(n int64) string {
	if n < 0 || n > int64(len(d.rest)) {
		d.fail()
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) text() string { return d.take(d.number()) }

func (d *decoder) fail() { d.bad, d.rest = true, "" }

func (d *decoder) entry(f *Entry, last string) {
	head := d.take(2)
	if d.bad {
		return
	}
	flags := head[1]
	f.Type = head[0]
	f.Path = d.path(last)
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
		f.Size = d.number()
		f.Digest = digest.NewDigestFromBytes(digest.SHA256, []byte(d.take(32)))
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

// path returns a path, of which what it has in common with the last one is not
// there again.
func (d *decoder) path(last string) string {
	shared := d.number()
	if shared < 0 || shared > int64(len(last)) {
		d.fail()
		return ""
	}
	if shared == 0 {
		return d.text()
	}
	return last[:shared] + d.text()
}
