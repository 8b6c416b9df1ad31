package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// HubHost is where Docker Hub's own API is: another host than its registry, which
// sees none of that one's credentials.
const HubHost = "hub.docker.com"

// hubListing is Docker Hub's: created is when the tag was last pushed.
// https://docs.docker.com/reference/api/hub/latest/#tag/repositories/operation/ListRepositoryTags
type hubListing struct{}

// onHub reports whether r is at Docker Hub. Where that has another address here,
// what hub.docker.com says is about something else, unless it has one too.
func onHub(r *Repository) bool {
	if r.host.name != DockerHub {
		return false
	}
	beside, err := r.host.client.hostSettings(HubHost)
	return err == nil && (r.host.settings.Address == "" || beside.Address != "")
}

func (hubListing) by() string            { return "Docker Hub" }
func (hubListing) requests(tags int) int { return pagesOf(tags) }

func (hubListing) list(ctx context.Context, r *Repository, tags int) ([]ListedTag, error) {
	// As a mirror it is given up sooner.
	h, err := r.host.client.hostAs(hostKey{name: HubHost, mirror: true})
	if err != nil {
		return nil, err
	}
	namespace, name, _ := firstPart(r.name)
	return listPages(ctx, tags, func(ctx context.Context, page int) (listedPage, error) {
		raw, err := h.ask(ctx, "/v2/namespaces/"+namespace+"/repositories/"+name+"/tags",
			url.Values{"page": {strconv.Itoa(page)}, "page_size": {strconv.Itoa(listedPerPage)}})
		if err != nil {
			return listedPage{}, err
		}
		return readHubPage(raw)
	})
}

func readHubPage(raw []byte) (listedPage, error) {
	var wire struct {
		Next    string `json:"next"`
		Results []struct {
			Name        string    `json:"name"`
			Digest      string    `json:"digest"`
			LastUpdated time.Time `json:"last_updated"`
			Images      []struct {
				OS           string `json:"os"`
				Architecture string `json:"architecture"`
				Variant      string `json:"variant"`
				Size         int64  `json:"size"`
			} `json:"images"`
		} `json:"results"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return listedPage{}, fmt.Errorf("not the JSON of a listing: %w: %w", err, content.ErrInvalid)
	}
	page := listedPage{more: wire.Next != ""}
	for _, t := range wire.Results {
		tag := ListedTag{Name: t.Name, Digest: listedDigest(t.Digest), Created: t.LastUpdated}
		for _, i := range t.Images {
			tag.Size += max(i.Size, 0)
			tag.addPlatform(ocispec.Platform{OS: i.OS, Architecture: i.Architecture, Variant: i.Variant})
		}
		page.tags = append(page.tags, tag)
	}
	return page, nil
}

// addPlatform adds a platform, each once. Attestations are for none.
func (t *ListedTag) addPlatform(stated ocispec.Platform) {
	if stated.OS == "" || stated.OS == "unknown" {
		return
	}
	p := content.PlatformOf(stated)
	if !slices.Contains(t.Platforms, p) {
		t.Platforms = append(t.Platforms, p)
	}
}
