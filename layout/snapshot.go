package layout

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A Snapshot is what an index.json says at one moment: names, and what they stand
// for.
type Snapshot struct{ x *index }

// A Named is one entry of a [Snapshot].
type Named struct {
	Root ocispec.Descriptor // media type, digest and size
	Name string             // as a store shows it; empty for an entry without a name
}

// Snapshot reads index.json once. That of a layout that is not made yet is empty.
func (l *Layout) Snapshot() (Snapshot, error) {
	x, err := l.index()
	return Snapshot{x}, err
}

// ReadSnapshot reads an index.json that lies elsewhere. What is none, or could be
// read in two ways, is [content.ErrInvalid].
func ReadSnapshot(raw []byte, limits content.Limits) (Snapshot, error) {
	x, err := parseIndex(string(raw), limits)
	if err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", indexFile, err)
	}
	return Snapshot{x}, nil
}

// Raw returns the JSON, which [ReadSnapshot] reads: entries are as they stood
// there, byte for byte.
func (s Snapshot) Raw() []byte { return s.x.encode() }

// Entries returns all entries in their order.
func (s Snapshot) Entries() []Named {
	entries := make([]Named, len(s.x.entries))
	for i, e := range s.x.entries {
		entries[i] = Named{Root: e.bare(), Name: e.shown()}
	}
	return entries
}

// Roots returns what the entries stand for, each once, in their order.
func (s Snapshot) Roots() []ocispec.Descriptor {
	var roots []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	for _, e := range s.x.entries {
		if !seen[e.digest] {
			seen[e.digest] = true
			roots = append(roots, e.bare())
		}
	}
	return roots
}

