package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/packed"
)

// maxListed is how many entries the layers of one image may have, all together, or
// of two that are compared. What they have is in memory, in some 70 bytes each, and
// the tree that they make in 120 more: with what is garbage for a while, 700 MB hold
// that many. An image of a gigabyte has some fifty thousand.
const maxListed = 2_000_000

// A Cache keeps what layers have, beyond the process. What is lost is read again.
// It is safe for concurrent use.
type Cache interface {
	// Load returns what was stored under key, and whether anything was.
	Load(key string) (raw []byte, ok bool)

	// Store keeps raw under key. Keys hold a digest: what stands for one never changes.
	Store(key string, raw []byte)
}

// A Reader reads what layers have. The zero Reader works.
type Reader struct {
	Cache Cache // nil keeps nothing
	Jobs  int   // layers that are read at once; 0 means 4

	// Whole leaves the tables of contents alone that eStargz and zstd:chunked layers
	// carry: whoever made the image vouches for those, and a table may tell of other
	// files than the tar has that is unpacked. All of each layer is read and verified.
	Whole bool

	// Unverified has [Reader.Cat] write a file of a layer that is not known as soon as it is met
	// with, and read no more. Its bytes are those that came, whatever they are, and
	// not those of another file of the same name that the layer has further on.
	Unverified bool

	// TempDir is where [Reader.Cat] keeps a file until it is verified; "" means
	// os.TempDir().
	TempDir string

	// MaxUnpacked is how many bytes a layer may have unpacked, and how many its files;
	// 0 means 20 × its size + 1 GiB, less than 0 any number.
	MaxUnpacked int64
}

// Contents returns what layer d of src has: from the cache, else from the table of
// contents that it carries, which takes a small part of it, else by reading all of
// it. Either is verified, and corrupt layers are read again, as [content.Reread]
// has it. A table that cannot be verified is passed over.
//
// Wrong bytes are [content.ErrCorrupt]; what is no layer, or has more than it may,
// is [content.ErrInvalid].
func (r Reader) Contents(ctx context.Context, src content.Source, d ocispec.Descriptor) (*Contents, error) {
	return r.contents(ctx, src, d, new(atomic.Int64))
}

// Tree returns the file system of the single image m of src. Its config is read,
// and of its layers what [Reader.Contents] reads, several at once and each once,
// however often the image has it. A layer whose tar is not that of the config is
// [content.ErrCorrupt].
func (r Reader) Tree(ctx context.Context, src content.Source, m content.Manifest) (*Tree, error) {
	layers, err := layersOf(ctx, src, m)
	if err != nil {
		return nil, err
	}
	all, err := r.all(ctx, src, layers)
	if err != nil {
		return nil, err
	}
	return Merge(all)
}

// all returns what layers have.
func (r Reader) all(ctx context.Context, src content.Source, layers []layer) ([]*Contents, error) {
	jobs := r.Jobs
	if jobs == 0 {
		jobs = 4
	}
	all := make([]*Contents, len(layers))
	first := map[digest.Digest]int{}
	listed := new(atomic.Int64)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i, l := range layers {
		if _, twice := first[l.Digest]; twice {
			continue
		}
		first[l.Digest] = i
		g.Go(func() (err error) {
			all[i], err = r.contents(gctx, src, l.Descriptor, listed)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, l := range layers {
		all[i] = all[first[l.Digest]]
		if err := l.check(all[i]); err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.Digest, err)
		}
	}
	return all, nil
}

// check compares the tar that c tells of with what the config says.
func (l layer) check(c *Contents) error {
	if c.DiffID == "" || c.DiffID == l.diffID || l.diffID.Algorithm() != digest.SHA256 {
		return nil
	}
	want := ocispec.Descriptor{Digest: l.diffID}
	return fmt.Errorf("it is not what the config says: %w", &content.MismatchError{Want: want, Got: c.DiffID})
}

// contents is Contents that counts entries with those of other layers.
func (r Reader) contents(ctx context.Context, src content.Source, d ocispec.Descriptor, listed *atomic.Int64) (*Contents, error) {
	if err := checkLayer(d); err != nil {
		return nil, err
	}
	c, err := r.known(ctx, src, d, listed)
	if c == nil && err == nil {
		c, err = r.whole(ctx, src, d, listed, capture{})
	}
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", d.Digest, err)
	}
	return c, nil
}

// known returns what d has where not all of it must be read for that, else nil.
func (r Reader) known(ctx context.Context, src content.Source, d ocispec.Descriptor, listed *atomic.Int64) (*Contents, error) {
	c := r.load(d.Digest, "")
	carried, ok := tableOf(d)
	if c == nil && ok && !r.Whole {
		c = r.load(d.Digest, carried.digest)
	}
	if c != nil {
		return c, count(listed, int64(c.Len()))
	}
	if !ok || r.Whole {
		return nil, nil //nolint:nilnil // not known, and nothing failed
	}
	c, err := carried.read(ctx, src, d, r.lister(d, listed))
	switch {
	case err == nil:
		r.store(c)
		return c, nil
	case context.Cause(ctx) == nil && (errors.Is(err, content.ErrInvalid) || errors.Is(err, content.ErrCorrupt) || errors.Is(err, errors.ErrUnsupported)):
		return nil, nil //nolint:nilnil // the whole layer will tell
	}
	return nil, err
}

