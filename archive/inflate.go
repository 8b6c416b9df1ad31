package archive

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

// A format is how bytes are compressed.
type format uint8

const (
	plain format = iota
	gzipped
	zstandard
	xzipped
	bzipped
)

func (f format) String() string {
	return [...]string{"tar", "gzip", "zstd", "xz", "bzip2"}[f]
}

// magicSize is the number of bytes that sniff needs.
const magicSize = 6

// sniff tells how what begins with head is compressed.
func sniff(head []byte) format {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstandard
	case len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}):
		return zstandard // a skippable frame, with which seekable files begin
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return xzipped
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzipped
	}
	return plain
}

// maxWindow is how far back a zstd frame may refer, in bytes: what zstd itself
// takes without being asked for more.
const maxWindow = 128 << 20

// The default of Options.MaxUnpacked.
const (
	unpackedTimes = 20
	unpackedPlus  = 1 << 30
)

// inflate returns what is in in, unpacked. Bytes past the limit and broken
// compression end reading with an error of class ErrInvalid or ErrCorrupt.
func inflate(in *input, maxUnpacked int64) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	head, err := buffered.Peek(magicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f := sniff(head)
	if f == plain {
		return io.NopCloser(buffered), nil
	}
	r, err := decompress(f, buffered)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, corrupt(err))
	}
	limited := &inflater{r: r, f: f, in: in, most: maxUnpacked}
	again := bufio.NewReaderSize(limited, 64<<10)
	head, err = again.Peek(magicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, r.Close())
	}
	if inner := sniff(head); inner != plain {
		return nil, errors.Join(fmt.Errorf("it is compressed twice, %s within %s: %w", inner, f, content.ErrInvalid), r.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{again, r}, nil
}

// decompress returns the reader for format f.
func decompress(f format, r *bufio.Reader) (io.ReadCloser, error) {
	switch f {
	case gzipped:
		return gzip.NewReader(r)
	case zstandard:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case xzipped:
		d, err := xz.NewReader(&xzGuard{r: r, want: xzMagic, step: (*xzGuard).start})
		return io.NopCloser(d), err
	case bzipped:
		return io.NopCloser(bzip2.NewReader(r)), nil
	case plain:
	}
	return io.NopCloser(r), nil
}

// An inflater bounds what comes out of a decompressor.
type inflater struct {
	r    io.Reader
	f    format
	in   *input
	out  int64
	most int64
}

func (i *inflater) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	i.out += int64(n)
	most := i.most
	if most == 0 {
		most = unpackedTimes*i.in.read + unpackedPlus
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

// classify leaves what has a class, or is no fault of the archive, alone.
func classify(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is cut off: %w", content.ErrCorrupt)
	}
	return err
}
