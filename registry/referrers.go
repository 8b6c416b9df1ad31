package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// What refers to one manifest is less than this; a list that goes on beyond is not
// worth its memory, nor its requests.
const (
	maxReferrers     = 1 << 14
	maxReferrerPages = 1 << 8 // registries give 50 in a page, or more
)

// Referrers implements [content.ReferrerLister]: from the referrers API, or
// where a registry has none from the fallback tag. That a host has no such API
// is remembered.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
func (r *Repository) Referrers(ctx context.Context, subject digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		if err := content.CheckDigest(subject); err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		for d, err := range r.referrers(ctx, subject, artifactType) {
			if err != nil {
				yield(ocispec.Descriptor{}, err)
				return
			}
			if artifactType != "" && d.ArtifactType != artifactType && r.host.answers(FilterReferrers) {
				continue // not every registry filters
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (r *Repository) referrers(ctx context.Context, subject digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		for d, err := range r.listed(ctx, subject, artifactType) {
			if errors.Is(err, errNoReferrersAPI) {
				r.fallback(ctx, subject, yield)
				return
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// errNoReferrersAPI is a host that does not list referrers.
var errNoReferrersAPI = errors.New("no referrers API")

// listed yields what the referrers API lists, or errNoReferrersAPI alone.
func (r *Repository) listed(ctx context.Context, subject digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		if r.remembersNoReferrers() {
			yield(ocispec.Descriptor{}, errNoReferrersAPI)
			return
		}
		seen := map[digest.Digest]bool{}
		var end listEnd
		pages := 0
		for raw, err := range r.host.pages(httpx.Stay(ctx), r.referrersCall(subject, artifactType), r.host.client.Limits.Effective().ManifestSize) {
			if pages == 0 && r.host.answers(FallbackTag) && r.lacksReferrers(err) {
				err = errNoReferrersAPI
			}
			pages++
			if err = cmp.Or(err, r.checkPages(subject, pages)); err != nil {
				yield(ocispec.Descriptor{}, err)
				return
			}
			more, err := r.yieldPage(raw, seen, &end, yield)
			if err != nil {
				yield(ocispec.Descriptor{}, fmt.Errorf("referrers of %s in %s: %w", subject, r, err))
			} else {
				r.recordReferrers()
			}
			if !more {
				return
			}
		}
	}
}

// checkPages refuses a list that goes on and on.
func (r *Repository) checkPages(subject digest.Digest, pages int) error {
	if pages <= maxReferrerPages {
		return nil
	}
	return fmt.Errorf("referrers of %s in %s have more than %d pages: %w", subject, r, maxReferrerPages, content.ErrInvalid)
}

func (r *Repository) referrersCall(subject digest.Digest, artifactType string) call {
	c := call{
		method: http.MethodGet,
		path:   r.path("referrers", subject.String()),
		header: http.Header{"Accept": {ocispec.MediaTypeImageIndex}},
		scopes: r.pull(),
	}
	if artifactType != "" {
		c.query = url.Values{"artifactType": {artifactType}}
	}
	return c
}

// lacksReferrers reports whether the first answer is that of a registry without
// the API: not found, whatever it calls it, or a web page. Only a plain 404 is
// remembered beyond the process; the rest may be the doing of something in
// between. Access that was denied says nothing about the host.
func (r *Repository) lacksReferrers(err error) bool {
	status := statusOf(err)
	switch {
	case err == nil:
		return false
	case status == http.StatusForbidden:
		return true
	case status == http.StatusNotFound && !hasCode(err, "NAME_UNKNOWN"):
		r.rememberNoReferrers()
		r.recordNoReferrers()
		return true
	case status >= 300 && status < 400,
		errors.Is(err, content.ErrNotFound), errors.Is(err, errors.ErrUnsupported),
		status == http.StatusBadRequest, status == 0 && errors.Is(err, errWebPage):
		r.rememberNoReferrers()
		return true
	}
	return false
}

// yieldPage reports whether to go on with the next page.
func (r *Repository) yieldPage(raw []byte, seen map[digest.Digest]bool, end *listEnd, yield func(ocispec.Descriptor, error) bool) (bool, error) {
	index, err := content.ParseManifest(ocispec.MediaTypeImageIndex, raw, r.host.client.Limits)
	if err != nil {
		return false, err
	}
	before, children := len(seen), index.Children()
	for _, d := range children {
		if seen[d.Digest] {
			continue
		}
		if len(seen) == maxReferrers {
			return false, fmt.Errorf("more than %d are listed: %w", maxReferrers, content.ErrInvalid)
		}
		seen[d.Digest] = true
		if !yield(d, nil) {
			return false, nil
		}
	}
	reached, err := end.reached(len(children), len(seen)-before)
	return !reached && err == nil, err
}

// fallback lists what the fallback tag of subject names.
func (r *Repository) fallback(ctx context.Context, subject digest.Digest, yield func(ocispec.Descriptor, error) bool) {
	index, err := r.fallbackIndex(ctx, subject)
	if errors.Is(err, content.ErrNotFound) || errors.Is(err, errNoIndex) {
		return
	}
	if err != nil {
		yield(ocispec.Descriptor{}, err)
		return
	}
	for _, d := range index.Children() {
		if !yield(d, nil) {
			return
		}
	}
}
