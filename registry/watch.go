package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// ReferrersState implements [content.ReferrerWatcher]: with one request where
// the host has the referrers API, and else with four HEADs, for the fallback tag
// and for each of cosign's tags. Where the API is there, cosign's tags do not
// count.
func (r *Repository) ReferrersState(ctx context.Context, subject digest.Digest) (string, error) {
	if err := content.CheckDigest(subject); err != nil {
		return "", err
	}
	var seen []string
	for d, err := range r.listed(ctx, subject, "") {
		if errors.Is(err, errNoReferrersAPI) {
			return r.tagState(ctx, append(content.DigestTags(subject), content.FallbackTag(subject)))
		}
		if err != nil {
			return "", err
		}
		seen = append(seen, d.Digest.String())
	}
	return stateOf(seen), nil
}

// tagState tells which of tags exist, and what they point at. All are asked for
// at once: one round trip, not four.
func (r *Repository) tagState(ctx context.Context, tags []string) (string, error) {
	var mu sync.Mutex
	var seen []string
	g, ctx := errgroup.WithContext(ctx)
	for _, tag := range tags {
		g.Go(func() error {
			d, err := r.Resolve(ctx, tag)
			if content.IsMissing(err) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, tag+" "+d.Digest.String())
			return err
		})
	}
	err := g.Wait()
	return stateOf(seen), err
}

// stateOf is one short text for what was seen, in whatever order; empty for
// nothing.
func stateOf(seen []string) string {
	if len(seen) == 0 {
		return ""
	}
	slices.Sort(seen)
	sum := sha256.Sum256([]byte(strings.Join(seen, "\n")))
	return hex.EncodeToString(sum[:])
}
