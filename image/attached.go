package image

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// Attachments are what refers to a manifest.
type Attachments struct {
	Found []Referrer // each manifest once: by subject first, then by digest tag

	// Unasked are the digest tags that there was no request left for.
	Unasked []string
}

// Attached finds what refers to subject in src, where the image is called name:
// by the list of referrers, the fallback tag included, and by cosign's tags. In a
// registry it makes so many requests at most, all at once, those for further
// pages of a long list aside; elsewhere, where nothing is counted, as many as it
// takes.
//
// One look-up that fails keeps nothing that others find from being returned with
// the error.
func Attached(ctx context.Context, src content.Source, name string, subject digest.Digest, requests int) (Attachments, error) {
	if _, counted := content.As[content.Originer](src); !counted {
		return attachedHere(ctx, src, name, subject)
	}
	var all Attachments
	tags := content.DigestTags(subject)
	_, resolves := content.As[content.Resolver](src)
	beside := min(len(tags), max(0, requests-scoutRequests(src)))
	if !resolves {
		beside = 0
	}
	all.Unasked = tags[beside:]
	found, errs := make([][]Referrer, beside+1), make([]error, beside+1)
	var g errgroup.Group // one that fails does not end the others
	g.Go(func() error {
		found[0], errs[0] = scout(ctx, src, subject)
		return nil
	})
	for i, tag := range tags[:beside] {
		g.Go(func() error {
			found[1+i], errs[1+i] = followTag(ctx, src, content.BesideName(name, tag))
			return nil
		})
	}
	_ = g.Wait() // errs has them
	all.add(subject, found...)
	return all, errors.Join(errs...)
}

// add adds what refers to subject, which a list may name itself.
func (a *Attachments) add(subject digest.Digest, found ...[]Referrer) {
	seen := map[digest.Digest]bool{subject: true}
	for _, r := range slices.Concat(found...) {
		if !seen[r.Digest] {
			a.Found = append(a.Found, r)
		}
		seen[r.Digest] = true
	}
}

// scoutRequests returns with how many requests scout begins.
func scoutRequests(src content.Source) int {
	if s, ok := content.As[content.ReferrerScout](src); ok {
		return s.ScoutRequests()
	}
	return 1
}

// scout lists what refers to subject by itself.
func scout(ctx context.Context, src content.Source, subject digest.Digest) ([]Referrer, error) {
	most := content.Limits{}.Effective().Referrers
	if s, ok := content.As[content.ReferrerScout](src); ok {
		return gather(s.Scout(ctx, subject), most)
	}
	if l, ok := content.As[content.ReferrerLister](src); ok {
		return gather(l.Referrers(ctx, subject, ""), most)
	}
	return nil, nil
}

// attachedHere is Attached where names are listed at no cost.
func attachedHere(ctx context.Context, src content.Source, name string, subject digest.Digest) (Attachments, error) {
	var all Attachments
	listed, err := scout(ctx, src, subject)
	tags, failed := listDigestTags(ctx, src)
	err = errors.Join(err, failed)
	for _, tag := range tags.of(name, subject) {
		tagged, failed := followTag(ctx, src, tag)
		listed, err = append(listed, tagged...), errors.Join(err, failed)
	}
	all.add(subject, listed)
	return all, err
}
