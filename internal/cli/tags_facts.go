package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry"
)

// A keptImage is what is remembered of a digest. It is kept beside the manifests
// that the client keeps of registries which count pulls: these say nothing of a
// config, and of an index there are many.
type keptImage struct {
	Created   *time.Time `json:"created,omitempty"`
	Size      int64      `json:"size"`
	Platforms []string   `json:"platforms,omitempty"`
	Odd       []string   `json:"odd,omitempty"`
}

func keptKey(d digest.Digest) string { return "image " + d.String() }

// recall returns what a former run found out about a digest, or finds it out from
// the manifest that read returns. A digest stands for the same for ever, but for
// what of its index is not there.
func (r *tagReader) recall(ctx context.Context, d digest.Digest, read func() (content.Manifest, error)) (imageFacts, error) {
	if r.client == nil || r.client.Facts == nil {
		return r.describe(ctx, read)
	}
	if text, known := r.client.Facts.Fact(keptKey(d)); known {
		var kept keptImage
		if json.Unmarshal([]byte(text), &kept) == nil {
			return imageFacts{config: configFacts{created: kept.Created}, size: kept.Size, platforms: kept.Platforms, odd: kept.Odd}, nil
		}
	}
	facts, err := r.describe(ctx, read)
	if err != nil || facts.missing != "" {
		return facts, err
	}
	text, err := json.Marshal(keptImage{Created: facts.config.created, Size: facts.size, Platforms: facts.platforms, Odd: facts.odd})
	if err == nil {
		r.client.Facts.Remember(keptKey(d), string(text))
	}
	return facts, err
}

// knows reports whether images of the repository were looked at before. Where they
// were, most are known by their digests, which a HEAD tells; where they were not,
// each manifest has to be got anyway, and tells its digest as well.
func (r *tagReader) knows() bool {
	if r.client.Facts == nil {
		return false
	}
	_, known := r.client.Facts.Fact(r.knownKey())
	return known
}

// know has runs to come know that images of the repository were looked at.
func (r *tagReader) know() {
	if r.fresh && r.client.Facts != nil {
		r.client.Facts.Remember(r.knownKey(), "")
	}
}

func (r *tagReader) knownKey() string { return "tags " + r.at.Host + "/" + r.at.Repository }

// A tagLister is what a registry has that lists its tags in a way of its own.
type tagLister interface {
	HasListing(tags int) (by string, requests int, may bool)
	Listing(ctx context.Context, tags int) (registry.TagListing, error)
}

// leastRequests is what a tag costs that nothing is known of: a manifest and a
// config at least, and a HEAD before where others may be known.
func (r *tagReader) leastRequests() int {
	if r.atOnce() {
		return 2
	}
	return 3
}

// askListing takes what is told of rows from the registry's own listing, where
// that costs less than reading them. Nothing depends on it.
func (r *tagReader) askListing(ctx context.Context, rows []*tagRow) {
	lister, ok := content.As[tagLister](r.Source)
	if !ok || len(rows) == 0 || r.listing == listingNever {
		return
	}
	by, requests, may := lister.HasListing(r.all)
	if !may || requests > r.leastRequests()*len(rows) {
		return
	}
	r.listing = listingNever // again
	if requests > manyTags {
		r.f.Note("the listing of %s takes %d requests", by, requests)
	}
	listing, err := lister.Listing(ctx, r.all)
	if err != nil {
		r.f.Log().DebugContext(ctx, "listing not used", "of", by, "error", err)
		return
	}
	used := 0
	for _, row := range rows {
		if tag, ok := listing.Tags[row.Tag]; ok && row.take(listing.By, tag) {
			used++
		}
	}
	if used > 0 {
		r.f.Note("created and size as %s's listing has them", by)
	}
}

// take fills a row with what a listing says, unless that is about another digest
// than the tag stands for.
func (t *tagRow) take(by string, tag registry.ListedTag) bool {
	if t.Digest != "" && tag.Digest != "" && t.Digest != tag.Digest {
		return false
	}
	t.Listing, t.Size = by, tag.Size
	if t.Digest == "" {
		t.Digest = tag.Digest
	}
	if year := tag.Created.Year(); year > 1 && year <= 9999 {
		t.Created = new(tag.Created.UTC())
	}
	for _, p := range tag.Platforms {
		t.Platforms = append(t.Platforms, p.String())
	}
	t.told = t.Digest != ""
	return true
}

// A cost is what looking at a tag costs.
type cost uint8

const (
	costOfDigests cost = iota
	costOfFacts
)

// manyTags are more than somebody looks at by the way.
const manyTags = 100

// sayCost says what a flag is about to ask of a registry for rows, where that is much.
func (r *tagReader) sayCost(flag string, rows []*tagRow, c cost) {
	if r.client == nil {
		return
	}
	tags, images, more := r.costOf(rows)
	if tags <= manyTags {
		return
	}
	line := fmt.Sprintf("%s looks at all %d tags: %d requests", flag, len(rows), tags)
	if c == costOfFacts {
		line += fmt.Sprintf(", and up to %d more for images that were not looked at before", more)
		index := "; an index takes one more for each manifest in it"
		if r.countsPulls() {
			line += fmt.Sprintf(", of which %s counts %d as pulls", r.at.Host, images)
			index += ", which is a pull too"
		}
		line += index
	}
	r.f.Note("%s", line)
}

// costOf returns how many rows a request finds out the digest of, how many images
// rows stand for at most, as far as no listing tells all that is told of them, and
// how many requests more these take where nothing is known of them.
func (r *tagReader) costOf(rows []*tagRow) (tags, images, more int) {
	digests := map[digest.Digest]bool{}
	for _, row := range rows {
		if row.Digest != "" {
			digests[row.Digest] = true
			continue
		}
		tags++
		if row.Listing == "" {
			images++
		}
	}
	const whole = 2 // a manifest and a config
	return tags, images + len(digests), images*(r.leastRequests()-1) + len(digests)*whole
}

// countsPulls reports whether the registry is known to let so many manifests be
// got and no more.
func (r *tagReader) countsPulls() bool {
	_, limited := r.client.RateLimit(r.at.Host)
	return limited || r.at.Host == registry.DockerHub
}
