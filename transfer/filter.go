package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// filter returns the root that is written: the source's own, or an index that
// has only what the job's platforms ask for.
func (c *Copier) filter(ctx context.Context, image *ImagePlan, root content.Manifest) (content.Manifest, error) {
	f := image.job.Filter
	if len(f.Platforms) == 0 {
		return root, nil
	}
	if !root.IsIndex() {
		return root, c.checkImage(ctx, image, root)
	}
	if err := root.Ambiguous(); err != nil {
		return root, err
	}
	if f.Sparse {
		image.Unmatched = unmatched(f.Platforms, platformsOf(root))
		return root, offersAny(root, f.Platforms)
	}
	n := c.newNarrower(image.src, f.Platforms)
	narrow, err := n.index(ctx, root, 0)
	if err != nil {
		return root, err
	}
	if len(narrow.Children()) == 0 {
		return root, offersAny(root, f.Platforms)
	}
	image.src = &overlay{Source: image.src, made: n.made}
	image.Unmatched = unmatched(f.Platforms, n.seen)
	return narrow, nil
}

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

// unmatched returns which of platforms match nothing of got.
func unmatched(platforms, got []content.Platform) []content.Platform {
	var none []content.Platform
	for _, p := range platforms {
		if !slices.ContainsFunc(got, p.Matches) && !slices.Contains(none, p) {
			none = append(none, p)
		}
	}
	return none
}

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

// keeps reports which children of m are asked for: images whose platform
// matches, what attests those, and nested indexes, which are looked into.
// A child that states no platform is nobody's.
func keeps(m content.Manifest, platforms []content.Platform) func(ocispec.Descriptor) bool {
	kept := map[string]bool{}
	for _, d := range m.Children() {
		if !content.IsAttestation(d) && d.Platform != nil && matchesAny(content.PlatformOf(*d.Platform), platforms) {
			kept[d.Digest.String()] = true
		}
	}
	return func(d ocispec.Descriptor) bool {
		if content.IsAttestation(d) {
			return kept[d.Annotations[content.AnnotationReferenceDigest]]
		}
		return kept[d.Digest.String()] || d.Platform == nil && content.IsIndex(d.MediaType)
	}
}

func keepSparse(platforms []content.Platform) func(content.Manifest, ocispec.Descriptor) bool {
	if len(platforms) == 0 {
		return nil
	}
	rules := map[digest.Digest]func(ocispec.Descriptor) bool{} // of parents; an index may have thousands of children
	return func(parent content.Manifest, child ocispec.Descriptor) bool {
		rule := rules[parent.Digest()]
		if rule == nil {
			rule = keeps(parent, platforms)
			rules[parent.Digest()] = rule
		}
		return rule(child)
	}
}

// isSparse reports whether an index may be written without all of its children.
func (f Filter) isSparse() bool { return f.Sparse || f.Here }

// keepHere keeps those children that also keeps, if it is set, and that src has.
// One that cannot be read is kept: reading it tells why.
func keepHere(ctx context.Context, src content.Source, also func(content.Manifest, ocispec.Descriptor) bool) func(content.Manifest, ocispec.Descriptor) bool {
	return func(parent content.Manifest, child ocispec.Descriptor) bool {
		if also != nil && !also(parent, child) {
			return false
		}
		_, err := src.Manifest(ctx, child.Digest.String())
		return !errors.Is(err, content.ErrNotFound)
	}
}

func matchesAny(got content.Platform, platforms []content.Platform) bool {
	return slices.ContainsFunc(platforms, func(p content.Platform) bool { return p.Matches(got) })
}

// offersAny is an error when index m has nothing for any of platforms.
func offersAny(m content.Manifest, platforms []content.Platform) error {
	var err error
	for _, p := range platforms {
		if _, err = content.PickPlatform(m, p); err == nil {
			return nil
		}
	}
	return err
}

// A narrower rewrites indexes.
type narrower struct {
	src       content.Source
	platforms []content.Platform
	seen      []content.Platform // what the images of all indexes are for
	limits    content.Limits
	made      map[digest.Digest]content.Manifest
	done      map[digest.Digest]content.Manifest // nested indexes by what they were: an index may name one often
}

func (c *Copier) newNarrower(src content.Source, platforms []content.Platform) *narrower {
	limits := c.Limits.Effective()
	return &narrower{
		src:       rationed{src, &ration{of: "the indexes of the image", most: limits.GraphSize}},
		platforms: platforms,
		limits:    limits,
		made:      map[digest.Digest]content.Manifest{},
		done:      map[digest.Digest]content.Manifest{},
	}
}