// check returns why the entries cannot be those of a store: a name that no place
// can have.
func (s Snapshot) check() error {
	for _, e := range s.x.entries {
		for _, name := range e.names() {
			if err := content.CheckName(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Mirror makes index.json say what s says, in one step. What it said before is
// gone; blobs stay. All that s needs has to be there: see [Stage].
func (l *Layout) Mirror(ctx context.Context, s Snapshot) error {
	if err := l.disk.prepare(ctx, noBlob); err != nil {
		return err
	}
	return l.edit(ctx, func(x *index) (bool, error) {
		if bytes.Equal(x.encode(), s.x.encode()) {
			return false, nil
		}
		x.fields, x.entries = slices.Clone(s.x.fields), slices.Clone(s.x.entries)
		return true, nil
	})
}

// A Stage is a layout into which images are put before anything is said of them:
// index.json stays as it is until [Layout.Mirror] or [Store.Adopt]. What is put is
// safe from [Layout.Collect] until the layout is closed.
type Stage struct{ *Layout }

var _ content.Sink = (*Stage)(nil)

// Stage returns the stage of the layout.
func (l *Layout) Stage() *Stage { return &Stage{l} }

// PutManifest implements [content.Sink]. Names are left out, and what refers to
// something is not listed.
func (s *Stage) PutManifest(ctx context.Context, m content.Manifest, _ ...string) error {
	return s.store(ctx, m, nil)
}

// Rely keeps blobs from being removed by [Layout.Collect] until the layout is
// closed, if it was opened by [Create]. Whether they are there is not looked at.
func (l *Layout) Rely(ctx context.Context, blobs ...ocispec.Descriptor) error {
	digests := make([]digest.Digest, len(blobs))
	for i, d := range blobs {
		if err := content.CheckDigest(d.Digest); err != nil {
			return err
		}
		digests[i] = d.Digest
	}
	return l.disk.relies(ctx, digests...)
}

// A Clash is what becomes of a name that stands for something else in the store.
type Clash uint8

// What becomes of such names.
const (
	Refuse  Clash = iota // all is refused, with a [ClashError]
	Replace              // the image that had the name is called by its digest
)

// A ClashError says which names stand for something else. It is
// [content.ErrConflict].
type ClashError struct{ Names []string }

// Error lists the first names.
func (e *ClashError) Error() string {
	const most = 5
	list := strings.Join(e.Names[:min(most, len(e.Names))], ", ")
	if len(e.Names) > most {
		list += fmt.Sprintf(" and %d more", len(e.Names)-most)
	}
	if len(e.Names) == 1 {
		return "a name stands for something else in the store: " + list
	}
	return fmt.Sprintf("%d names stand for something else in the store: %s", len(e.Names), list)
}

// Unwrap returns ErrConflict.
func (e *ClashError) Unwrap() error { return content.ErrConflict }

// Clashes returns the names of snap that stand for something else in the store.
func (s *Store) Clashes(snap Snapshot) ([]string, error) {
	x, err := s.index()
	if err != nil {
		return nil, err
	}
	return newAdoption(x, snap.x).clashes, nil
}

// Adopt adds the entries of snap to index.json, in one step: names that are free
// stand for what they stand for in snap, and images without a name are entries
// again. What is there already stays as it is, so that adopting twice changes
// nothing. All that snap needs has to be there: see [Stage]. A name that no place
// can have is [content.ErrInvalid].
func (s *Store) Adopt(ctx context.Context, snap Snapshot, clash Clash) error {
	if err := snap.check(); err != nil {
		return s.disk.fail("write", indexFile, err)
	}
	if err := s.disk.prepare(ctx, noBlob); err != nil {
		return err
	}
	return s.edit(ctx, func(x *index) (bool, error) {
		a := newAdoption(x, snap.x)
		if len(a.clashes) > 0 && clash == Refuse {
			return false, s.disk.fail("write", indexFile, &ClashError{a.clashes})
		}
		return len(a.added) > 0, a.apply(x)
	})
}

// An adoption is what has to be done so that an index has all that another has.
type adoption struct {
	added   []entry      // that are missing
	moved   map[int]bool // entries of the index that give their names up
	clashes []string     // those names, as they are shown
	keys    map[string]bool
}

// key returns the same for entries that cannot both be in an index: for names that
// are the same. Of an entry without a name it is the digest.
func (e entry) key() string {
	if n, ok := e.storeName(); ok {
		return "name " + n.full
	}
	if name := e.name(); name != "" {
		return "tag " + name
	}
	return "digest " + e.digest.String()
}

func newAdoption(x, other *index) *adoption {
	a := &adoption{moved: map[int]bool{}, keys: map[string]bool{}}
	holders := make(map[string]int, len(x.entries))
	listed := make(map[digest.Digest]bool, len(x.entries))
	for i, e := range x.entries {
		holders[e.key()] = i
		listed[e.digest] = true
	}
	for _, e := range other.entries {
		key := e.key()
		i, held := holders[key]
		switch {
		case e.name() == "" && listed[e.digest], held && x.entries[i].digest == e.digest, a.keys[key]:
			a.keys[key] = true
			continue
		case held:
			a.moved[i] = true
			a.clashes = append(a.clashes, e.shown())
		}
		a.keys[key] = true
		a.added = append(a.added, e)
	}
	return a
}

// apply changes x, which the adoption was made for. Images that have lost their
// only name are called by their digests, as where a name moves.
func (a *adoption) apply(x *index) error {
	named := map[digest.Digest][]storeName{}
	for _, e := range a.added {
		if n, ok := e.storeName(); ok && n.tag != "" {
			named[e.digest] = append(named[e.digest], n)
		}
	}
	var stay, lost []entry
	for i, e := range x.entries {
		switch {
		case a.moved[i]:
			lost = append(lost, e)
		case !a.spare(e, named[e.digest]):
			stay = append(stay, e)
		}
	}
	x.entries = append(stay, a.added...)
	for _, e := range lost {
		if err := x.keepLost(e); err != nil {
			return err
		}
	}
	return nil
}

// spare reports whether e says no more of its image than that it is there, which
// its new names do.
func (a *adoption) spare(e entry, names []storeName) bool {
	if len(names) == 0 || a.keys[e.key()] {
		return false
	}
	return e.name() == "" || slices.ContainsFunc(names, func(n storeName) bool { return e.isCalled(n.byDigest(e.digest)) })
}

// keepLost is keep for an entry that was taken out, also for one that had no
// full name.
func (x *index) keepLost(e entry) error {
	if n, ok := e.storeName(); ok {
		return x.keep(e.descriptor(), n)
	}
	d := e.descriptor()
	d.Annotations = nil
	_, err := x.root(d)
	return err
}
