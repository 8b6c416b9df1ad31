package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/wherry-dev/wherry/content"
)

const quayHost = "quay.io"

// quayListing is Quay's: created is when the tag came to point where it does, an
// index has no size, and platforms are not told.
// https://docs.quay.io/api/swagger/#!/tag/listRepoTags
type quayListing struct{}

func (quayListing) by() string            { return "Quay" }
func (quayListing) requests(tags int) int { return pagesOf(tags) }

func (quayListing) list(ctx context.Context, r *Repository, tags int) ([]ListedTag, error) {
	return listPages(ctx, tags, func(ctx context.Context, page int) (listedPage, error) {
		raw, err := r.host.ask(ctx, "/api/v1/repository/"+r.name+"/tag/",
			url.Values{"limit": {strconv.Itoa(listedPerPage)}, "page": {strconv.Itoa(page)}, "onlyActiveTags": {"true"}})
		if err != nil {
			return listedPage{}, err
		}
		return readQuayPage(raw)
	})
}

func readQuayPage(raw []byte) (listedPage, error) {
	var wire struct {
		Tags []struct {
			Name           string `json:"name"`
			ManifestDigest string `json:"manifest_digest"`
			LastModified   string `json:"last_modified"` // Fri, 02 Jan 2026 15:04:05 -0000
			Size           int64  `json:"size"`          // null of an index
		} `json:"tags"`
		HasAdditional bool `json:"has_additional"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return listedPage{}, fmt.Errorf("not the JSON of a listing: %w: %w", err, content.ErrInvalid)
	}
	page := listedPage{more: wire.HasAdditional}
	for _, t := range wire.Tags {
		at, _ := time.Parse(time.RFC1123Z, t.LastModified) // where it is none, nobody knows
		page.tags = append(page.tags, ListedTag{Name: t.Name, Digest: listedDigest(t.ManifestDigest), Created: at, Size: max(t.Size, 0)})
	}
	return page, nil
}
