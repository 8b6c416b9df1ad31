package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/spool"
)

// A Writer writes an archive that is an OCI layout and a docker archive in one:
// docker load (of any age), podman load and whatever reads OCI layouts take it.
// The same blobs and manifests in the same order give the same bytes. Each blob
// is written once; index.json and manifest.json come at the end, with Commit.
//
// A Writer made by [NewWriter] writes to a pipe: there a blob that breaks midway
// spoils the whole. In a file it is cut off again, and can be put again.
type Writer struct {
	file *destination
	buf  []byte

	mu    sync.Mutex
	out   io.Writer
	pos   int64
	err   error // nothing more can be written
	done  bool
	sizes map[digest.Digest]int64 // of what is in the archive
	dirs  map[string]bool

	// What indexes say of manifests that were not there. They may come later.
	missing map[digest.Digest]int64
	catalog

	assumed map[digest.Digest]int64 // sizes of what the reader has already
	index   []byte                  // what index.json is, where it is not made of the catalog
}

// Create begins the archive at path. It is written beside path and takes its
// name at Commit, in place of what may be there; before that nothing is seen of
// it. Where path is a pipe or a device it is written to as it is.
func Create(path string) (*Writer, error) {
	file, err := newDestination(path)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", path, spool.Full(err))
	}
	w := NewWriter(file.f)
	w.file = file
	return w, nil
}

// NewWriter begins an archive on w, a pipe for example.
func NewWriter(w io.Writer) *Writer {
	const bufSize = 256 << 10
	return &Writer{
		out:     w,
		buf:     make([]byte, bufSize),
		sizes:   map[digest.Digest]int64{},
		dirs:    map[string]bool{},
		missing: map[digest.Digest]int64{},
		assumed: map[digest.Digest]int64{},
		catalog: newCatalog(),
	}
}

// Sequential implements [content.Sequential].
func (w *Writer) Sequential() {}