// A capture is called while a layer is read.
type capture struct {
	begin func() error                             // the layer is read from its start
	take  func(i int, e *Entry) (io.Writer, error) // of a file, the entry with that number: what takes its bytes as well, or nil
	pass  func(e *Entry, body io.Reader) error     // of a file, before that; it may read it, and end the reading
}

// whole reads all of d.
func (r Reader) whole(ctx context.Context, src content.Source, d ocispec.Descriptor, listed *atomic.Int64, also capture) (*Contents, error) {
	var c *Contents
	err := content.Reread(ctx, content.NewBlob(src, d), func() error {
		l := r.lister(d, listed)
		l.also = also
		if also.begin != nil {
			if err := also.begin(); err != nil {
				return err
			}
		}
		tarSum := &countedHash{Hash: sha256.New()}
		if err := (layer{Descriptor: d}).read(ctx, src, r.MaxUnpacked, tarSum, l.add); err != nil {
			l.undo()
			return err
		}
		c = &Contents{
			Layer:    d.Digest,
			DiffID:   digest.NewDigest(digest.SHA256, tarSum),
			Unpacked: tarSum.n,
			entries:  l.entries,
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.store(c)
	return c, nil
}

// cacheKey returns what contents are kept under. A layer that carries a table of
// contents says what it has twice, once with the digest of the table: manifests may
// give a layer any table.
func cacheKey(layer, table digest.Digest) string {
	return "contents " + layer.String() + " " + table.String()
}

// load returns contents from the cache, nil where it has none that are sound.
func (r Reader) load(layer, table digest.Digest) *Contents {
	if r.Cache == nil {
		return nil
	}
	raw, ok := r.Cache.Load(cacheKey(layer, table))
	if !ok {
		return nil
	}
	c, err := decodeContents(raw)
	if err != nil || c.Layer != layer || c.Table != table {
		return nil
	}
	return c
}

func (r Reader) store(c *Contents) {
	if r.Cache == nil {
		return
	}
	if raw, err := c.encode(); err == nil { // what is not kept is read again
		r.Cache.Store(cacheKey(c.Layer, c.Table), raw)
	}
}

// A lister lists the entries of a layer, within limits.
type lister struct {
	meter

	listed  *atomic.Int64 // entries of all layers of the image
	counted int64         // of those, entries of this one
	entries entryList
	hash    countedHash
	buf     []byte
	also    capture
}

func (r Reader) lister(d ocispec.Descriptor, listed *atomic.Int64) *lister {
	most := r.MaxUnpacked
	if most == 0 {
		most = packed.Most(d.Size)
	}
	return &lister{
		meter:  meter{most: most},
		listed: listed,
		hash:   countedHash{Hash: sha256.New()},
		buf:    make([]byte, 64<<10),
	}
}

// count adds n entries.
func count(listed *atomic.Int64, n int64) error {
	if listed.Add(n) > maxListed {
		return fmt.Errorf("the layers have more than %d entries: %w", maxListed, content.ErrInvalid)
	}
	return nil
}

// undo forgets what was listed: it will be listed again.
func (l *lister) undo() { l.listed.Add(-l.counted) }

// add lists h, and hashes body where it is that of a file.
func (l *lister) add(h *tar.Header, body io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return checkGlobal(h)
	}
	e, err := l.admitted(h)
	if err == nil && isRegular(h.Typeflag) {
		err = l.sum(e, body)
	}
	if err != nil {
		return fmt.Errorf("entry %.200q: %w", h.Name, err)
	}
	l.entries.add(e)
	return nil
}

// admitted returns what is listed of h, which may be.
func (l *lister) admitted(h *tar.Header) (*Entry, error) {
	if h.Typeflag != tar.TypeDir {
		for key, value := range h.PAXRecords {
			l.text += len(key) + len(value)
		}
	}
	if err := l.admit(h); err != nil {
		return nil, err
	}
	l.counted++
	if err := count(l.listed, 1); err != nil {
		return nil, err
	}
	e := newEntry(h)
	return &e, nil
}

// sum reads the bytes of a file.
func (l *lister) sum(e *Entry, body io.Reader) error {
	l.hash.reset()
	var w io.Writer = &l.hash
	if l.also.pass != nil {
		if err := l.also.pass(e, body); err != nil {
			return err
		}
	}
	if l.also.take != nil {
		also, err := l.also.take(l.entries.n, e)
		if err != nil {
			return err
		}
		if also != nil {
			w = io.MultiWriter(&l.hash, also)
		}
	}
	if _, err := io.CopyBuffer(w, body, l.buf); err != nil {
		return err
	}
	e.Digest = digest.NewDigest(digest.SHA256, &l.hash)
	return nil
}
