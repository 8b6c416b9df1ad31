package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// Tags implements [content.TagLister]: the names of the images in the order of
// the file, each once. A tag alone beside a full name, as docker writes it, is
// not shown; it finds the image nevertheless.
func (a *Archive) Tags(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := map[string]bool{}
		for _, r := range a.roots {
			for i, name := range r.names {
				shown := i == 0 || content.IsFullName(name)
				if shown && !seen[name] && !yield(name, nil) {
					return
				}
				seen[name] = true
			}
		}
	}
}

// find returns what ref stands for.
func (a *Archive) find(ctx context.Context, ref string) (content.Manifest, error) {
	if ref == "" {
		return a.only(ctx)
	}
	if at := strings.LastIndexByte(ref, '@'); content.CheckDigest(digest.Digest(ref[at+1:])) == nil {
		return a.byDigest(ctx, digest.Digest(ref[at+1:]))
	}
	found := distinct(content.FindName(a.roots, func(r *root) []string { return r.names }, ref))
	if len(found) > 1 {
		return content.Manifest{}, fmt.Errorf("%q stands for %d different images (%s): %w", clip(ref), len(found), listApart(found), content.ErrInvalid)
	}
	if len(found) == 1 {
		return a.rootManifest(ctx, found[0])
	}
	return content.Manifest{}, fmt.Errorf("no image %q, there is %s: %w", clip(ref), list(a.roots), content.ErrNotFound)
}

// distinct leaves out the roots that are the same as one before.
func distinct(roots []*root) []*root {
	var kept []*root
	for _, r := range roots {
		if !slices.ContainsFunc(kept, r.same) {
			kept = append(kept, r)
		}
	}
	return kept
}

func (r *root) same(other *root) bool {
	if r.image == nil || other.image == nil {
		return r.image == other.image && r.desc.Digest == other.desc.Digest
	}
	return r.image.Config == other.image.Config && slices.Equal(r.image.Layers, other.image.Layers)
}

// only returns the image of an archive with one image. What refers to it does
// not count, named or not.
func (a *Archive) only(ctx context.Context) (content.Manifest, error) {
	roots := distinct(a.roots)
	if len(roots) > 1 {
		roots = slices.DeleteFunc(roots, a.refers)
	}
	switch len(roots) {
	case 0:
		return content.Manifest{}, fmt.Errorf("there is no image in it: %w", content.ErrNotFound)
	case 1:
		return a.rootManifest(ctx, roots[0])
	}
	several := &content.SeveralError{}
	for _, r := range roots {
		several.Images = append(several.Images, r.called())
	}
	return content.Manifest{}, several
}

// called returns what r is asked for by: its name, or its digest. An image
// without a manifest has none as long as that is not made up.
func (r *root) called() string {
	switch {
	case len(r.names) > 0:
		return r.names[0]
	case r.image != nil:
		return ""
	}
	return r.desc.Digest.String()
}

// refers reports whether r is a signature, an SBOM or a list of such: it has a
// subject, or a tag that is made of a digest.
func (a *Archive) refers(r *root) bool {
	if r.image != nil {
		return false
	}
	if slices.ContainsFunc(r.names, content.IsDigestTag) {
		return true
	}
	m, err := a.manifest(r.desc.Digest)
	if err != nil {
		return false
	}
	_, ok := m.Subject()
	return ok
}

func (a *Archive) rootManifest(ctx context.Context, r *root) (content.Manifest, error) {
	if r.image != nil {
		return a.makeUp(ctx, r.image)
	}
	return a.manifest(r.desc.Digest)
}

// byDigest finds a manifest that is in the file, or that was made up for a
// docker archive's image.
func (a *Archive) byDigest(ctx context.Context, d digest.Digest) (content.Manifest, error) {
	var broken error
	for _, r := range a.roots {
		if r.image == nil {
			continue
		}
		m, err := a.makeUp(ctx, r.image)
		if err == nil && m.Digest() == d {
			return m, nil
		}
		broken = cmp.Or(broken, err)
	}
	if broken != nil && !a.index.has(blobPath(d)) {
		return content.Manifest{}, broken // it may be the one
	}
	if err := a.learn(ctx, d); err != nil {
		return content.Manifest{}, err
	}
	m, err := a.manifest(d)
	if errors.Is(err, content.ErrInvalid) && !a.knows(d) {
		return content.Manifest{}, fmt.Errorf("%s is no manifest: %w", d, content.ErrNotFound)
	}
	return m, err
}

func (a *Archive) knows(d digest.Digest) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.types[d]
	return ok
}

// learn reads, once, what the indexes of the file say of the manifests below
// them: the type of one that is asked for by digest need not stand in itself.
func (a *Archive) learn(ctx context.Context, d digest.Digest) error {
	a.mu.Lock()
	_, known := a.types[d]
	learnt := a.learnt
	a.mu.Unlock()
	if known || learnt {
		return nil
	}
	seen := map[digest.Digest]bool{}
	for _, r := range a.roots {
		if r.image != nil {
			continue
		}
		if err := a.walk(ctx, r.desc.Digest, seen, func(node) {}); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.learnt = true
	return nil
}

// list names images for a message.
func list(roots []*root) string {
	const most = 10
	var names []string
	for _, r := range roots {
		switch {
		case len(r.names) > 0:
			names = append(names, fmt.Sprintf("%q", clip(r.names[0])))
		case r.image != nil:
			names = append(names, "an unnamed one "+r.image.String())
		default:
			names = append(names, r.desc.Digest.String())
		}
		if len(names) == most && len(roots) > most {
			return strings.Join(names, ", ") + fmt.Sprintf(" and %d more", len(roots)-most)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// listApart lists roots that one name stands for: by their digests, where they
// have manifests of their own.
func listApart(roots []*root) string {
	if slices.ContainsFunc(roots, func(r *root) bool { return r.image != nil }) {
		return list(roots)
	}
	var nameless []*root
	for _, r := range roots {
		nameless = append(nameless, &root{desc: r.desc})
	}
	return list(nameless)
}
