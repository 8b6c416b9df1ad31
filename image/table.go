package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// The annotations of layers that carry a table of contents.
// https://github.com/containerd/stargz-snapshotter/blob/v0.19.1/docs/estargz.md
// https://github.com/containers/storage/blob/v1.59.1/docs/containers-storage-zstd-chunked.md
const (
	stargzAnnotation  = "containerd.io/snapshot/stargz/toc.digest"
	chunkedAnnotation = "zstd-chunked.manifest-checksum"
	chunkedPosition   = "zstd-chunked.manifest-position"
)

// chunkedPrefixes stand before the annotations of zstd:chunked: those that are
// written today, and those that stargz-snapshotter writes.
var chunkedPrefixes = []string{"io.github.containers.", "io.containers."}

// What a table may have: real ones have 350 bytes for each entry, and a tenth of
// that as they are stored.
const (
	maxTable      = 64 << 20  // bytes in the layer
	maxTableJSON  = 512 << 20 // bytes of its JSON, which is never in memory as a whole
	maxTableEntry = 4 << 20   // bytes of the JSON of one entry
)

// A table is a table of contents that a layer carries.
type table struct {
	digest digest.Digest // of its JSON (eStargz), or of what is stored (zstd:chunked)
	zstd   content.Range // where it is stored; zero of eStargz, whose footer tells
}

// tableOf returns the table that d is said to carry.
func tableOf(d ocispec.Descriptor) (table, bool) {
	for _, prefix := range chunkedPrefixes {
		sum := digest.Digest(d.Annotations[prefix+chunkedAnnotation])
		at, ok := parsePosition(d.Annotations[prefix+chunkedPosition], d.Size)
		if ok && isSHA256(sum) {
			return table{digest: sum, zstd: at}, true
		}
	}
	sum := digest.Digest(d.Annotations[stargzAnnotation])
	return table{digest: sum}, isSHA256(sum)
}

func isSHA256(d digest.Digest) bool {
	return content.CheckDigest(d) == nil && d.Algorithm() == digest.SHA256
}

// parsePosition reads offset:compressed:uncompressed:type, all in decimal; type 1
// is the only one there is.
func parsePosition(s string, size int64) (content.Range, bool) {
	parts := strings.Split(s, ":")
	if len(parts) != 4 || parts[3] != "1" {
		return content.Range{}, false
	}
	off, err := strconv.ParseInt(parts[0], 10, 64)
	n, nerr := strconv.ParseInt(parts[1], 10, 64)
	ok := err == nil && nerr == nil && off > 0 && n > 0 && n <= maxTable && off <= size-n
	return content.Range{Off: off, Len: n}, ok
}

// read reads the table of d into l. One that is not what the annotation says is
// [content.ErrCorrupt], one that does not tell enough [content.ErrInvalid].
func (t table) read(ctx context.Context, src content.Source, d ocispec.Descriptor, l *lister) (_ *Contents, err error) {
	defer func() {
		if err != nil {
			l.undo()
		}
	}()
	read := t.readStargz
	if t.zstd.Len > 0 {
		read = t.readChunked
	}
	if err := read(ctx, src, d, l); err != nil {
		return nil, fmt.Errorf("table of contents: %w", err)
	}
	return &Contents{Layer: d.Digest, Table: t.digest, entries: l.entries}, nil
}

// readChunked reads the table of a zstd:chunked layer.
func (t table) readChunked(ctx context.Context, src content.Source, d ocispec.Descriptor, l *lister) error {
	rc, err := src.Open(ctx, d, t.zstd)
	if err != nil {
		return err
	}
	defer rc.Close()
	stored, err := content.VerifyReader(rc, ocispec.Descriptor{Digest: t.digest, Size: t.zstd.Len})
	if err != nil {
		return err
	}
	z, err := zstd.NewReader(stored, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxTable))
	if err != nil {
		return unreadable(err)
	}
	defer z.Close()
	err = l.listTable(z, t.zstd.Off-skippableHead)
	if _, rest := io.Copy(io.Discard, stored); rest != nil {
		return rest
	}
	return err
}

