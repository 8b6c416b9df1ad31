package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// A Branch is a manifest with what is below it and what refers to it.
type Branch struct {
	Kind     Kind
	Type     string // artifact type or predicate types; of an image or index the media type. At most 255 bytes
	Platform string // as the index states it
	Digest   digest.Digest
	Tag      string    // digest tag that leads to it; empty where it refers by itself
	Size     int64     // bytes of its blobs; 0 where it was not read
	Created  time.Time // as its annotations say, zero where they do not
	Missing  bool      // what leads here leads to nothing

	Children  []*Branch // of an index, in its order
	Referrers []*Branch // BuildKit's attestations among them
}

// A Survey finds everything that refers to an image. The zero Survey works.
type Survey struct {
	// Platforms are those of whose images is told; none is all. What refers to the
	// index itself is told in any case.
	Platforms []content.Platform

	Limits content.Limits

	// Unread is told once, where the place has manifests that cannot be read: those that
	// refer to the image may be among them. nil is silent. One of them that stands in the
	// tree is an error.
	Unread func(*content.UnreadError)
}

const surveyJobs = 8 // manifests and lists read at once

// Of returns root, which src calls name, with all that refers to it, to its
// children and to what was found, each manifest once: by subject, by fallback
// tag, by cosign's tags, and BuildKit's attestations, which are in the index, with
// the image that they attest. Circles end where they close.
//
// What is listed and not there is marked. More than the limits allow, of referrers,
// of levels, or of bytes of manifests, is [content.ErrInvalid].
func (s Survey) Of(ctx context.Context, src content.Source, name string, root content.Manifest) (*Branch, error) {
	w := &surveyor{src: src, name: name, limits: s.Limits.Effective(), platforms: s.Platforms, seen: map[digest.Digest]bool{root.Digest(): true}}
	w.room = w.limits.GraphSize
	tree := &Branch{Kind: kindOfImage(root), Type: clipped(root.MediaType()), Digest: root.Digest(), Size: content.SizeOf(root.Blobs())}
	if !root.IsIndex() && tree.Kind == KindArtifact {
		tree.Type = clipped(root.ArtifactType())
	}
	below, err := w.below(ctx, w.grow(tree, root))
	level := append([]*Branch{tree}, below...)
	for depth := 0; err == nil && len(level) > 0; depth++ {
		if depth > w.limits.Depth {
			return nil, fmt.Errorf("what refers to the image is referred to more than %d times over: %w", w.limits.Depth, content.ErrInvalid)
		}
		level, err = w.round(ctx, level)
	}
	if err == nil && w.unread != nil {
		err = s.tellUnread(w)
	}
	return tree, err
}

func (s Survey) tellUnread(w *surveyor) error {
	if slices.ContainsFunc(w.unread.Digests, func(d digest.Digest) bool { return w.seen[d] }) {
		return w.unread
	}
	if s.Unread != nil {
		s.Unread(w.unread)
	}
	return nil
}

// kindOfImage returns what a manifest is that refers to nothing, as far as it shows.
func kindOfImage(m content.Manifest) Kind {
	if m.IsIndex() {
		return KindIndex
	}
	if _, ok := m.ImageConfig(); ok {
		return KindImage
	}
	return KindArtifact
}

// A surveyor is a survey under way.
type surveyor struct {
	src       content.Source
	name      string
	limits    content.Limits
	platforms []content.Platform
	seen      map[digest.Digest]bool // that stand in the tree
	found     int                    // referrers
	asked     bool                   // for the list of names
	tags      digestTags

	mu     sync.Mutex
	room   int64                // bytes of manifests that may still be read
	unread *content.UnreadError // those of the place; nil where all can be read
}

// grow gives branch the children of its index m, and its attestations those that
// they attest. It returns what is new among them.
func (w *surveyor) grow(branch *Branch, m content.Manifest) []*Branch {
	var grown []*Branch
	byDigest := map[digest.Digest]*Branch{}
	children := m.Children()
	wanted := w.wanted(m)
	for _, d := range children {
		if content.IsAttestation(d) || !wanted(d) {
			continue
		}
		child := &Branch{Kind: KindImage, Type: clipped(d.MediaType), Digest: d.Digest}
		if content.IsIndex(d.MediaType) {
			child.Kind = KindIndex
		}
		if d.Platform != nil {
			child.Platform = clipped(content.PlatformOf(*d.Platform).String())
		}
		branch.Children = append(branch.Children, child)
		if byDigest[d.Digest] == nil {
			byDigest[d.Digest] = child
		}
		if !w.seen[d.Digest] {
			w.seen[d.Digest] = true
			grown = append(grown, child)
		}
	}
	for _, d := range children {
		subject := byDigest[digest.Digest(d.Annotations[content.AnnotationReferenceDigest])]
		if !content.IsAttestation(d) || w.seen[d.Digest] || subject == nil && len(w.platforms) > 0 {
			continue
		}
		w.seen[d.Digest] = true
		attestation := &Branch{Kind: KindAttestation, Type: clipped(d.MediaType), Digest: d.Digest}
		grown = append(grown, attestation)
		if subject == nil {
			branch.Children = append(branch.Children, attestation)
			continue
		}
		subject.Referrers = append(subject.Referrers, attestation)
	}
	return grown
}

