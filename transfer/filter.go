package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// filter returns the root that is written: the source's own, or an index that
// has only what the job asks for.
func (c *Copier) filter(ctx context.Context, image *ImagePlan, root content.Manifest) (content.Manifest, error) {
	f := image.job.Filter
	switch {
	case !f.narrows():
		return root, nil
	case !root.IsIndex() && len(f.Platforms) == 0:
		return root, nil
	case !root.IsIndex():
		return root, c.checkImage(ctx, image, root)
	}
	if err := root.Ambiguous(); err != nil {
		return root, err
	}
	if f.Sparse {
		image.Unmatched = f.unmatched(platformsOf(root))
		return root, f.offersAny(root)
	}
	n := c.newNarrower(image.src, f)
	narrow, err := n.index(ctx, root, 0)
	if err != nil {
		return root, err
	}
	image.count(n.census)
	if narrow.IsZero() {
		return root, cmp.Or(f.offersAny(root), n.census.nothing(root))
	}
	image.src = &overlay{Source: image.src, made: n.made}
	image.Unmatched = f.unmatched(n.seen)
	return narrow, nil
}

// narrows reports whether an index may be more than is copied of it.
func (f Filter) narrows() bool { return len(f.Platforms) > 0 || f.Here }

// checkImage refuses an image that is for none of the job's platforms, and notes
// those that it is not for.
func (c *Copier) checkImage(ctx context.Context, image *ImagePlan, root content.Manifest) error {
	platforms := image.job.Filter.Platforms
	err := content.CheckPlatform(ctx, image.job.Src, root, platforms, c.Limits)
	if err != nil || len(platforms) == 1 {
		return err
	}
	for _, p := range platforms {
		err := content.CheckPlatform(ctx, image.job.Src, root, []content.Platform{p}, c.Limits)
		switch {
		case errors.Is(err, content.ErrNotFound):
			image.Unmatched = append(image.Unmatched, p)
		case err != nil:
			return err
		}
	}
	return nil
}

// unmatched returns the platforms for which nothing is kept of what images are for.
func (f Filter) unmatched(got []content.Platform) []content.Platform {
	var none []content.Platform
	for _, p := range f.Platforms {
		if !f.offers(p, got) && !slices.Contains(none, p) {
			none = append(none, p)
		}
	}
	return none
}

// offers reports whether something is kept for p of what images are for.
func (f Filter) offers(p content.Platform, got []content.Platform) bool {
	return slices.ContainsFunc(got, p.Runs) || !f.picks(p) && slices.ContainsFunc(got, p.Matches)
}

// picks reports whether but one image of an index is kept for p.
func (f Filter) picks(p content.Platform) bool { return f.One && p.IsOne() }

// platformsOf returns what the images of index m are for, without those of
// nested indexes.
func platformsOf(m content.Manifest) []content.Platform {
	var got []content.Platform
	for _, d := range m.Children() {
		if !content.IsAttestation(d) && d.Platform != nil {
			got = append(got, content.PlatformOf(*d.Platform))
		}
	}
	return got
}

// keeps reports which children of m f asks for: images whose platform matches, or
// that are picked, what attests those, and nested indexes, which are looked into. A
// child that states no platform is nobody's. Without platforms all are asked for.
func (f Filter) keeps(m content.Manifest) func(ocispec.Descriptor) bool {
	if len(f.Platforms) == 0 {
		return func(ocispec.Descriptor) bool { return true }
	}
	kept := f.images(m)
	return func(d ocispec.Descriptor) bool {
		if content.IsAttestation(d) {
			return kept[digest.Digest(d.Annotations[content.AnnotationReferenceDigest])]
		}
		return kept[d.Digest] || d.Platform == nil && content.IsIndex(d.MediaType)
	}
}

// images returns the children of m that are for the platforms.
func (f Filter) images(m content.Manifest) map[digest.Digest]bool {
	kept := map[digest.Digest]bool{}
	several := slices.DeleteFunc(slices.Clone(f.Platforms), f.picks)
	for _, d := range m.Children() {
		if !content.IsAttestation(d) && d.Platform != nil && matchesAny(content.PlatformOf(*d.Platform), several) {
			kept[d.Digest] = true
		}
	}
	for _, p := range f.Platforms {
		if d, err := content.PickPlatform(m, p); err == nil {
			kept[d.Digest] = true
		}
	}
	return kept
}

func (f Filter) keepSparse() func(content.Manifest, ocispec.Descriptor) bool {
	if len(f.Platforms) == 0 {
		return nil
	}
	rules := map[digest.Digest]func(ocispec.Descriptor) bool{} // of parents; an index may have thousands of children
	return func(parent content.Manifest, child ocispec.Descriptor) bool {
		rule := rules[parent.Digest()]
		if rule == nil {
			rule = f.keeps(parent)
			rules[parent.Digest()] = rule
		}
		return rule(child)
	}
}

// keepHere keeps those children that also keeps, if it is set, and that src has, and
// counts in seen. One that cannot be read is kept: reading it tells why.
func keepHere(ctx context.Context, src content.Source, seen *census, also func(content.Manifest, ocispec.Descriptor) bool) func(content.Manifest, ocispec.Descriptor) bool {
	return func(parent content.Manifest, child ocispec.Descriptor) bool {
		if also != nil && !also(parent, child) {
			return false
		}
		m, err := src.Manifest(ctx, child.Digest.String())
		seen.count(child, m, err)
		return !errors.Is(err, content.ErrNotFound)
	}
}

// A census counts the images of indexes, each once, and those of them that the source
// does not have. What attests others is none, and neither is an index that is there.
type census struct{ offered, absent map[digest.Digest]bool }

func newCensus() *census {
	return &census{map[digest.Digest]bool{}, map[digest.Digest]bool{}}
}

// count takes in child d of an index, which was read as m, or could not be.
func (c *census) count(d ocispec.Descriptor, m content.Manifest, err error) {
	if content.IsAttestation(d) || m.IsIndex() {
		return
	}
	c.offered[d.Digest] = true
	if errors.Is(err, content.ErrNotFound) {
		c.absent[d.Digest] = true
	}
}

// nothing says that nothing of index m is left to be copied.
func (c *census) nothing(m content.Manifest) error {
	return fmt.Errorf("none of the %d images of index %s is here: %w", len(c.offered), m.Digest(), content.ErrNotFound)
}

func (image *ImagePlan) count(seen *census) {
	image.Offered, image.Absent = len(seen.offered), len(seen.absent)
}

func matchesAny(got content.Platform, platforms []content.Platform) bool {
	return slices.ContainsFunc(platforms, func(p content.Platform) bool { return p.Matches(got) })
}

// offersAny is an error when index m has nothing for any of the platforms.
func (f Filter) offersAny(m content.Manifest) error {
	got := platformsOf(m)
	var err error
	for _, p := range f.Platforms {
		if f.offers(p, got) {
			return nil
		}
		_, err = content.PickPlatform(m, p)
	}
	return err
}
