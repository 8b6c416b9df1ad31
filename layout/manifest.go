package layout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// Manifest implements [content.Source]. ref is a name, a digest, a name with a
// digest behind an @, which decides, or empty: then it is the only image of
// the layout. A name is also found by the full reference that docker means by
// it, and by its tag alone. A ref that could mean several images is
// [content.ErrInvalid].
func (l *Layout) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	if d, ok := byDigest(ref); ok {
		if err := l.disk.finding(ctx, d); err != nil {
			return content.Manifest{}, err
		}
		return l.manifest(ctx, ocispec.Descriptor{Digest: d})
	}
	x, err := l.index()
	if err != nil {
		return content.Manifest{}, err
	}
	var e entry
	if ref == "" {
		e, err = l.only(ctx, x)
	} else {
		e, err = x.find(ref)
	}
	if err != nil {
		return content.Manifest{}, l.disk.fail("read", indexFile, err)
	}
	return l.manifest(ctx, e.descriptor())
}

// finding is called before a manifest is looked for by its digest. A run that stores
// an image does so to leave out what is there: it relies on what it finds. One that
// has stored nothing yet only reads.
func (k *disk) finding(ctx context.Context, d digest.Digest) error {
	if k.lease == nil || !k.lease.begun() {
		return nil
	}
	return k.relies(ctx, d)
}

// begun reports whether anything stands in the lease.
func (l *lease) begun() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lock != nil
}

// Resolve implements [content.Resolver].
func (l *Layout) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	m, err := l.Manifest(ctx, ref)
	return m.Descriptor(), err
}

// Tags implements [content.TagLister]: the names in the order of index.json.
func (l *Layout) Tags(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		x, err := l.index()
		if err != nil {
			yield("", err)
			return
		}
		seen := map[string]bool{"": true}
		for _, e := range x.entries {
			name := e.name()
			if seen[name] {
				continue
			}
			seen[name] = true
			if !yield(name, nil) {
				return
			}
		}
	}
}

// PutManifest implements [content.Sink]. A name that stood for another manifest
// moves. A manifest with a subject gets an entry in index.json in any case, so
// that it can be found from its subject.
func (l *Layout) PutManifest(ctx context.Context, m content.Manifest, names ...string) error {
	if err := l.store(ctx, m, names); err != nil {
		return err
	}
	d, refers := entryDescriptor(m)
	if len(names) == 0 && !refers {
		return nil
	}
	return l.edit(ctx, func(x *index) (bool, error) { return x.put(d, names) })
}

// store puts the bytes of m, which is to be called names.
func (l *Layout) store(ctx context.Context, m content.Manifest, names []string) error {
	if err := m.Ambiguous(); err != nil {
		return err
	}
	for _, name := range names {
		if err := content.CheckName(name); err != nil {
			return l.disk.fail("write", indexFile, err)
		}
	}
	if err := l.disk.relies(ctx, parts(m)...); err != nil {
		return err
	}
	if err := l.disk.complete(ctx, m); err != nil {
		return err
	}
	if err := cmp.Or(l.disk.prepare(ctx, noBlob), l.disk.relies(ctx, parts(m)...)); err != nil { // of a layout that was just made
		return err
	}
	if err := l.disk.putBytes(ctx, m.Descriptor(), m.Raw()); err != nil {
		return err
	}
	l.facts.types.Store(m.Digest(), m.MediaType())
	return nil
}

// parts returns the digests of m and of all that it is made of.
func parts(m content.Manifest) []digest.Digest {
	all := []digest.Digest{m.Digest()}
	for _, e := range m.Edges() {
		if e.Role != content.RoleSubject {
			all = append(all, e.Descriptor.Digest)
		}
	}
	return all
}

// entryDescriptor returns what stands in index.json about m: without a name, and
// without m's annotations, which may be larger than index.json and are read
// from m itself.
func entryDescriptor(m content.Manifest) (d ocispec.Descriptor, refers bool) {
	const longestType = 255 // RFC 6838 §4.2
	d = m.Descriptor()
	if _, refers = m.Subject(); !refers || len(d.ArtifactType) > longestType {
		d.ArtifactType = ""
	}
	return d, refers
}

func (x *index) put(d ocispec.Descriptor, names []string) (changed bool, err error) {
	for _, name := range names {
		if name == d.Digest.String() {
			continue
		}
		moved, err := x.point(name, d)
		if err != nil {
			return false, err
		}
		changed = changed || moved
	}
	rooted, err := x.root(d)
	return changed || rooted, err
}

// complete reports what m needs and k has not. Children may be missing on
// purpose, and foreign layers too.
func (k *disk) complete(ctx context.Context, m content.Manifest) error {
	for _, d := range m.Blobs() {
		if content.IsForeign(d.MediaType) {
			continue
		}
		has, err := k.has(ctx, d)
		if err != nil {
			return err
		}
		if !has {
			return k.fail("write", k.place(m.Digest()), fmt.Errorf("manifest %s: blob %s: %w", m.Digest(), d.Digest, content.ErrNotFound))
		}
	}
	return nil
}