// wanted reports which children of index m are for one of the platforms: those that
// match, and the one that is picked.
func (w *surveyor) wanted(m content.Manifest) func(ocispec.Descriptor) bool {
	picked := map[digest.Digest]bool{}
	for _, p := range w.platforms {
		if d, err := content.PickPlatform(m, p); err == nil {
			picked[d.Digest] = true
		}
	}
	return func(d ocispec.Descriptor) bool {
		if len(w.platforms) == 0 || content.IsIndex(d.MediaType) || picked[d.Digest] {
			return true
		}
		return d.Platform != nil && slices.ContainsFunc(w.platforms, func(p content.Platform) bool { return p.Matches(content.PlatformOf(*d.Platform)) })
	}
}

// below reads the indexes and attestations of level, whatever is below those too,
// and returns all of it. Images are not read.
func (w *surveyor) below(ctx context.Context, level []*Branch) ([]*Branch, error) {
	all := level
	for depth := 0; ; depth++ {
		unread := slices.DeleteFunc(slices.Clone(level), func(b *Branch) bool {
			return b.Kind != KindAttestation && b.Kind != KindIndex
		})
		if len(unread) == 0 {
			return all, nil
		}
		if depth > w.limits.Depth {
			return nil, fmt.Errorf("indexes are nested more than %d deep: %w", w.limits.Depth, content.ErrInvalid)
		}
		read, err := w.read(ctx, unread)
		if err != nil {
			return nil, err
		}
		level = nil
		for i, m := range read {
			unread[i].describe(m)
			level = append(level, w.grow(unread[i], m)...)
		}
		all = append(all, level...)
		if len(all) > w.limits.Nodes {
			return nil, fmt.Errorf("more than %d manifests: %w", w.limits.Nodes, content.ErrInvalid)
		}
	}
}

// describe fills in what m says of itself. The zero m is not there.
func (b *Branch) describe(m content.Manifest) {
	if m.IsZero() {
		b.Missing = true
		return
	}
	b.Size = content.SizeOf(m.Blobs())
	annotations := m.Annotations()
	if at, err := time.Parse(time.RFC3339, annotations[ocispec.AnnotationCreated]); err == nil && at.Year() > 0 {
		b.Created = at.UTC()
	}
	if types := predicatesOf(m); types != "" {
		b.Type = types
		return
	}
	if _, image := m.ImageConfig(); !image && m.ArtifactType() != "" {
		b.Type = clipped(m.ArtifactType())
	}
}

// predicatesOf returns the types of what the attestations in m state, each once.
func predicatesOf(m content.Manifest) string {
	var types []string
	add := func(t string) {
		if t != "" && !slices.Contains(types, t) && len(types) < 8 {
			types = append(types, clipped(t))
		}
	}
	add(m.Annotations()[bundlePredicate])
	for _, l := range m.Layers() {
		add(l.Annotations[inTotoPredicate])
		add(l.Annotations[cosignPredicate])
	}
	return clipped(strings.Join(types, ", "))
}

// read reads the manifests of branches; of what is not there the zero one.
func (w *surveyor) read(ctx context.Context, branches []*Branch) ([]content.Manifest, error) {
	read := make([]content.Manifest, len(branches))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(surveyJobs)
	for i, b := range branches {
		g.Go(func() error {
			m, err := w.src.Manifest(ctx, b.Digest.String())
			if errors.Is(err, content.ErrNotFound) {
				return nil
			}
			read[i] = m
			return errors.Join(err, w.take(m.Size()))
		})
	}
	return read, g.Wait()
}

// take takes n bytes of the room that is left.
func (w *surveyor) take(n int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.room -= n; w.room < 0 {
		return fmt.Errorf("the manifests that refer to the image have more than %d bytes: %w", w.limits.GraphSize, content.ErrInvalid)
	}
	return nil
}

// round finds what refers to any of level, and returns what is new.
func (w *surveyor) round(ctx context.Context, level []*Branch) ([]*Branch, error) {
	found, err := w.find(ctx, level)
	if err != nil {
		return nil, err
	}
	var grown []*Branch
	for i, b := range level {
		for _, r := range found[i] {
			if w.seen[r.Digest] {
				continue
			}
			w.seen[r.Digest] = true
			next := &Branch{Kind: r.Kind, Type: r.Type, Digest: r.Digest, Tag: r.Tag}
			b.Referrers = append(b.Referrers, next)
			grown = append(grown, next)
		}
	}
	if w.found += len(grown); w.found > w.limits.Referrers {
		return nil, fmt.Errorf("more than %d manifests refer to the image: %w", w.limits.Referrers, content.ErrInvalid)
	}
	return w.readFound(ctx, grown)
}

// readFound reads what was found, and returns it with what is below it.
func (w *surveyor) readFound(ctx context.Context, found []*Branch) ([]*Branch, error) {
	read, err := w.read(ctx, found)
	if err != nil {
		return nil, err
	}
	var below []*Branch
	for i, m := range read {
		found[i].describe(m)
		if m.IsZero() {
			continue
		}
		if found[i].Kind == KindArtifact {
			found[i].Kind = kindOf(m.ArtifactType(), m.Annotations())
		}
		below = append(below, w.grow(found[i], m)...)
	}
	below, err = w.below(ctx, below)
	return append(found, below...), err
}
