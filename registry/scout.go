package registry

import (
	"context"
	"errors"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// ScoutRequests implements [content.ReferrerScout]. That a host has the referrers
// API, or that a repository has not, is remembered for a day.
func (r *Repository) ScoutRequests() int {
	if !r.host.answers(FallbackTag) || r.remembersNoReferrers() || r.remembersReferrers() {
		return 1
	}
	return 2
}

// Scout implements [content.ReferrerScout]: where it is not known whether the host
// has the referrers API, that and the fallback tag are asked at once. The tag
// counts where there is no API.
func (r *Repository) Scout(ctx context.Context, subject digest.Digest) iter.Seq2[ocispec.Descriptor, error] {
	if content.CheckDigest(subject) != nil || r.ScoutRequests() == 1 {
		return r.Referrers(ctx, subject, "")
	}
	return func(yield func(ocispec.Descriptor, error) bool) {
		var tagged []ocispec.Descriptor
		var g errgroup.Group
		g.Go(func() (err error) {
			tagged, err = r.tagged(ctx, subject)
			return err
		})
		for d, err := range r.listed(ctx, subject, "") {
			if errors.Is(err, errNoReferrersAPI) {
				err := g.Wait()
				each(tagged, err, yield)
				return
			}
			if !yield(d, err) {
				break
			}
		}
		_ = g.Wait() // the API has answered: what the tag says does not count
	}
}

// tagged returns what the fallback tag of subject names, with one request.
func (r *Repository) tagged(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	index, err := r.get(ctx, content.FallbackTag(subject))
	if content.IsMissing(err) || errors.Is(err, content.ErrHidden) {
		return nil, nil
	}
	return index.Children(), err
}

// each yields all and then err, if there is one.
func each(all []ocispec.Descriptor, err error, yield func(ocispec.Descriptor, error) bool) {
	for _, d := range all {
		if !yield(d, nil) {
			return
		}
	}
	if err != nil {
		yield(ocispec.Descriptor{}, err)
	}
}

// ScoutRequests implements [content.ReferrerScout].
func (m *Mirrored) ScoutRequests() int { return m.own.ScoutRequests() }

// Scout implements [content.ReferrerScout].
func (m *Mirrored) Scout(ctx context.Context, subject digest.Digest) iter.Seq2[ocispec.Descriptor, error] {
	return spoken(ctx, m, func(r *Repository) iter.Seq2[ocispec.Descriptor, error] { return r.Scout(ctx, subject) })
}
