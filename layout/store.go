package layout

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A Store is a layout that holds many images of a user, each called by a full
// reference, as docs/format/store.md has it. It may be used by many goroutines
// and processes at once; it must be closed after use.
//
// As a source and a sink it is a layout whose names are docker's: nginx,
// nginx:latest and docker.io/library/nginx:latest are the same name. A name that
// moves leaves the image that had it in the store, called by its digest.
type Store struct {
	*Layout
}

var (
	_ content.Source         = (*Store)(nil)
	_ content.Sink           = (*Store)(nil)
	_ content.Resolver       = (*Store)(nil)
	_ content.Deleter        = (*Store)(nil)
	_ content.NameKeeper     = (*Store)(nil)
	_ content.TagLister      = (*Store)(nil)
	_ content.RandomSink     = (*Store)(nil)
	_ content.ReferrerLister = (*Store)(nil)
)

// OpenStore opens the store at path. Where there is none it is empty, and is
// made when the first image is written. What is there and no layout is
// [content.ErrInvalid].
func OpenStore(path string) (*Store, error) { return Options{}.OpenStore(path) }

// OpenStore is [OpenStore] with options, which count for what is read on opening too.
func (o Options) OpenStore(path string) (*Store, error) {
	l, err := o.Create(path)
	if err != nil {
		return nil, err
	}
	return &Store{Layout: l}, nil
}

// Resolve implements [content.Resolver]. ref is a name, a digest, a name with a
// digest behind an @, which decides, or an image ID or how one begins, with
// sha256: in front or without. What several images could be meant by is
// [content.ErrInvalid].
func (s *Store) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	m, err := s.Manifest(ctx, ref)
	return m.Descriptor(), err
}

// Manifest implements [content.Source]. ref is what Resolve takes.
func (s *Store) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	d, ok := byDigest(ref)
	if ok {
		if err := s.disk.finding(ctx, d); err != nil {
			return content.Manifest{}, err
		}
	}
	if ok && s.disk.there(d) {
		if m, err := s.manifest(ctx, ocispec.Descriptor{Digest: d}); !errors.Is(err, content.ErrInvalid) {
			return m, err
		} // the blob of that digest is no manifest, but may be a config, which is an image's ID
	}
	if d, err := s.Holder(ctx, ref); !errors.Is(err, content.ErrNotFound) {
		if err != nil {
			return content.Manifest{}, err
		}
		return s.manifest(ctx, d)
	}
	if ok && !s.disk.there(d) {
		return content.Manifest{}, s.noImage(ref) // it is no image ID either: of an index there are many, and a listing is dear
	}
	image, err := s.Find(ctx, ref)
	if err != nil {
		return content.Manifest{}, err
	}
	return s.manifest(ctx, image.Root)
}

// Holder implements [content.NameKeeper]. A name by digest is that of an image
// with a tag in the same repository too.
func (s *Store) Holder(_ context.Context, name string) (ocispec.Descriptor, error) {
	x, err := s.index()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	n, err := parseStoreName(name)
	if err != nil {
		return ocispec.Descriptor{}, s.noImage(name)
	}
	i := x.holder(n)
	if i < 0 {
		i = x.tagBeside(n)
	}
	if i < 0 {
		return ocispec.Descriptor{}, s.noImage(name)
	}
	return x.entries[i].descriptor(), nil
}

func (s *Store) noImage(ref string) error {
	return s.disk.fail("read", indexFile, fmt.Errorf("no image is called %q: %w", ref, content.ErrNotFound))
}

// PutManifest implements [content.Sink]. An image that has lost its last name to
// m is called by its digest.
func (s *Store) PutManifest(ctx context.Context, m content.Manifest, names ...string) error {
	wanted, err := parseStoreNames(names)
	if err != nil {
		return s.disk.fail("write", indexFile, err)
	}
	if err := s.store(ctx, m, names); err != nil {
		return err
	}
	d, refers := entryDescriptor(m)
	if len(names) == 0 && !refers {
		return nil
	}
	return s.edit(ctx, func(x *index) (bool, error) { return x.call(d, wanted) })
}

