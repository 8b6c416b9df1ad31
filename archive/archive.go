// Package archive reads and writes images in tar files.
//
// It reads OCI layout tars and docker archives of both eras (what docker save
// wrote before version 25: <id>/layer.tar beside manifest.json; and since: an
// OCI layout and manifest.json in one), plain or compressed with gzip, zstd, xz
// or bzip2, from a file ([Open]) or a stream ([Read]). What a file is, is found
// out by looking at it. A plain file is read at random, without unpacking;
// anything else is unpacked once, in order, into a temporary file.
//
// It writes files that are both an OCI layout and a docker archive ([Create],
// [NewWriter]), the same bytes for the same content.
//
// An [Archive] is a [content.Source], a [Writer] is a [content.Sink].
package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/packed"
)

// A Compression is what a docker archive's raw layers become when they are read.
type Compression uint8

// The compressions.
const (
	None Compression = iota // they stay raw, with an uncompressed media type; their digests are the diff IDs
	Gzip                    // as registries have it; the same bytes on every machine
	Zstd
)

// Options say how an archive is read. The zero Options work.
type Options struct {
	Compress    Compression    // what a docker archive's raw layers become
	TempDir     string         // for what must be spooled; "" means os.TempDir()
	Limits      content.Limits // of manifests and configs
	MaxUnpacked int64          // bytes a compressed archive may inflate to; 0 means 20 × its size + 1 GiB, less than 0 any number
}

// An Archive is an opened tar file. It may be used from several goroutines;
// Close ends all reading.
type Archive struct {
	name   string // for messages
	o      Options
	data   io.ReaderAt
	index  *tarIndex
	roots  []*root
	spools spools

	mu    sync.Mutex
	types map[digest.Digest]ocispec.Descriptor // what index.json and the indexes below it say of a manifest
	blobs map[digest.Digest]span               // blobs of docker archives, which have no path of their own
	nodes map[digest.Digest]node

	unpacked     map[digest.Digest]ocispec.Descriptor // the raw layer, by the digest it has compressed
	uncompressed map[digest.Digest]digest.Digest      // of made-up manifests, see Uncompressed

	edges int // of all nodes
	steps int // from node to node

	learnt bool // types has all that the indexes say
}

// A root is what index.json, or one entry of manifest.json, names.
type root struct {
	names []string
	desc  ocispec.Descriptor // of a manifest in the file
	image *dockerImage       // instead, an image without a manifest
}

// A span is where the bytes of a blob are.
type span struct {
	at        io.ReaderAt
	off, size int64
}

func (s span) reader() *io.SectionReader { return io.NewSectionReader(s.at, s.off, s.size) }

// ErrTooOld is an archive that has layers and no list of its images. It is
// [content.ErrInvalid].
var ErrTooOld = fmt.Errorf("it was saved by a docker older than 1.10 (it has no manifest.json): %w", content.ErrInvalid)

// Open opens the archive at path. A plain tar is read where it lies; a
// compressed one is unpacked into a temporary file first, and so is what comes
// from a pipe. What is broken, hostile or no archive at all is
// [content.ErrInvalid] or [content.ErrCorrupt].
func Open(ctx context.Context, path string, o Options) (*Archive, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("archive %s: %w", path, content.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	a, err := open(ctx, f, o)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", path, err)
	}
	a.name = path
	return a, nil
}

