package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// maxKept is how many bytes of files are in memory, of all layers of two images that
// are compared. The notes of dpkg about a whole desktop have 10 MB.
const maxKept = 32 << 20

// errLarge is a file that is too large to be read into memory, with the others.
var errLarge = errors.New("it is too large, or there are too many of its kind")

// keptFiles are the bytes of files that were met with while layers were read, as many
// as fit into maxKept. The zero keptFiles has none. It is safe for concurrent use.
type keptFiles struct {
	mu    sync.Mutex
	taken int64 // bytes that are kept, or will be
	all   map[digest.Digest][]byte
}

// A catch is what is kept of one layer while it is read.
type catch struct {
	wanted func(*Entry) bool
	kept   *keptFiles            // has the room
	all    map[int]*bytes.Buffer // by the number of the entry
}

func newCatch(kept *keptFiles, wanted func(*Entry) bool) *catch {
	return &catch{wanted: wanted, kept: kept, all: map[int]*bytes.Buffer{}}
}

// take is a [capture]. Where a layer is read again it takes the same files again.
func (c *catch) take(i int, e *Entry) (io.Writer, error) {
	if before := c.all[i]; before != nil {
		c.kept.leave(int64(before.Cap()))
		delete(c.all, i)
	}
	if !c.wanted(e) || !c.kept.reserve(e.Size) {
		return nil, nil //nolint:nilnil // nobody wants it, or there is no room
	}
	c.all[i] = bytes.NewBuffer(make([]byte, 0, e.Size))
	return c.all[i], nil
}

// reserve makes room for n bytes, and reports whether there is any.
func (k *keptFiles) reserve(n int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n > maxKept-k.taken {
		return false
	}
	k.taken += n
	return true
}

// leave gives back room for n bytes.
func (k *keptFiles) leave(n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.taken -= n
}

// add adds what was caught of a layer that has those contents.
func (k *keptFiles) add(contents *Contents, c *catch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, raw := range c.all {
		d := digest.FromBytes(raw.Bytes())
		if _, there := k.all[d]; !there && i < contents.Len() && d == contents.Entry(i).Digest {
			k.put(d, raw.Bytes())
			continue
		}
		k.taken -= int64(raw.Cap()) // it is there, or of a reading that was corrupt
	}
}

// only forgets all but the bytes of some files.
func (k *keptFiles) only(wanted map[digest.Digest]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.all, func(d digest.Digest, _ []byte) bool { return !wanted[d] })
}

func (k *keptFiles) put(d digest.Digest, raw []byte) {
	if k.all == nil {
		k.all = map[digest.Digest][]byte{}
	}
	k.all[d] = raw
}

func (k *keptFiles) get(e *Entry) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	raw, ok := k.all[e.Digest]
	return raw, ok
}

// bytesOf returns the bytes of a file of an image, which is an entry of the layer
// with that number. Whoever calls it sees to it that they fit into memory.
func (c *comparer) bytesOf(ctx context.Context, side, layer int, e *Entry) ([]byte, error) {
	if raw, ok := c.kept.get(e); ok || e.Size == 0 {
		return raw, nil
	}
	if err := c.fetch(ctx, side, layer, []*Entry{e}); err != nil {
		return nil, err
	}
	raw, _ := c.kept.get(e)
	return raw, nil
}

// errAllThere ends the reading of a layer.
var errAllThere = errors.New("all was found")

// fetch reads a layer up to the last of some entries, which are small enough to be
// kept, and keeps them.
func (c *comparer) fetch(ctx context.Context, side, n int, entries []*Entry) error {
	s := c.sides[side]
	l := s.layers[n]
	err := content.Reread(ctx, content.NewBlob(s.Source, l.Descriptor), func() error {
		left := map[string][]*Entry{}
		for _, e := range entries {
			left[e.Path] = append(left[e.Path], e)
		}
		err := l.read(ctx, s.Source, c.MaxUnpacked, io.Discard, func(h *tar.Header, body io.Reader) error {
			path := clean(h.Name)
			// A table of contents may have told another size than the file has.
			if !isRegular(h.Typeflag) || !slices.ContainsFunc(left[path], func(e *Entry) bool { return e.Size == h.Size }) {
				return nil
			}
			return c.keepOf(left, path, body)
		})
		switch {
		case errors.Is(err, errAllThere):
			return nil
		case err == nil:
			return fmt.Errorf("it does not have what was found in it before: %w", content.ErrCorrupt)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("layer %s: %w", l.Digest, err)
	}
	return nil
}

// keepOf keeps body where it is that of an entry that is left, and takes those off.
// A name may stand in a layer several times.
func (c *comparer) keepOf(left map[string][]*Entry, path string, body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	d := digest.FromBytes(raw)
	left[path] = slices.DeleteFunc(left[path], func(e *Entry) bool {
		if e.Digest != d {
			return false
		}
		c.kept.mu.Lock()
		c.kept.put(d, raw)
		c.kept.mu.Unlock()
		return true
	})
	if len(left[path]) == 0 {
		delete(left, path)
	}
	if len(left) == 0 {
		return errAllThere
	}
	return nil
}