// PutNewNames implements [content.NameKeeper].
func (s *Store) PutNewNames(ctx context.Context, m content.Manifest, names ...string) (kept []string, err error) {
	if _, err := parseStoreNames(names); err != nil {
		return nil, s.disk.fail("write", indexFile, err)
	}
	if err := s.store(ctx, m, names); err != nil {
		return nil, err
	}
	d, refers := entryDescriptor(m)
	err = s.edit(ctx, func(x *index) (bool, error) {
		var free []string
		kept, free = split(names, func(name string) bool { return x.holds(name) })
		if len(free) == 0 && !refers {
			return false, nil
		}
		wanted, err := parseStoreNames(free)
		if err != nil {
			return false, err
		}
		return x.call(d, wanted)
	})
	return kept, err
}

// Tag makes name stand for d too, the manifest or index of an image that is in the
// store: one that is not is [content.ErrNotFound].
func (s *Store) Tag(ctx context.Context, d ocispec.Descriptor, name string) error {
	n, err := parseStoreName(name)
	if err != nil {
		return s.disk.fail("write", indexFile, err)
	}
	if err := content.CheckDigest(d.Digest); err != nil {
		return err
	}
	if err := s.disk.relies(ctx, d.Digest); err != nil { // somebody may be about to remove it
		return err
	}
	if !s.disk.there(d.Digest) {
		return s.noImage(d.Digest.String())
	}
	return s.edit(ctx, func(x *index) (bool, error) { return x.call(bare(d), []storeName{n}) })
}

// bare returns d without what an entry says of its own.
func bare(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, ArtifactType: d.ArtifactType}
}

// A Removal is what Untag or Remove took away.
type Removal struct {
	Names []string            // as they are shown
	Gone  *ocispec.Descriptor // of the image, where it has no name left; nil where it has
}

// Remove takes name away. An image that had no other tag goes with it, and what it
// is called by its digest in the same repository; in another one it stays. Its blobs stay until [Layout.Collect]. A name
// that no image has is [content.ErrNotFound].
func (s *Store) Remove(ctx context.Context, name string) (r Removal, err error) {
	n, err := parseStoreName(name)
	if err != nil {
		return r, s.disk.fail("write", indexFile, err)
	}
	if _, err := s.Holder(ctx, name); err != nil {
		return r, err
	}
	err = s.edit(ctx, func(x *index) (bool, error) {
		i := x.holder(n)
		if i < 0 {
			return false, s.noImage(name)
		}
		d := x.entries[i].descriptor()
		x.entries = slices.DeleteFunc(x.entries, func(e entry) bool { return e.isCalled(n) }) // other tools may name twice
		r = Removal{Names: []string{n.shown}}
		if x.tagged(d.Digest) {
			return true, nil
		}
		r.Names = append(r.Names, x.dropIn(n.repository, d.Digest)...)
		if !x.named(d.Digest) {
			x.drop(d.Digest)
			r.Gone = &d
		}
		return true, nil
	})
	return r, err
}

// RemoveImage takes the image d away with all its names, which are those the
// caller knows of: one that it was given meanwhile is [content.ErrConflict], and
// then nothing is taken away. Its blobs stay until [Layout.Collect].
func (s *Store) RemoveImage(ctx context.Context, d digest.Digest, names []string) (r Removal, err error) {
	if !s.disk.made.Load() {
		return r, s.noImage(d.String())
	}
	err = s.edit(ctx, func(x *index) (bool, error) {
		i := slices.IndexFunc(x.entries, func(e entry) bool { return e.digest == d })
		if i < 0 {
			return false, s.noImage(d.String())
		}
		root := x.entries[i].descriptor()
		r = Removal{Names: x.drop(d), Gone: &root}
		for _, name := range r.Names {
			if !slices.Contains(names, name) {
				return false, s.disk.fail("write", indexFile, fmt.Errorf("image %s has just been called %s: %w", d, name, content.ErrConflict))
			}
		}
		return true, nil
	})
	return r, err
}