// skippableHead is what a skippable frame of zstd has before its bytes.
const skippableHead = 8

// An eStargz layer ends in an empty gzip member whose header tells where the one
// with the table begins; older ones leave out the four bytes that RFC 1952 wants
// there.
const (
	stargzFooter    = 51
	oldStargzFooter = 47
	stargzName      = "stargz.index.json"
)

// readStargz reads the table of an eStargz layer.
func (t table) readStargz(ctx context.Context, src content.Source, d ocispec.Descriptor, l *lister) error {
	at, err := stargzTable(ctx, src, d)
	if err != nil {
		return err
	}
	rc, err := src.Open(ctx, d, at)
	if err != nil {
		return err
	}
	defer rc.Close()
	z, err := gzip.NewReader(rc)
	if err != nil {
		return unreadable(err)
	}
	tr := tar.NewReader(z)
	h, err := tr.Next()
	if err != nil {
		return unreadable(err)
	}
	if h.Name != stargzName || h.Size > maxTableJSON {
		return fmt.Errorf("%.100q of %d bytes is none: %w", h.Name, h.Size, content.ErrInvalid)
	}
	verified, err := content.VerifyReader(tr, ocispec.Descriptor{Digest: t.digest, Size: h.Size})
	if err != nil {
		return err
	}
	err = l.listTable(verified, at.Off)
	if _, rest := io.Copy(io.Discard, verified); rest != nil {
		return unreadable(rest)
	}
	if err != nil {
		return err
	}
	// The table is a file of the layer, too, and nothing of it tells of that.
	itself, err := l.admitted(h)
	if err != nil {
		return err
	}
	const head = 512
	itself.Digest, itself.at = t.digest, span{off: at.Off, end: at.Off + at.Len, skip: head}
	l.entries.add(itself)
	return nil
}

// stargzTable returns where an eStargz layer has its table.
func stargzTable(ctx context.Context, src content.Source, d ocispec.Descriptor) (content.Range, error) {
	if d.Size <= stargzFooter {
		return content.Range{}, fmt.Errorf("it has no footer: %w", content.ErrInvalid)
	}
	rc, err := src.Open(ctx, d, content.Range{Off: d.Size - stargzFooter, Len: stargzFooter})
	if err != nil {
		return content.Range{}, err
	}
	defer rc.Close()
	footer := make([]byte, stargzFooter)
	if _, err := io.ReadFull(rc, footer); err != nil {
		return content.Range{}, unreadable(err)
	}
	for _, size := range []int64{stargzFooter, oldStargzFooter} {
		off, ok := parseFooter(footer[stargzFooter-size:])
		end := d.Size - size
		if ok && off >= 0 && off < end && end-off <= maxTable {
			return content.Range{Off: off, Len: end - off}, nil
		}
	}
	return content.Range{}, fmt.Errorf("it has no footer: %w", content.ErrInvalid)
}

// parseFooter returns the offset that a footer tells.
func parseFooter(footer []byte) (int64, bool) {
	z, err := gzip.NewReader(strings.NewReader(string(footer)))
	if err != nil {
		return 0, false
	}
	extra := string(z.Extra)
	if len(footer) == stargzFooter {
		var ok bool
		if extra, ok = strings.CutPrefix(extra, "SG\x16\x00"); !ok {
			return 0, false
		}
	}
	hex, ok := strings.CutSuffix(extra, "STARGZ")
	if !ok || len(hex) != 16 {
		return 0, false
	}
	off, err := strconv.ParseInt(hex, 16, 64)
	return off, err == nil
}

// unreadable gives what went wrong while a table was unpacked its class, where it
// has none: the table's fault. What the place said stays what it is.
func unreadable(err error) error {
	for _, class := range []error{
		content.ErrCorrupt, content.ErrInvalid, content.ErrUnavailable, content.ErrRateLimited, content.ErrNotFound,
		content.ErrUnauthorized, content.ErrDenied, errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, class) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", err, content.ErrInvalid)
}
