package image

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// find returns what refers to each of level, by subject and by digest tag, what
// stands in the tree already included.
func (w *surveyor) find(ctx context.Context, level []*Branch) ([][]Referrer, error) {
	if err := w.listTags(ctx, level); err != nil {
		return nil, err
	}
	found := make([][]Referrer, len(level))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(surveyJobs)
	for i, b := range level {
		if b.Missing {
			continue
		}
		g.Go(func() error {
			listed, err := w.scout(ctx, b)
			if err != nil {
				return err
			}
			tagged, err := w.tagged(ctx, b)
			found[i] = append(listed, tagged...)
			return err
		})
	}
	return found, g.Wait()
}

// scout returns what refers to b by itself, as far as the place can be read.
func (w *surveyor) scout(ctx context.Context, b *Branch) ([]Referrer, error) {
	listed, err := scout(ctx, w.src, b.Digest)
	if unread, ok := errors.AsType[*content.UnreadError](err); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.unread = unread // it is that of the place, whatever was asked for
		return listed, nil
	}
	return listed, err
}

// listTags lists the digest tags once: where names cost nothing, and where there
// are more manifests to ask about than a list takes requests, mostly.
func (w *surveyor) listTags(ctx context.Context, level []*Branch) (err error) {
	const few = 2
	_, costly := content.As[content.Originer](w.src)
	if !w.asked && (!costly || len(level) > few) {
		w.asked = true
		w.tags, err = listDigestTags(ctx, w.src)
	}
	return err
}

// tagged returns what the digest tags of b lead to.
func (w *surveyor) tagged(ctx context.Context, b *Branch) ([]Referrer, error) {
	names := w.tags.of(w.name, b.Digest)
	found := make([][]Referrer, len(names))
	g, ctx := errgroup.WithContext(ctx)
	for i, name := range names {
		g.Go(func() (err error) {
			found[i], err = followTag(ctx, w.src, name)
			return err
		})
	}
	err := g.Wait()
	return slices.Concat(found...), err
}
