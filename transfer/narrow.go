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

// A narrower rewrites indexes.
type narrower struct {
	src    content.Source
	filter Filter
	seen   []content.Platform // what the images of all indexes are for
	census *census
	limits content.Limits
	made   map[digest.Digest]content.Manifest
	done   map[digest.Digest]content.Manifest // children that were read by what they were: an index may name one often
}

func (c *Copier) newNarrower(src content.Source, f Filter) *narrower {
	limits := c.Limits.Effective()
	return &narrower{
		src:    rationed{src, &ration{of: "the indexes of the image", most: limits.GraphSize}},
		filter: f,
		census: newCensus(),
		limits: limits,
		made:   map[digest.Digest]content.Manifest{},
		done:   map[digest.Digest]content.Manifest{},
	}
}

// index returns m without the children nobody asked for: m itself where all
// are asked for, and nothing where none is. Nested indexes are narrowed first.
func (n *narrower) index(ctx context.Context, m content.Manifest, depth int) (content.Manifest, error) {
	if depth > n.limits.Depth {
		return m, invalidf("indexes are nested more than %d deep", n.limits.Depth)
	}
	keep := n.filter.keeps(m)
	n.seen = append(n.seen, platformsOf(m)...)
	var entries []entry
	for i, d := range m.Children() {
		if !keep(d) {
			continue
		}
		if !n.filter.Here && !content.IsIndex(d.MediaType) {
			entries = append(entries, entry{at: i})
			continue
		}
		child, err := n.child(ctx, d, depth)
		if err != nil {
			return m, err
		}
		switch {
		case child.IsZero():
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

// child returns what is kept of a child: nothing of one that the source does not have,
// where only what it has is asked for.
func (n *narrower) child(ctx context.Context, d ocispec.Descriptor, depth int) (content.Manifest, error) {
	if narrow, ok := n.done[d.Digest]; ok {
		return narrow, nil
	}
	if len(n.done) >= n.limits.Nodes {
		return content.Manifest{}, invalidf("more than %d manifests in indexes", n.limits.Nodes)
	}
	child, err := n.src.Manifest(ctx, d.Digest.String())
	n.census.count(d, child, err)
	if n.filter.Here && errors.Is(err, content.ErrNotFound) {
		n.done[d.Digest] = content.Manifest{}
		return content.Manifest{}, nil
	}
	if err != nil {
		return content.Manifest{}, err
	}
	if err := content.CheckChild(child, d); err != nil {
		return content.Manifest{}, err
	}
	if child.IsIndex() {
		child, err = n.index(ctx, child, depth+1)
	}
	if err == nil {
		n.done[d.Digest] = child
	}
	return child, err
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
	switch {
	case len(entries) == 0 && (!same || len(n.filter.Platforms) > 0):
		return content.Manifest{}, nil // an index that names nothing has nothing for any platform, but is whole
	case same:
		return m, nil
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