// Has implements [content.Sink].
func (w *Writer) Has(_ context.Context, d ocispec.Descriptor) (bool, error) {
	if err := content.CheckDigest(d.Digest); err != nil {
		return false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	size, ok := w.sizeOf(d.Digest)
	return ok && size == d.Size, nil
}

// sizeOf returns the size of what is in the archive, or need not be.
func (w *Writer) sizeOf(d digest.Digest) (size int64, ok bool) {
	if size, ok = w.sizes[d]; !ok {
		size, ok = w.assumed[d]
	}
	return size, ok
}

// PutBlob implements [content.Sink].
func (w *Writer) PutBlob(ctx context.Context, b content.Blob) (content.Outcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := b.Descriptor()
	if err := content.CheckDigest(d.Digest); err != nil {
		return 0, err
	}
	if d.Size < 0 {
		return 0, fmt.Errorf("blob %s has size %d: %w", d.Digest, d.Size, content.ErrInvalid)
	}
	if err := w.ready(ctx); err != nil {
		return 0, err
	}
	if size, ok := w.sizeOf(d.Digest); ok {
		if size != d.Size {
			return 0, &content.MismatchError{Want: d, Size: size}
		}
		return content.Existed, nil
	}
	err := content.Reread(ctx, b, func() error {
		if w.err != nil {
			return w.err // what is wrong could not be cut off
		}
		return w.fetch(ctx, b)
	})
	if err != nil {
		return 0, err
	}
	return content.Stored, nil
}

// fetch writes a blob on its way from the source.
func (w *Writer) fetch(ctx context.Context, b content.Blob) (err error) {
	d := b.Descriptor()
	rc, err := b.Open(ctx, content.Range{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	verified, err := content.VerifyReader(withReader(ctx, rc), d)
	if err != nil {
		return err
	}
	var config configKeeper
	if err := w.blob(d, io.TeeReader(verified, &config)); err != nil {
		return err
	}
	w.noteConfig(d.Digest, config.raw)
	return nil
}

// PutManifest implements [content.Sink]. A full reference (it has a slash or a
// colon) is written for containerd and docker too; any other name is one of the
// OCI layout only. What refers to something is listed even without a name.
func (w *Writer) PutManifest(ctx context.Context, m content.Manifest, names ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put(ctx, m, names)
}

// put is PutManifest for who holds the lock.
func (w *Writer) put(ctx context.Context, m content.Manifest, names []string) error {
	if m.IsZero() {
		return fmt.Errorf("no manifest: %w", content.ErrInvalid)
	}
	if err := m.Ambiguous(); err != nil {
		return err
	}
	if err := w.ready(ctx); err != nil {
		return err
	}
	if err := w.checkNeeds(m); err != nil {
		return err
	}
	if _, ok := w.sizeOf(m.Digest()); !ok {
		if err := w.blob(m.Descriptor(), bytes.NewReader(m.Raw())); err != nil {
			return err
		}
	}
	return w.enter(m, names)
}

// checkNeeds reports what m needs and the archive has not, and what m gives
// another size than it has in the archive already: readers take no archive that
// contradicts itself.
func (w *Writer) checkNeeds(m content.Manifest) error {
	for _, d := range m.Blobs() {
		if _, ok := w.sizeOf(d.Digest); !ok && !content.IsForeign(d.MediaType) {
			return fmt.Errorf("manifest %s: blob %s: %w", m.Digest(), d.Digest, content.ErrNotFound)
		}
	}
	for _, d := range slices.Concat([]ocispec.Descriptor{m.Descriptor()}, m.Blobs(), m.Children()) {
		size, known := w.sizeOf(d.Digest)
		if !known {
			size, known = w.missing[d.Digest]
		}
		if known && size != d.Size {
			return fmt.Errorf("manifest %s: %w", m.Digest(), &content.MismatchError{Want: d, Size: size})
		}
	}
	for _, d := range m.Children() {
		if _, ok := w.sizeOf(d.Digest); !ok {
			w.missing[d.Digest] = d.Size
		}
	}
	return nil
}

// Commit implements [content.Committer]: it writes the end of the archive, and
// a file then gets its name, safe on disk. After it nothing can be put.
func (w *Writer) Commit(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ready(ctx); err != nil {
		return err
	}
	if w.keeps() {
		w.done = true
		return w.file.close()
	}
	index, manifest, err := w.lists()
	if err != nil {
		return err
	}
	if err := w.entry(indexFile, int64(len(index)), bytes.NewReader(index)); err != nil {
		return err
	}
	if manifest != nil {
		if err := w.entry(manifestFile, int64(len(manifest)), bytes.NewReader(manifest)); err != nil {
			return err
		}
	}
	if err := tar.NewWriter(w.out).Close(); err != nil {
		w.err = spool.Full(err)
		return w.err
	}
	w.done = true
	if w.file == nil {
		return nil
	}
	return spool.Full(w.file.commit())
}

// lists returns what index.json and manifest.json say; of the latter nothing
// where there is none.
func (w *Writer) lists() (index, manifest []byte, err error) {
	if w.index != nil {
		return w.index, nil, nil
	}
	if index, err = w.indexJSON(); err != nil {
		return nil, nil, err
	}
	manifest, err = w.manifestJSON(w.sizes)
	return index, manifest, err
}

// Close ends writing. Without Commit nothing stays of a file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	if w.file == nil {
		return nil
	}
	return w.file.close()
}

// ready reports whether more can be written, and writes the beginning.
func (w *Writer) ready(ctx context.Context) error {
	switch {
	case w.err != nil:
		return w.err
	case w.done:
		return fmt.Errorf("archive: %w", os.ErrClosed)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	if w.pos > 0 {
		return nil
	}
	const layout = `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`
	return w.entry(layoutFile, int64(len(layout)), bytes.NewReader([]byte(layout)))
}

// maxBlobs leaves room for other entries, so that a reader of this package takes
// what was written.
const maxBlobs = maxEntries - 16

// blob writes the file of a blob, and the folders it is in before the first.
func (w *Writer) blob(d ocispec.Descriptor, r io.Reader) error {
	if len(w.sizes) == maxBlobs {
		return fmt.Errorf("more than %d blobs, which nobody would read: %w", maxBlobs, content.ErrInvalid)
	}
	name := blobPath(d.Digest)
	for _, dir := range []string{ocispec.ImageBlobsDir, path.Dir(name)} {
		if w.dirs[dir] {
			continue
		}
		if err := w.entry(dir+"/", 0, nil); err != nil {
			return err
		}
		w.dirs[dir] = true
	}
	if err := w.entry(name, d.Size, r); err != nil {
		return err
	}
	w.sizes[d.Digest] = d.Size
	return nil
}

// entry writes one file, or a folder, whose name ends in a slash. What breaks
// midway is cut off again.
func (w *Writer) entry(name string, size int64, r io.Reader) error {
	n := &counter{w: w.out}
	err := w.write(tar.NewWriter(n), name, size, r)
	if err == nil {
		w.pos += n.n
		return nil
	}
	err = spool.Full(err)
	switch {
	case w.file == nil || w.file.final():
		w.err = fmt.Errorf("the archive is incomplete: %w", err)
	default:
		if cerr := w.file.cut(w.pos); cerr != nil {
			w.err = errors.Join(err, cerr)
		}
	}
	return err
}

func (w *Writer) write(tw *tar.Writer, name string, size int64, r io.Reader) error {
	const fileMode, dirMode = 0o644, 0o755
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: fileMode, ModTime: time.Unix(0, 0)}
	if r == nil {
		h.Typeflag, h.Mode = tar.TypeDir, dirMode
		return tw.WriteHeader(h)
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	// Without its other methods tw takes the buffer as it is.
	if _, err := io.CopyBuffer(struct{ io.Writer }{tw}, struct{ io.Reader }{r}, w.buf); err != nil {
		return err
	}
	return tw.Flush()
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
