package layout

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// An Image is what a store has under one manifest or index.
type Image struct {
	Root     ocispec.Descriptor // of the manifest or index, as the registry has it
	Names    []string           // nginx:latest, nginx@sha256:…; none for an image without a name
	Variants []Variant          // the platforms that are here, in the order of the index
	Offers   []content.Platform // all platforms of the index
}

// A Variant is an image for one platform that is in a store with all it needs.
type Variant struct {
	Manifest digest.Digest
	ID       digest.Digest // of the config; of the manifest itself where it has none
	Platform content.Platform
	Created  time.Time // zero where the config does not say
	Size     int64     // of the manifest, its config and its layers as they are stored, in bytes

	labels string // JSON, which is not read before somebody asks
}

// Labels returns the labels of the config.
func (v Variant) Labels() map[string]string {
	var labels map[string]string
	if json.Unmarshal([]byte(v.labels), &labels) != nil {
		return nil
	}
	return labels
}

// ID returns what the image is called by when it has no name: the config's
// digest of the variant that p picks, or the root's digest where none is here.
func (i Image) ID(p content.Platform) digest.Digest {
	if v, ok := i.For(p); ok {
		return v.ID
	}
	return i.Root.Digest
}

// For returns the variant that serves p best, as [content.Platform.Compare] has it,
// or else the first that is here; false where none is.
func (i Image) For(p content.Platform) (Variant, bool) {
	if len(i.Variants) == 0 {
		return Variant{}, false
	}
	return slices.MinFunc(i.Variants, func(a, b Variant) int { return p.Compare(a.Platform, b.Platform) }), true
}

// Tags returns those names that have a tag: an image without one is dangling.
func (i Image) Tags() []string {
	return slices.DeleteFunc(slices.Clone(i.Names), func(name string) bool { return strings.Contains(name, "@") })
}

// answersTo reports whether the hex digits begin one of the digests that stand
// for the image.
func (i Image) answersTo(hex string) bool {
	begins := func(d digest.Digest) bool { return strings.HasPrefix(d.Encoded(), hex) }
	return begins(i.Root.Digest) || slices.ContainsFunc(i.Variants, func(v Variant) bool { return begins(v.ID) || begins(v.Manifest) })
}

// Images returns the images of the store, those first that were made last. What
// refers to an image that is here is none, and neither is what index.json
// names and nobody can read.
func (s *Store) Images(ctx context.Context) ([]Image, error) {
	x, err := s.index()
	if err != nil {
		return nil, err
	}
	facts := s.knownFacts()
	images := make([]Image, 0, len(x.entries))
	at := make(map[digest.Digest]int, len(x.entries))
	for _, e := range x.entries {
		n, named := e.storeName()
		if content.IsDigestTag(n.tag) || content.IsDigestTag(e.refName()) {
			continue
		}
		i, known := at[e.digest]
		if !known {
			i = len(images)
			image, err := facts.image(ctx, e.bare())
			if err != nil {
				return nil, err
			}
			at[e.digest] = i
			images = append(images, image)
		}
		if named {
			images[i].Names = append(images[i].Names, n.shown)
		} else if e.name() != "" {
			images[i].Names = append(images[i].Names, e.name())
		}
	}
	s.keepFacts(facts)
	images = slices.DeleteFunc(images, func(i Image) bool { return len(i.Names) == 0 && facts.refers(i.Root.Digest) })
	sortNewestFirst(images)
	return images, nil
}

// sortNewestFirst sorts images. They are large: each is moved once.
func sortNewestFirst(images []Image) {
	type dated struct {
		created time.Time
		at      int
	}
	order := make([]dated, len(images))
	for n := range images {
		v, _ := images[n].For(content.HostPlatform())
		order[n] = dated{v.Created, n}
	}
	slices.SortFunc(order, func(a, b dated) int {
		if c := b.created.Compare(a.created); c != 0 {
			return c
		}
		return cmp.Or(slices.Compare(images[a.at].Names, images[b.at].Names), cmp.Compare(images[a.at].Root.Digest, images[b.at].Root.Digest))
	})
	for n := range order {
		// Of those that trade places around this one each takes the place it has.
		first := images[n]
		to := n
		for order[to].at != n && order[to].at >= 0 {
			from := order[to].at
			images[to], order[to].at = images[from], -1
			to = from
		}
		if order[to].at == n {
			images[to], order[to].at = first, -1
		}
	}
}

