package archive

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// Referrers implements [content.ReferrerLister]: what index.json names and what
// a fallback tag lists, as far as it is in the file, sorted by digest.
func (a *Archive) Referrers(ctx context.Context, subject digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		found, err := a.referrers(ctx, subject)
		if err != nil {
			yield(ocispec.Descriptor{}, a.fail(err))
			return
		}
		for _, d := range found {
			if (artifactType == "" || d.ArtifactType == artifactType) && !yield(d, nil) {
				return
			}
		}
	}
}

func (a *Archive) referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	candidates, err := a.candidates(subject)
	if err != nil {
		return nil, err
	}
	var found []ocispec.Descriptor
	for _, d := range candidates {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		m, err := a.manifest(d)
		if errors.Is(err, content.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if to, ok := m.Subject(); ok && to.Digest == subject {
			found = append(found, content.ReferrerDescriptor(m))
		}
	}
	return found, nil
}

// candidates returns what may refer to subject, sorted: all that index.json
// names, and what the index under subject's fallback tag lists.
func (a *Archive) candidates(subject digest.Digest) ([]digest.Digest, error) {
	if err := content.CheckDigest(subject); err != nil {
		return nil, err
	}
	fallback := content.FallbackTag(subject)
	var all []digest.Digest
	for _, r := range a.roots {
		if r.image != nil {
			continue
		}
		all = append(all, r.desc.Digest)
		if !slices.ContainsFunc(r.names, func(n string) bool { return content.TagOf(n) == fallback }) {
			continue
		}
		m, err := a.manifest(r.desc.Digest)
		if err != nil {
			return nil, err
		}
		for _, child := range m.Children() {
			all = append(all, child.Digest)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
