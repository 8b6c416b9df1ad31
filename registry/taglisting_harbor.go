package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// harborListing is Harbor's: created is what the image says, and of an index,
// which says nothing, when it was pushed. A project that is not public is not
// listed to us: the API knows no tokens of registries.
// https://goharbor.io/docs/2.12.0/working-with-projects/working-with-images/
type harborListing struct{}

// onHarbor reports whether the registry is a Harbor, whose challenges name its
// token service so wherever it runs.
func onHarbor(r *Repository) bool {
	_, _, below := firstPart(r.name)
	return below && r.host.auth.service() == "harbor-registry"
}

// service returns what the host calls the service that its tokens are for, "" while
// it asked for none.
func (a *authorizer) service() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		return ""
	}
	return a.known.params["service"]
}

func (harborListing) by() string            { return "Harbor" }
func (harborListing) requests(tags int) int { return pagesOf(tags) }

func (harborListing) list(ctx context.Context, r *Repository, tags int) ([]ListedTag, error) {
	project, name, _ := firstPart(r.name)
	// The name is encoded, and its encoding is encoded as that of any URL is.
	path := "/api/v2.0/projects/" + project + "/repositories/" + strings.ReplaceAll(name, "/", "%2F") + "/artifacts"
	return listPages(ctx, tags, func(ctx context.Context, page int) (listedPage, error) {
		raw, err := r.host.ask(ctx, path, url.Values{
			"with_tag": {"true"}, "q": {"tags=*"}, "page": {strconv.Itoa(page)}, "page_size": {strconv.Itoa(listedPerPage)},
		})
		if err != nil {
			return listedPage{}, err
		}
		return readHarborPage(raw)
	})
}

type harborArtifact struct {
	Digest     string    `json:"digest"`
	Size       int64     `json:"size"`
	PushTime   time.Time `json:"push_time"`
	ExtraAttrs struct {
		Created json.RawMessage `json:"created"` // as the config has it, which is not always a time
		harborPlatform
	} `json:"extra_attrs"`
	References []struct {
		Platform harborPlatform `json:"platform"`
	} `json:"references"`
	Tags []struct {
		Name string `json:"name"`
	} `json:"tags"`
}

type harborPlatform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

// readHarborPage reads artifacts, which may have several tags each.
func readHarborPage(raw []byte) (listedPage, error) {
	var artifacts []harborArtifact
	if err := json.Unmarshal(raw, &artifacts); err != nil {
		return listedPage{}, fmt.Errorf("not the JSON of a listing: %w: %w", err, content.ErrInvalid)
	}
	page := listedPage{more: len(artifacts) >= listedPerPage}
	for _, a := range artifacts {
		tag := ListedTag{Digest: listedDigest(a.Digest), Size: max(a.Size, 0), Created: a.PushTime}
		var made time.Time
		if json.Unmarshal(a.ExtraAttrs.Created, &made) == nil && !made.IsZero() {
			tag.Created = made
		}
		tag.addPlatform(a.ExtraAttrs.platform())
		for _, child := range a.References {
			tag.addPlatform(child.Platform.platform())
		}
		for _, t := range a.Tags {
			tag.Name = t.Name
			page.tags = append(page.tags, tag)
		}
	}
	return page, nil
}

func (p harborPlatform) platform() ocispec.Platform {
	return ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}
