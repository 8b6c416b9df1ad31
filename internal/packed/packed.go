// Package packed tells by their first bytes how bytes are compressed, and packs
// and unpacks them. What comes from outside is unpacked within limits: of how
// much comes out, and of the memory that a decoder is made to take.
package packed

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/wherry-dev/wherry/content"
)

// A Format is how bytes are compressed.
type Format uint8

// The formats.
const (
	Plain Format = iota // not at all
	Gzip
	Zstd
	XZ
	Bzip2
)

// String returns what messages call the format.
func (f Format) String() string {
	return [...]string{"tar", "gzip", "zstd", "xz", "bzip2"}[f]
}

// MagicSize is the number of bytes that Sniff needs.
const MagicSize = 6

// Sniff tells how what begins with head is compressed.
func Sniff(head []byte) Format {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return Gzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return Zstd
	case len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		return Zstd // a skippable frame, with which seekable files begin
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return XZ
	case bytes.HasPrefix(head, []byte("BZh")):
		return Bzip2
	}
	return Plain
}

// maxWindow is how far back a zstd frame may refer, in bytes: what zstd itself
// takes without being asked for more.
const maxWindow = 128 << 20

// What may come out by default: so many times what went in, and so much more.
const (
	unpackedTimes = 20
	unpackedPlus  = 1 << 30
)

// Most returns how many bytes may come out of size bytes by default.
func Most(size int64) int64 { return unpackedTimes*size + unpackedPlus }

// Unpack returns what is in in, unpacked where it is compressed. More than most
// bytes end reading with an error of class [content.ErrInvalid], and so does
// compression within compression; broken compression is [content.ErrCorrupt]. A
// most of 0 means 20 times what was read and 1 GiB, less than 0 any number.
func Unpack(in *Input, most int64) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	head, err := buffered.Peek(MagicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f := Sniff(head)
	if f == Plain {
		return io.NopCloser(buffered), nil
	}
	r, err := decompress(f, buffered)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, corrupt(err))
	}
	limited := &inflater{r: r, f: f, in: in, most: most}
	again := bufio.NewReaderSize(limited, 64<<10)
	head, err = again.Peek(MagicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, r.Close())
	}
	if inner := Sniff(head); inner != Plain {
		return nil, errors.Join(fmt.Errorf("it is compressed twice, %s within %s: %w", inner, f, content.ErrInvalid), r.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{again, r}, nil
}

// UnpackPart returns what is in in, a part that begins where compression does:
// whatever comes out is not looked at, and may be compressed itself. Bytes that
// are not compressed are [content.ErrCorrupt], and so is broken compression.
func UnpackPart(in *Input) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	head, err := buffered.Peek(MagicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f := Sniff(head)
	if f == Plain {
		return nil, fmt.Errorf("no compression begins there: %w", content.ErrCorrupt)
	}
	r, err := decompress(f, buffered)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, corrupt(err))
	}
	return struct {
		io.Reader
		io.Closer
	}{&inflater{r: r, f: f, in: in, most: -1}, r}, nil
}

// An Input is what is unpacked. It remembers its own failure, so that a broken
// pipe is not taken for broken compression.
type Input struct {
	ctx  context.Context //nolint:containedctx // io.Reader has none
	r    io.Reader
	read int64
	err  error
}

// NewInput returns an Input of r, which stops when ctx is done.
func NewInput(ctx context.Context, r io.Reader) *Input { return &Input{ctx: ctx, r: r} }

// Read implements [io.Reader].
func (in *Input) Read(p []byte) (int, error) {
	if in.ctx.Err() != nil {
		in.err = context.Cause(in.ctx)
		return 0, in.err
	}
	n, err := in.r.Read(p)
	in.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		in.err = err
	}
	return n, err
}

// Blame returns the failure of the input if there was one, else err.
func (in *Input) Blame(err error) error {
	if in.err != nil {
		return in.err
	}
	return err
}

// decompress returns the reader for format f.
func decompress(f Format, r *bufio.Reader) (io.ReadCloser, error) {
	switch f {
	case Gzip:
		return gzip.NewReader(r)
	case Zstd:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case XZ:
		d, err := xz.NewReader(&xzGuard{r: r, want: xzMagic, step: (*xzGuard).start})
		return io.NopCloser(d), err
	case Bzip2:
		return io.NopCloser(bzip2.NewReader(r)), nil
	case Plain:
	}
	return io.NopCloser(r), nil
}

// An inflater bounds what comes out of a decompressor.
type inflater struct {
	r    io.Reader
	f    Format
	in   *Input
	out  int64
	most int64
}

func (i *inflater) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	i.out += int64(n)
	most := i.most
	if most == 0 {
		most = Most(i.in.read)
	}
	if most >= 0 && i.out > most {
		return 0, fmt.Errorf("%s: it unpacks to more than %d bytes: %w", i.f, most, content.ErrInvalid)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("%s: %w", i.f, corrupt(err))
	}
	return n, err
}

// corrupt gives an error of a decompressor its class: over a limit, or broken.
func corrupt(err error) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("window of more than %d bytes: %w", int64(maxWindow), content.ErrInvalid)
	case errors.Is(err, content.ErrInvalid), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("it is cut off: %w", content.ErrCorrupt)
	}
	return fmt.Errorf("%w: %w", err, content.ErrCorrupt)
}
