package layout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// only returns the entry of the only image. What refers to something that is in
// the layout does not count as an image, unless it has a name.
func (l *Layout) only(ctx context.Context, x *index) (entry, error) {
	found := x.images()
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(e entry) bool { return e.name() == "" && l.refers(ctx, e) })
	}
	switch len(found) {
	case 0:
		return entry{}, fmt.Errorf("the layout names no image: %w", content.ErrNotFound)
	case 1:
		return found[0], nil
	}
	several := &content.SeveralError{}
	for _, e := range found {
		several.Images = append(several.Images, cmp.Or(e.name(), e.digest.String()))
	}
	return entry{}, several
}

// refers reports whether e has a subject that is there.
func (l *Layout) refers(ctx context.Context, e entry) bool {
	n, err := l.node(ctx, e.bare())
	if err != nil || n.subject == "" {
		return false
	}
	return l.disk.there(n.subject)
}

// node returns what is known of the manifest d, which is read once and must
// still be there.
func (l *Layout) node(ctx context.Context, d ocispec.Descriptor) (node, error) {
	if ctx.Err() != nil {
		return node{}, context.Cause(ctx)
	}
	if n, ok := l.facts.seen.Load(d.Digest); ok && l.disk.there(d.Digest) {
		return n.(node), nil //nolint:forcetypeassert // nothing else is kept there
	}
	m, err := l.manifest(ctx, d)
	if err != nil {
		return node{}, err
	}
	n, _ := l.facts.seen.Load(m.Digest())
	return n.(node), nil //nolint:forcetypeassert // reading it has put it there
}

// Referrers implements [content.ReferrerLister], sorted by digest: manifests
// that index.json or an index it leads to names and whose subject it is, and
// what the index under the tag sha256-… of the subject lists. A manifest that
// cannot be read may be a referrer: then the last pair has a [content.UnreadError].
func (l *Layout) Referrers(ctx context.Context, subject digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		found, err := l.referrers(ctx, subject)
		for _, d := range found {
			if artifactType != "" && d.ArtifactType != artifactType {
				continue
			}
			if !yield(d, nil) {
				return
			}
		}
		if err != nil {
			yield(ocispec.Descriptor{}, err)
		}
	}
}

func (l *Layout) referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	if err := content.CheckDigest(subject); err != nil {
		return nil, err
	}
	x, err := l.index()
	if err != nil {
		return nil, err
	}
	w := walk{l: l, subject: subject, seen: map[digest.Digest]bool{}, broken: map[digest.Digest]bool{}}
	fallback := content.FallbackTag(subject)
	for _, e := range x.entries {
		w.visit(ctx, e.bare())
		if tag := e.name(); content.TagOf(tag) == fallback {
			w.list(ctx, e.bare())
		}
	}
	slices.SortFunc(w.found, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	w.found = slices.CompactFunc(w.found, func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest })
	switch {
	case ctx.Err() != nil:
		return w.found, context.Cause(ctx)
	case len(w.unread.Digests) > 0:
		return w.found, &w.unread
	}
	return w.found, nil
}

// A walk looks through manifests for those that refer to subject.
type walk struct {
	l       *Layout
	subject digest.Digest
	seen    map[digest.Digest]bool
	found   []ocispec.Descriptor
	broken  map[digest.Digest]bool // those of unread
	unread  content.UnreadError
}

// visit looks at d and what is below it, each once.
func (w *walk) visit(ctx context.Context, d ocispec.Descriptor) {
	todo := []ocispec.Descriptor{d}
	for len(todo) > 0 {
		d, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if w.seen[d.Digest] || !mayRefer(d.MediaType) {
			continue
		}
		w.seen[d.Digest] = true
		n, ok := w.node(ctx, d)
		if !ok {
			continue
		}
		if n.subject == w.subject {
			w.found = append(w.found, n.listing)
		}
		for _, child := range n.children {
			todo = append(todo, ocispec.Descriptor{Digest: child, MediaType: w.l.facts.typeOf(child)})
		}
	}
}

// mayRefer reports whether a manifest of this type can have a subject or
// children. Other entries of index.json may be anything.
func mayRefer(mediaType string) bool {
	const artifact = "application/vnd.oci.artifact.manifest.v1+json"
	return content.IsIndex(mediaType) || content.IsManifest(mediaType) || mediaType == artifact || mediaType == ""
}

// node reads d. A manifest that is not there is not missed: indexes may be sparse.
func (w *walk) node(ctx context.Context, d ocispec.Descriptor) (node, bool) {
	n, err := w.l.node(ctx, d)
	if err != nil && !errors.Is(err, content.ErrNotFound) && !w.broken[d.Digest] {
		w.broken[d.Digest] = true
		w.unread.Digests = append(w.unread.Digests, d.Digest)
		w.unread.Err = cmp.Or(w.unread.Err, err)
	}
	return n, err == nil
}

// list takes what the index under the subject's fallback tag lists, whether
// it says so itself or not. Under that tag there may be something else.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
func (w *walk) list(ctx context.Context, d ocispec.Descriptor) {
	n, ok := w.node(ctx, d)
	if !ok {
		return
	}
	for _, child := range n.children {
		if c, ok := w.node(ctx, ocispec.Descriptor{Digest: child}); ok {
			w.found = append(w.found, c.listing)
		}
	}
}