// open takes over f.
func open(ctx context.Context, f *os.File, o Options) (*Archive, error) {
	info, head, err := look(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if packed.Sniff(head) != packed.Plain || !info.Mode().IsRegular() {
		a, err := pour(ctx, f, o)
		return a, errors.Join(err, f.Close())
	}
	a := &Archive{o: o, data: f}
	a.spools.add(f)
	a.index, err = indexTar(io.NewSectionReader(withContext(ctx, f), 0, info.Size()))
	if err == nil {
		err = a.load(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// look returns what f is and, of a regular file, how it begins.
func look(f *os.File) (os.FileInfo, []byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return nil, nil, fmt.Errorf("it is a directory: %w", content.ErrInvalid)
	}
	if !info.Mode().IsRegular() {
		return info, nil, nil
	}
	head := make([]byte, packed.MagicSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	return info, head[:n], nil
}

// Read reads an archive from r, once and in order, to its end.
func Read(ctx context.Context, r io.Reader, o Options) (*Archive, error) {
	a, err := pour(ctx, r, o)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return a, nil
}

// pour spools r, unpacked.
func pour(ctx context.Context, r io.Reader, o Options) (*Archive, error) {
	a := &Archive{o: o}
	f, err := a.spools.create(o.TempDir)
	if err != nil {
		return nil, err
	}
	a.data = f
	a.index, err = unpack(ctx, r, f, o.MaxUnpacked)
	if err == nil {
		err = a.load(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// CutOff reports whether the archive has no end marker: what is there can be
// right, and more may have been there.
func (a *Archive) CutOff() bool { return !a.index.ended }

// Close ends reading and removes what was spooled.
func (a *Archive) Close() error { return a.spools.close() }

// load finds out what the tar is and what it names.
func (a *Archive) load(ctx context.Context) error {
	a.types = map[digest.Digest]ocispec.Descriptor{}
	a.blobs = map[digest.Digest]span{}
	a.nodes = map[digest.Digest]node{}
	a.unpacked = map[digest.Digest]ocispec.Descriptor{}
	a.uncompressed = map[digest.Digest]digest.Digest{}
	images, err := a.dockerImages()
	if err != nil {
		return err
	}
	named, err := a.layoutRoots()
	if err != nil {
		return err
	}
	switch {
	case len(named) > 0:
		a.roots = named
		return a.agree(ctx, images)
	case images != nil:
		for _, image := range images {
			a.roots = append(a.roots, &root{names: image.names(), image: image})
		}
		return nil
	case a.index.has(indexFile):
		return nil
	case a.index.has("repositories"):
		return ErrTooOld
	case len(a.index.files) == 0:
		return fmt.Errorf("the tar is empty: %w", content.ErrInvalid)
	}
	return a.index.missing(fmt.Errorf("neither an OCI layout nor a docker archive, it has no %s and no %s: %w", indexFile, manifestFile, content.ErrInvalid))
}

// Manifest implements [content.Source]. ref is a name of the archive, as it
// stands there or as docker would write it in full; a tag, if only one name has
// it; the digest of any manifest in the file; or "" for the only image.
func (a *Archive) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	m, err := a.find(ctx, ref)
	if err != nil {
		return content.Manifest{}, a.fail(err)
	}
	return m, nil
}

// Resolve implements [content.Resolver].
func (a *Archive) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	m, err := a.Manifest(ctx, ref)
	return m.Descriptor(), err
}

// Open implements [content.Source].
func (a *Archive) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	if err := content.CheckDigest(d.Digest); err != nil {
		return nil, a.fail(err)
	}
	s, err := a.blob(ctx, d.Digest)
	if err != nil {
		return nil, a.fail(err)
	}
	off, n, err := r.Resolve(s.size)
	if err != nil {
		return nil, a.fail(err)
	}
	return io.NopCloser(withReader(ctx, io.NewSectionReader(s.at, s.off+off, n))), nil
}

// blob finds where a blob is: under its path in a layout, or among the configs
// and layers of a docker archive.
func (a *Archive) blob(ctx context.Context, d digest.Digest) (span, error) {
	if path := blobPath(d); a.index.has(path) {
		f, err := a.index.find(path)
		return span{a.data, f.off, f.size}, err
	}
	var broken error
	for _, r := range a.roots {
		if s, ok := a.kept(d); ok {
			return s, nil
		}
		if r.image != nil {
			_, err := a.makeUp(ctx, r.image)
			broken = cmp.Or(broken, err)
		}
	}
	if s, ok := a.kept(d); ok {
		return s, nil
	}
	if broken != nil {
		return span{}, broken // it may be one of its blobs
	}
	return span{}, a.index.missing(fmt.Errorf("blob %s: %w", d, content.ErrNotFound))
}

// small reads a whole file of at most limit bytes.
func (a *Archive) small(name string, f tarFile, limit int64) ([]byte, error) {
	if f.size > limit {
		return nil, fmt.Errorf("%q has %d bytes, more than %d: %w", clip(name), f.size, limit, content.ErrInvalid)
	}
	raw, err := io.ReadAll(span{a.data, f.off, f.size}.reader())
	if err != nil {
		return nil, err
	}
	for _, other := range a.index.twice[f.off] {
		if other.size != f.size {
			return nil, fmt.Errorf("%q stands there twice, with different bytes: %w", clip(name), content.ErrInvalid)
		}
		again, err := io.ReadAll(span{a.data, other.off, other.size}.reader())
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(raw, again) {
			return nil, fmt.Errorf("%q stands there twice, with different bytes: %w", clip(name), content.ErrInvalid)
		}
	}
	return raw, nil
}

// fail adds which archive it was.
func (a *Archive) fail(err error) error {
	if a.name == "" {
		return fmt.Errorf("archive: %w", err)
	}
	return fmt.Errorf("archive %s: %w", a.name, err)
}

// clip shortens outside text for a message; %q makes it safe to print.
func clip(s string) string {
	const most = 160
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