// index returns m without the children nobody asked for: m itself where all
// are. Nested indexes are narrowed first; an empty one is left out.
func (n *narrower) index(ctx context.Context, m content.Manifest, depth int) (content.Manifest, error) {
	if depth > n.limits.Depth {
		return m, invalidf("indexes are nested more than %d deep", n.limits.Depth)
	}
	keep := keeps(m, n.platforms)
	n.seen = append(n.seen, platformsOf(m)...)
	var entries []entry
	for i, d := range m.Children() {
		if !keep(d) {
			continue
		}
		if !content.IsIndex(d.MediaType) {
			entries = append(entries, entry{at: i})
			continue
		}
		child, err := n.child(ctx, d, depth)
		if err != nil {
			return m, err
		}
		switch {
		case len(child.Children()) == 0:
			continue
		case child.Digest() == d.Digest:
			entries = append(entries, entry{at: i})
		default:
			d.Digest, d.Size, d.Data = child.Digest(), child.Size(), nil
			entries = append(entries, entry{at: i, instead: &d})
		}
	}
	return n.rewrite(m, entries)
}

func (n *narrower) child(ctx context.Context, d ocispec.Descriptor, depth int) (content.Manifest, error) {
	if narrow, ok := n.done[d.Digest]; ok {
		return narrow, nil
	}
	if len(n.done) >= n.limits.Nodes {
		return content.Manifest{}, invalidf("more than %d nested indexes", n.limits.Nodes)
	}
	child, err := n.src.Manifest(ctx, d.Digest.String())
	if err != nil {
		return content.Manifest{}, err
	}
	if err := content.CheckChild(child, d); err != nil {
		return content.Manifest{}, err
	}
	narrow, err := n.index(ctx, child, depth+1)
	if err == nil {
		n.done[d.Digest] = narrow
	}
	return narrow, err
}

// An entry is a child that stays: the one at a position of the index, or
// another in its place.
type entry struct {
	at      int
	instead *ocispec.Descriptor
}

// rewrite replaces the manifests of m and leaves every other byte as it is.
func (n *narrower) rewrite(m content.Manifest, entries []entry) (content.Manifest, error) {
	same := len(entries) == len(m.Children()) && !slices.ContainsFunc(entries, func(e entry) bool { return e.instead != nil })
	if same || len(entries) == 0 {
		return orNone(m, entries), nil
	}
	raw, err := splice(m.Raw(), entries)
	if err != nil {
		return m, err
	}
	narrow, err := content.ParseManifest(m.MediaType(), raw, n.limits)
	if err != nil {
		return m, err
	}
	n.made[narrow.Digest()] = narrow
	return narrow, nil
}

// orNone returns m where it stays as it is, and none where nothing of it stays.
func orNone(m content.Manifest, entries []entry) content.Manifest {
	if len(entries) == 0 {
		return content.Manifest{}
	}
	return m
}

// splice puts the given entries where the index's own are.
func splice(raw []byte, entries []entry) ([]byte, error) {
	array, end, err := findManifests(raw)
	if err != nil {
		return nil, err
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(array, &elements); err != nil {
		return nil, err
	}
	var b strings.Builder
	b.Write(raw[:end-int64(len(array))])
	b.WriteByte('[')
	for i, e := range entries {
		if i > 0 {
			b.WriteByte(',')
		}
		element := elements[e.at]
		if e.instead != nil {
			if element, err = json.Marshal(e.instead); err != nil {
				return nil, err
			}
		}
		b.Write(element)
	}
	b.WriteByte(']')
	b.Write(raw[end:])
	return []byte(b.String()), nil
}

// findManifests returns the array of the top-level key "manifests", and where in
// raw it ends.
func findManifests(raw []byte) (array json.RawMessage, end int64, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, 0, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, 0, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, 0, err
		}
		if key == "manifests" {
			return value, dec.InputOffset(), nil
		}
	}
	return nil, 0, invalidf("index without manifests")
}

// An overlay is a source that also has the indexes a filter made.
type overlay struct {
	content.Source
	made map[digest.Digest]content.Manifest
}

// Unwrap shows the abilities of the source.
func (o *overlay) Unwrap() any { return o.Source }

// Manifest returns one that was made, or the source's.
func (o *overlay) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	if m, ok := o.made[digest.Digest(ref)]; ok {
		return m, nil
	}
	return o.Source.Manifest(ctx, ref)
}
