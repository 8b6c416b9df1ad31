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

// cosignSuffixes end the tags under which cosign keeps what it says of a
// manifest. https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
var cosignSuffixes = []string{".sig", ".att", ".sbom"}

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
		for _, suffix := range cosignSuffixes {
			d, err := r.Resolve(ctx, fallbackTag(subject)+suffix)
			if content.IsMissing(err) {
				continue
			}
			if err != nil {
				return "", err
			}
			seen = append(seen, suffix+" "+d.Digest.String())
		}
	}
	if len(seen) == 0 {
		return "", nil
	}
	slices.Sort(seen)
	sum := sha256.Sum256([]byte(strings.Join(seen, "\n")))
	return hex.EncodeToString(sum[:]), nil
}
