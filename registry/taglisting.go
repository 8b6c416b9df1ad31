package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// A ListedTag is what the listing of a registry says of a tag. What it does not
// say is empty.
type ListedTag struct {
	Name      string
	Digest    digest.Digest
	Created   time.Time // as the registry means it: with some when the tag was pushed
	Size      int64     // bytes, as the registry counts them
	Platforms []content.Platform
}

// A TagListing is what a registry says of the tags of a repository beyond the
// distribution spec, in an API of its own.
type TagListing struct {
	By   string // "Docker Hub"
	Tags map[string]ListedTag
}

// A listingAPI is the one that one kind of registry has. Where it is asked, no
// credential goes with it.
type listingAPI interface {
	by() string                                                                     // whose it is, for people
	requests(tags int) int                                                          // that so many tags cost
	list(ctx context.Context, r *Repository, tags int) (all []ListedTag, err error) // at least as many as there are
}

// listingAPIs says which registry has which, the first that fits. Those of one
// company are told by their names; a product that anybody may run, by what it
// answered.
var listingAPIs = []struct {
	serves func(*Repository) bool
	api    listingAPI
}{
	{onHub, hubListing{}},
	{func(r *Repository) bool { return r.host.name == quayHost }, quayListing{}},
	{func(r *Repository) bool { return isGoogle(r.host.name) }, googleListing{}},
	{onHarbor, harborListing{}},
}

// listingAPI returns that of r, nil where none is known. A registry whose API
// lies elsewhere than at the root of its host is none that is known.
func (r *Repository) listingAPI() listingAPI {
	if r.host.settings.Path != "" || r.namespace != "" {
		return nil
	}
	for _, known := range listingAPIs {
		if known.serves(r) {
			return known.api
		}
	}
	return nil
}

// HasListing reports whether the registry may have a listing of its own for a
// repository of so many tags, whose it is, and how many requests it costs. Some
// are found out by what the registry answered before: who asks after listing the
// tags knows best. Nothing is asked.
func (r *Repository) HasListing(tags int) (by string, requests int, may bool) {
	api := r.listingAPI()
	if api == nil || r.lacksListing() {
		return "", 0, false
	}
	return api.by(), api.requests(tags), true
}

// Listing returns the registry's own listing of a repository of so many tags.
// Everything can be had without it: it is given little time, it is asked for
// without credentials, and one that fails is not asked for again for an hour.
// Where none is known the error is [errors.ErrUnsupported].
func (r *Repository) Listing(ctx context.Context, tags int) (TagListing, error) {
	api := r.listingAPI()
	if api == nil {
		return TagListing{}, fmt.Errorf("%s has no listing of its own: %w", r.host.name, errors.ErrUnsupported)
	}
	all, err := api.list(httpx.Anonymous(ctx), r, tags)
	if err != nil {
		r.noteLacking(ctx, err)
		return TagListing{}, fmt.Errorf("listing of %s: %w", api.by(), err)
	}
	listing := TagListing{By: api.by(), Tags: make(map[string]ListedTag, len(all))}
	for _, tag := range all {
		if _, twice := listing.Tags[tag.Name]; !twice {
			listing.Tags[tag.Name] = tag
		}
	}
	return listing, nil
}

// listingMemory is for how long a listing that failed is not asked for again.
const listingMemory = time.Hour

func (r *Repository) lacksListing() bool {
	_, ofRepository := content.Recall(r.host.client.Facts, "listing "+r.String(), listingMemory)
	_, ofHost := content.Recall(r.host.client.Facts, "listing "+r.host.name, listingMemory)
	return ofRepository || ofHost
}

// noteLacking remembers that a listing failed: of the host where nobody answered,
// else of the repository, which may be one that only few may see.
func (r *Repository) noteLacking(ctx context.Context, err error) {
	of := r.String()
	if errors.Is(err, content.ErrUnavailable) {
		of = r.host.name
	}
	if ctx.Err() == nil && !errors.Is(err, content.ErrRateLimited) {
		content.Learn(r.host.client.Facts, "listing "+of, "none")
	}
}

const (
	listedPerPage   = 100
	listingJobs     = 4
	listingPatience = 10 * time.Second // for one page
)

// errSlowListing is a listing that takes too long.
var errSlowListing = fmt.Errorf("no page in %s: %w", listingPatience, content.ErrUnavailable)

// pagesOf returns on how many pages so many tags are.
func pagesOf(tags int) int { return max(1, (tags+listedPerPage-1)/listedPerPage) }

// A listedPage is a page of a listing. Where more is false it is the last one.
type listedPage struct {
	tags []ListedTag
	more bool
}

// listPages gets the pages on which so many tags are, from 1 on, and no more of
// them whatever the registry says: that comes to an end.
func listPages(ctx context.Context, tags int, get func(ctx context.Context, page int) (listedPage, error)) ([]ListedTag, error) {
	first, err := get(ctx, 1)
	if err != nil || !first.more {
		return first.tags, err
	}
	var mu sync.Mutex
	all := first.tags
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listingJobs)
	for n := 2; n <= min(pagesOf(tags), maxPages); n++ {
		g.Go(func() error {
			page, err := get(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, page.tags...)
			return cmp.Or(err, checkListed(all))
		})
	}
	err = g.Wait()
	return all, err
}

// checkListed holds a listing to the limits of lists.
func checkListed(all []ListedTag) error {
	if len(all) > maxNames {
		return fmt.Errorf("more than %d tags: %w", maxNames, content.ErrInvalid)
	}
	return nil
}

// ask gets what an API of a host beside the distribution spec's says, at a path
// from its root.
func (h *host) ask(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listingPatience, errSlowListing)
	defer cancel()
	resp, err := h.do(httpx.Whole(ctx, maxPage), call{method: http.MethodGet, api: path, query: query})
	if err != nil {
		return nil, err
	}
	if err := h.check(resp, http.StatusOK); err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return h.readSmall(resp, maxPage)
}

// listedDigest returns a digest that a listing names, "" where it is none.
func listedDigest(s string) digest.Digest {
	if content.CheckDigest(digest.Digest(s)) != nil {
		return ""
	}
	return digest.Digest(s)
}

// firstPart takes the first part off the name of a repository.
func firstPart(name string) (first, rest string, both bool) { return strings.Cut(name, "/") }
