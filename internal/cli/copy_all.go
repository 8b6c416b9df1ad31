package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/transfer"
)

// addAllTags adds every tag of the repository src. Tags that stand for what
// refers to other tags go with those.
func (m *mover) addAllTags(ctx context.Context, src endpoint.Endpoint, dst []endpoint.Endpoint) error {
	for _, e := range slices.Concat([]endpoint.Endpoint{src}, dst) {
		if e.Tag != "" || e.Digest != "" || e.Name != "" {
			return usagef("--all-tags takes repositories: %s names one image", e)
		}
	}
	m.allTags = true
	from, err := m.source(ctx, src)
	if err != nil {
		return err
	}
	tags, ok := content.As[content.TagLister](from)
	if !ok {
		return fmt.Errorf("%s does not list its tags: %w", src, errors.ErrUnsupported)
	}
	jobs, passed, err := allTags(ctx, tags, src, dst)
	if err != nil {
		return err
	}
	m.rest = &remainder{src: from, tags: passed, referrers: m.o.Filter.Referrers}
	for _, one := range jobs {
		job := transfer.Job{Src: from, Filter: m.o.Filter}
		if m.o.AnyPlatform {
			at := *from
			at.Ref = one.src.Ref()
			job.Filter = anyPlatform(ctx, &at, job.Filter)
		}
		if err := m.addJob(ctx, job, one.src, one.dst); err != nil {
			return err
		}
	}
	if len(m.jobs) == 0 {
		return fmt.Errorf("%s has no tags: %w", src, content.ErrNotFound)
	}
	return nil
}

// An imageCopy is one of several images and where it goes.
type imageCopy struct {
	src endpoint.Endpoint
	dst []endpoint.Endpoint
}

// allTags returns what becomes of each tag of src, and the tags it passed over.
// Nothing is opened before it is known that none gets the name of another.
func allTags(ctx context.Context, tags content.TagLister, src endpoint.Endpoint, dst []endpoint.Endpoint) (jobs []imageCopy, passed []string, _ error) {
	taken := claims{}
	for tag, err := range tags.Tags(ctx) {
		if err != nil {
			return nil, nil, err
		}
		if content.IsDigestTag(tag) {
			passed = append(passed, tag)
			continue
		}
		job := imageCopy{src: src.Tagged(tag)}
		for _, e := range dst {
			to := tagged(e, job.src, tag)
			if err := taken.claim(to, tag); err != nil {
				return nil, nil, err
			}
			job.dst = append(job.dst, to)
		}
		jobs = append(jobs, job)
	}
	return jobs, passed, nil
}

// claims says which image of a run gets a place: a tag of a registry, or a
// folder that has room for one image.
type claims map[endpoint.Endpoint]string

// claim gives e to the image that is called name at the source.
func (c claims) claim(e endpoint.Endpoint, name string) error {
	if e.Transport != endpoint.Registry && e.Transport != endpoint.Dir {
		return nil
	}
	if first, ok := c[e]; ok && first != name {
		return fmt.Errorf("images %q and %q would both become %s, copy them one by one: %w", first, name, e, content.ErrConflict)
	}
	c[e] = name
	return nil
}

// tagged returns e for an image that is src and has that name there: with its tag
// in a registry, and in the store as it is called in its registry. Other places
// take the image's full name by themselves.
func tagged(e, src endpoint.Endpoint, name string) endpoint.Endpoint {
	switch {
	case e.Transport == endpoint.Registry:
		_, e.Tag = content.SplitName(name)
	case e.Transport == endpoint.Store && src.Transport == endpoint.Registry:
		return src.Stored()
	case e.Transport == endpoint.Store:
		return endpoint.InStore(name)
	}
	return e
}