// RemoveImages takes images away with all their names, in one writing of
// index.json, and returns what was taken away of each. One that is not there any
// more, or was given another name meanwhile, is passed over: nothing of it is gone.
func (s *Store) RemoveImages(ctx context.Context, images []Image) ([]Removal, error) {
	removals := make([]Removal, len(images))
	if len(images) == 0 || !s.disk.made.Load() {
		return removals, nil
	}
	err := s.edit(ctx, func(x *index) (changed bool, err error) {
		names := x.allNames()
		doomed := map[digest.Digest]bool{}
		for n, i := range images {
			now, there := names[i.Root.Digest]
			removals[n] = Removal{}
			if !there || slices.ContainsFunc(now, func(name string) bool { return !slices.Contains(i.Names, name) }) {
				continue
			}
			doomed[i.Root.Digest] = true
			removals[n] = Removal{Names: now, Gone: &images[n].Root}
		}
		x.entries = slices.DeleteFunc(x.entries, func(e entry) bool { return doomed[e.digest] })
		return len(doomed) > 0, nil
	})
	return removals, err
}

// A StoreRepository is one repository's view of a store: its names are tags. It
// is a source and a sink over the blobs that all of the store shares.
type StoreRepository struct {
	*Store
	name string
}

// Repository returns the view of the repository that name means, as docker reads
// it; one that has no image yet is empty. What is no name is [content.ErrInvalid].
func (s *Store) Repository(name string) (*StoreRepository, error) {
	n, err := parseStoreName(name)
	if err != nil {
		return nil, s.disk.fail("open", indexFile, err)
	}
	return &StoreRepository{s, n.repository}, nil
}

// in returns the full name of what ref, a tag or a digest, is called here.
func (r *StoreRepository) in(ref string) string {
	if _, ok := byDigest(ref); ok {
		return ref
	}
	return r.name + ":" + ref
}

func (r *StoreRepository) all(tags []string) []string {
	names := make([]string, len(tags))
	for i, tag := range tags {
		names[i] = r.in(tag)
	}
	return names
}

// Manifest implements [content.Source]: ref is a tag or a digest.
func (r *StoreRepository) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	return r.Store.Manifest(ctx, r.in(ref))
}

// Resolve implements [content.Resolver].
func (r *StoreRepository) Resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	return r.Store.Resolve(ctx, r.in(ref))
}

// Tags implements [content.TagLister], sorted.
func (r *StoreRepository) Tags(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		x, err := r.index()
		if err != nil {
			yield("", err)
			return
		}
		for _, tag := range x.tags(r.name) {
			if !yield(tag, nil) {
				return
			}
		}
	}
}

// PutManifest implements [content.Sink].
func (r *StoreRepository) PutManifest(ctx context.Context, m content.Manifest, tags ...string) error {
	return r.Store.PutManifest(ctx, m, r.all(tags)...)
}

// PutNewNames implements [content.NameKeeper].
func (r *StoreRepository) PutNewNames(ctx context.Context, m content.Manifest, tags ...string) ([]string, error) {
	kept, err := r.Store.PutNewNames(ctx, m, r.all(tags)...)
	for i, name := range kept {
		kept[i] = content.TagOf(name)
	}
	return kept, err
}

// Holder implements [content.NameKeeper].
func (r *StoreRepository) Holder(ctx context.Context, tag string) (ocispec.Descriptor, error) {
	return r.Store.Holder(ctx, r.in(tag))
}

// Untag implements [content.Deleter].
func (r *StoreRepository) Untag(ctx context.Context, tag string) error {
	return r.Store.Untag(ctx, r.in(tag))
}
