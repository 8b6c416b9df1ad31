package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// ReferrersState implements [content.ReferrerWatcher]: with one request where
// the host has the referrers API, and else with four, for the fallback tag and
// for each of cosign's tags. Where the API is there, cosign's tags do not count.
func (r *Repository) ReferrersState(ctx context.Context, subject digest.Digest) (string, error) {
	var seen []string
	for d, err := range r.Referrers(ctx, subject, "") {
		if err != nil {
			return "", err
		}
		seen = append(seen, d.Digest.String())
	}
	if r.host.remembersNoReferrers() {
		tags, err := r.digestTags(ctx, subject)
		if err != nil {
			return "", err
		}
		seen = append(seen, tags...)
	}
	if len(seen) == 0 {
		return "", nil
	}
	slices.Sort(seen)
	sum := sha256.Sum256([]byte(strings.Join(seen, "\n")))
	return hex.EncodeToString(sum[:]), nil
}

// digestTags returns cosign's tags of subject that exist, each with the digest
// it points at. All are asked for at once: one round trip, not three.
func (r *Repository) digestTags(ctx context.Context, subject digest.Digest) ([]string, error) {
	var mu sync.Mutex
	var seen []string
	g, ctx := errgroup.WithContext(ctx)
	for _, tag := range content.DigestTags(subject) {
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
	return seen, err
}
