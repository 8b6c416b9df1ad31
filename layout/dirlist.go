package layout

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// Tags implements [content.TagLister]: the digest tags, which are all the names
// there are.
func (d *Dir) Tags(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for tag, err := range d.beside() {
			if (err != nil || content.IsDigestTag(tag)) && !yield(tag, err) {
				return
			}
		}
	}
}

// Referrers implements [content.ReferrerLister], sorted by digest.
func (d *Dir) Referrers(ctx context.Context, subject digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		found, err := d.referrers(ctx, subject)
		slices.SortFunc(found, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
		for _, r := range found {
			if (artifactType == "" || r.ArtifactType == artifactType) && !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(ocispec.Descriptor{}, err)
		}
	}
}

func (d *Dir) referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	for name, err := range d.beside() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return found, err
		}
		if content.IsDigestTag(name) {
			continue
		}
		m, err := d.read(name + manifestEnd)
		if errors.Is(err, content.ErrInvalid) {
			continue // of a type nobody knows: it refers to nothing
		}
		if err != nil {
			return found, err
		}
		if to, ok := m.Subject(); ok && to.Digest == subject {
			found = append(found, content.ReferrerDescriptor(m))
		}
	}
	return found, nil
}

// beside lists what is before .manifest.json in the names of files.
func (d *Dir) beside() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if !d.disk.made.Load() {
			return
		}
		entries, err := fs.ReadDir(d.disk.root.FS(), ".")
		for _, e := range entries {
			name, ok := strings.CutSuffix(e.Name(), manifestEnd)
			if ok && name != "" && !yield(name, nil) {
				return
			}
		}
		if err != nil {
			yield("", d.disk.fail("read", "", err))
		}
	}
}
