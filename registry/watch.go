package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

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
		for _, tag := range content.DigestTags(subject) {
			d, err := r.Resolve(ctx, tag)
			if content.IsMissing(err) {
				continue
			}
			if err != nil {
				return "", err
			}
			seen = append(seen, tag+" "+d.Digest.String())
		}
	}
	if len(seen) == 0 {
		return "", nil
	}
	slices.Sort(seen)
	sum := sha256.Sum256([]byte(strings.Join(seen, "\n")))
	return hex.EncodeToString(sum[:]), nil
}