// Untag implements [content.Deleter]. What name stood for stays in the layout,
// with an entry without a name if it has no other.
func (l *Layout) Untag(ctx context.Context, name string) error {
	if _, err := l.readIndex(); err != nil {
		return err
	}
	return l.edit(ctx, func(x *index) (bool, error) {
		if name == "" {
			return false, l.disk.fail("write", indexFile, fmt.Errorf("no image has an empty name: %w", content.ErrNotFound))
		}
		found, err := x.untag(name)
		if err == nil && !found {
			err = fmt.Errorf("no image is called %q: %w", name, content.ErrNotFound)
		}
		return true, l.disk.fail("write", indexFile, err)
	})
}

// DeleteManifest implements [content.Deleter]. What the manifest needed stays.
func (l *Layout) DeleteManifest(ctx context.Context, d digest.Digest) error {
	if err := content.CheckDigest(d); err != nil {
		return err
	}
	_, err := l.manifest(ctx, ocispec.Descriptor{Digest: d})
	if err != nil && !errors.Is(err, content.ErrCorrupt) {
		return err
	}
	err = l.edit(ctx, func(x *index) (bool, error) {
		had := len(x.entries)
		x.entries = slices.DeleteFunc(x.entries, func(e entry) bool { return e.digest == d })
		return len(x.entries) != had, nil
	})
	if err != nil {
		return err
	}
	name := l.disk.place(d)
	if err := l.disk.root.Remove(name); err != nil {
		return l.disk.fail("remove", name, err)
	}
	l.disk.right.Delete(d)
	l.facts.seen.Delete(d)
	if err := l.disk.root.Remove(l.disk.mark(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l.disk.fail("remove", l.disk.mark(d), err)
	}
	return nil
}

// manifest reads the manifest that d says; only its digest is needed.
func (l *Layout) manifest(ctx context.Context, d ocispec.Descriptor) (content.Manifest, error) {
	m, err := l.disk.manifest(d, l.disk.place(d.Digest))
	if errors.Is(err, content.ErrInvalid) && !errors.Is(err, durable.ErrNotRegular) && d.MediaType == "" {
		// Bytes that do not tell what they are: the index that names them may.
		if d.MediaType = l.typeOf(ctx, d.Digest); d.MediaType != "" {
			m, err = l.disk.manifest(d, l.disk.place(d.Digest))
		}
	}
	if err == nil {
		l.facts.learn(m)
	}
	return m, err
}

// typeOf returns the media type that an index says manifest d has, or "".
func (l *Layout) typeOf(ctx context.Context, d digest.Digest) string {
	if t := l.facts.typeOf(d); t != "" {
		return t
	}
	x, err := l.index()
	if err != nil {
		return ""
	}
	w := walk{l: l, seen: map[digest.Digest]bool{d: true}}
	for _, e := range x.entries {
		if e.digest == d {
			return e.bare().MediaType
		}
		w.visit(ctx, e.bare())
	}
	return l.facts.typeOf(d)
}

// manifest reads and verifies the manifest that lies in file name.
func (k *disk) manifest(d ocispec.Descriptor, name string) (content.Manifest, error) {
	if err := content.CheckDigest(d.Digest); err != nil {
		return content.Manifest{}, err
	}
	raw, err := k.readManifest(name)
	if err != nil {
		return content.Manifest{}, err
	}
	m, err := content.VerifyManifest(d, raw, k.opts.Limits)
	return m, k.fail("read", name, err)
}

func (k *disk) readManifest(name string) ([]byte, error) {
	if err := k.checkFolder(name); err != nil {
		return nil, err
	}
	raw, err := durable.ReadRegular(k.root, name, k.opts.Limits.Effective().ManifestSize, content.ErrInvalid)
	return raw, k.fail("read", name, err)
}

// manifestFacts is what manifests that were read say of others. Digests vouch
// for it: it holds for as long as the process runs.
type manifestFacts struct {
	types sync.Map // digest.Digest to the media type an index says
	seen  sync.Map // digest.Digest to node
}

// A node is what is known of one manifest.
type node struct {
	listing  ocispec.Descriptor // as a listing of referrers has it
	subject  digest.Digest      // empty for none
	children []digest.Digest
}

func (f *manifestFacts) typeOf(d digest.Digest) string {
	t, _ := f.types.Load(d)
	mediaType, _ := t.(string)
	return mediaType
}

func (f *manifestFacts) learn(m content.Manifest) {
	if _, known := f.seen.Load(m.Digest()); known {
		return
	}
	n := node{listing: content.ReferrerDescriptor(m)}
	if to, ok := m.Subject(); ok {
		n.subject = to.Digest
	}
	for _, d := range m.Children() {
		n.children = append(n.children, d.Digest)
		f.types.Store(d.Digest, d.MediaType)
	}
	f.seen.Store(m.Digest(), n)
}
