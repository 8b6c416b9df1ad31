package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// A Found is a repository that a search found. What the registry does not say is
// empty.
type Found struct {
	Name        string // "nginx", "bitnami/nginx"
	Description string
	Stars       int
	Badge       Badge
}

// A Badge is what a registry vouches for: who makes the images of a repository.
type Badge string

// The badges of Docker Hub.
const (
	BadgeNone       Badge = ""
	BadgeOfficial   Badge = "official"
	BadgePublisher  Badge = "verified_publisher"
	BadgeOpenSource Badge = "open_source" // sponsored by Docker
)

// A SearchResult is what a search found, in the order of the registry.
type SearchResult struct {
	Found []Found

	// Unmarked says that of the badges official ones alone are known.
	Unmarked bool
}

// MostFound is how many repositories a search finds at most.
const MostFound = 100

// Search looks for repositories whose name or description has term, at most that
// many, up to [MostFound]: at Docker Hub and at Quay, without credentials. Others
// have no API for it: [errors.ErrUnsupported]. What [Client.Catalog] lists may do
// there.
func (c *Client) Search(ctx context.Context, at, term string, most int) (SearchResult, error) {
	c.init()
	name, err := canonicalHost(at)
	if err != nil {
		return SearchResult{}, err
	}
	search := map[string]func(context.Context, *host, string, int) (SearchResult, error){DockerHub: searchHub, quayHost: searchQuay}[name]
	if search == nil {
		return SearchResult{}, fmt.Errorf("%s has no search: %w", name, errors.ErrUnsupported)
	}
	if name == DockerHub {
		name = HubHost
	}
	h, err := c.host(name)
	if err != nil {
		return SearchResult{}, err
	}
	most = min(max(most, 1), MostFound)
	result, err := search(httpx.Anonymous(ctx), h, term, most)
	result.Found = result.Found[:min(len(result.Found), most)]
	return result, err
}

// searchHub asks the API that Docker Hub's own pages and tools ask, which knows
// badges, and where that is not there any more the older one.
// https://github.com/docker/hub-mcp/blob/main/src/search.ts
func searchHub(ctx context.Context, h *host, term string, most int) (SearchResult, error) {
	raw, err := h.ask(ctx, "/api/search/v4", url.Values{"query": {term}, "type": {"image"}, "from": {"0"}, "size": {strconv.Itoa(most)}})
	var result SearchResult
	if err == nil {
		result, err = readHubSearch(raw)
	}
	if err == nil || ctx.Err() != nil || !errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrInvalid) {
		return result, err
	}
	h.client.log().DebugContext(ctx, "search without badges", "host", h.name, "error", err)
	raw, err = h.ask(ctx, "/v2/search/repositories/", url.Values{"query": {term}, "page_size": {strconv.Itoa(most)}})
	if err != nil {
		return SearchResult{}, err
	}
	return readOldHubSearch(raw)
}

func readHubSearch(raw []byte) (SearchResult, error) {
	var wire struct {
		Results []struct {
			Name        string `json:"name"` // official ones without "library/"
			Description string `json:"short_description"`
			Stars       int    `json:"star_count"`
			Badge       Badge  `json:"badge"`
		} `json:"results"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return SearchResult{}, notFoundJSON(err)
	}
	var result SearchResult
	for _, r := range wire.Results {
		if r.Badge == "none" {
			r.Badge = BadgeNone
		}
		result.Found = append(result.Found, Found(r))
	}
	return result, nil
}

func notFoundJSON(err error) error {
	return fmt.Errorf("not the JSON of what a search found: %w: %w", err, content.ErrInvalid)
}

// readOldHubSearch reads what https://hub.docker.com/v2/search/repositories/ says.
func readOldHubSearch(raw []byte) (SearchResult, error) {
	var wire struct {
		Results []struct {
			Name        string `json:"repo_name"`
			Description string `json:"short_description"`
			Stars       int    `json:"star_count"`
			Official    bool   `json:"is_official"`
		} `json:"results"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		return SearchResult{}, notFoundJSON(err)
	}
	result := SearchResult{Unmarked: true}
	for _, r := range wire.Results {
		found := Found{Name: r.Name, Description: r.Description, Stars: r.Stars}
		if r.Official {
			found.Badge = BadgeOfficial
		}
		result.Found = append(result.Found, found)
	}
	return result, nil
}

// searchQuay asks for pages, of ten, until there are enough, or no more.
// https://docs.quay.io/api/swagger/#!/search/conductRepoSearch
func searchQuay(ctx context.Context, h *host, term string, most int) (SearchResult, error) {
	var result SearchResult
	for page := 1; page <= MostFound/10; page++ {
		raw, err := h.ask(ctx, "/api/v1/find/repositories", url.Values{"query": {term}, "page": {strconv.Itoa(page)}})
		if err != nil {
			return result, err
		}
		var wire struct {
			Results []struct {
				Namespace struct {
					Name string `json:"name"`
				} `json:"namespace"`
				Name        string  `json:"name"`
				Description string  `json:"description"`
				Stars       float64 `json:"stars"`
			} `json:"results"`
			More bool `json:"has_additional"`
		}
		if err := json.Unmarshal(raw, &wire); err != nil {
			return result, notFoundJSON(err)
		}
		for _, r := range wire.Results {
			result.Found = append(result.Found, Found{Name: r.Namespace.Name + "/" + r.Name, Description: r.Description, Stars: int(r.Stars)})
		}
		if !wire.More || len(result.Found) >= most {
			break
		}
	}
	return result, nil
}