// leastID is how many digits of an image ID are enough to look for one.
const leastID = 2

// Find returns the image that ref means: a name, a digest of the image, of its
// root or of a manifest of it, or how one of these digests begins, with or
// without sha256: in front. Of several with the same ID it is the first. What no
// image is called is [content.ErrNotFound], and what could be several an
// [AmbiguousError].
func (s *Store) Find(ctx context.Context, ref string) (Image, error) {
	images, err := s.Images(ctx)
	if err != nil {
		return Image{}, err
	}
	found := s.matching(images, ref)
	if len(found) == 0 {
		return Image{}, s.noImage(ref)
	}
	if sameID(found) {
		return found[0], nil
	}
	return Image{}, &AmbiguousError{Ref: ref, Images: found}
}

// An AmbiguousError is what several images could be meant by. It is [content.ErrInvalid].
type AmbiguousError struct {
	Ref    string
	Images []Image
}

// Error counts the images and calls the first of them by name, or by digest.
func (e *AmbiguousError) Error() string {
	const most = 5
	var names []string
	for _, i := range e.Images[:min(most, len(e.Images))] {
		if len(i.Names) > 0 {
			names = append(names, i.Names[0])
		} else {
			names = append(names, i.Root.Digest.String())
		}
	}
	if more := len(e.Images) - most; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%s could mean %d images: %s", e.Ref, len(e.Images), strings.Join(names, ", "))
}

// Is reports whether target is [content.ErrInvalid].
func (e *AmbiguousError) Is(target error) bool { return target == content.ErrInvalid }

// FindAll is [Store.Find] for what may mean several: an image ID is that of all
// images with the same config.
func (s *Store) FindAll(ctx context.Context, ref string) ([]Image, error) {
	images, err := s.Images(ctx)
	if err != nil {
		return nil, err
	}
	found := s.matching(images, ref)
	if len(found) == 0 {
		return nil, s.noImage(ref)
	}
	if !sameID(found) {
		_, err := s.Find(ctx, ref)
		return nil, err
	}
	return found, nil
}

// sameID reports whether images have one ID: they are the same, but packed in
// several ways.
func sameID(images []Image) bool {
	id := images[0].ID(content.HostPlatform())
	return !slices.ContainsFunc(images, func(i Image) bool { return i.ID(content.HostPlatform()) != id })
}

func (s *Store) matching(images []Image, ref string) []Image {
	if d, ok := byDigest(ref); ok {
		// An index of which it is one platform is another image.
		if i := slices.IndexFunc(images, func(i Image) bool { return i.Root.Digest == d }); i >= 0 {
			return images[i : i+1]
		}
		ref = d.Encoded()
	} else if n, err := parseStoreName(ref); err == nil {
		if i := slices.IndexFunc(images, func(i Image) bool { return slices.Contains(i.Names, n.shown) }); i >= 0 {
			return images[i : i+1]
		}
	}
	hex := strings.TrimPrefix(ref, "sha256:")
	if len(hex) < leastID || strings.Trim(hex, "0123456789abcdef") != "" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(images), func(i Image) bool { return !i.answersTo(hex) })
}

// here returns the names of the files of blobs, about so many, by one look at their folders: of
// 5,000 images it takes a fraction of what looking at each manifest does.
func (s *Store) here(about int) (map[string]struct{}, error) {
	here := make(map[string]struct{}, about)
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for names, err := range s.disk.names(blobsDir + "/" + alg.String()) {
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				here[name] = struct{}{}
			}
		}
	}
	return here, nil
}

// names lists a folder, some names at a time; one that is not there is empty. An
// error comes last.
func (k *disk) names(folder string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		if err := k.checkFolder(folder + "/any"); errors.Is(err, content.ErrNotFound) {
			return
		} else if err != nil {
			yield(nil, err)
			return
		}
		dir, err := k.root.Open(folder)
		for more := true; err == nil && more; {
			var names []string
			names, err = dir.Readdirnames(1000)
			more = len(names) > 0 && yield(names, nil)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if dir != nil {
			err = errors.Join(err, dir.Close())
		}
		if err != nil {
			yield(nil, k.fail("read", folder, err))
		}
	}
}
