package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/registry"
)

// SearchResult is a row of `wherry search`, with docker's names and values; the
// last two are wherry's.
type SearchResult struct {
	Name        string
	Description string
	StarCount   string
	IsOfficial  string // [OK], or nothing
	IsVerified  string // [OK] of a verified publisher, sponsored of an open source project that Docker sponsors
	Badge       string // as Docker Hub calls it: official, verified_publisher, open_source; or nothing
}

type searchOptions struct {
	Limit   int
	NoTrunc bool
	Filter  []string
}

func newSearch(f *Factory) *cobra.Command {
	var o searchOptions
	cmd := &cobra.Command{
		Use:   "search [HOST/]TERM",
		Short: "Search Docker Hub, or another registry, for images",
		Long: "Search Docker Hub for images, as docker search does; VERIFIED says more of who makes them: [OK] is a publisher that Docker\n" +
			"has verified, sponsored an open source project that it sponsors. With quay.io/TERM Quay is searched, with any other host\n" +
			"in front the names of the repositories that it lists, where it lists them. No credentials are sent to Docker Hub and Quay.\n" +
			"A host alone is refused, so that Docker Hub does not learn of it: a name with a port, and one with dots that is known to\n" +
			"many, has settings or a credential, or is named as hosts are. Any term is searched for with docker.io/TERM.\n" +
			"Filters: is-official=true, is-verified=true, stars=N.",
		Example: "  wherry search nginx\n  wherry search --filter is-official=true --limit 5 --no-trunc postgres\n" +
			"  wherry search --format '{{.Name}}: {{.StarCount}}' quay.io/prometheus\n  wherry search registry.example:5000/team",
		Args: exactArgs(1),
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Limit, "limit", 25, "no more than `N`, up to 100")
	flags.BoolVar(&o.NoTrunc, "no-trunc", false, "do not shorten descriptions")
	flags.StringArrayVarP(&o.Filter, "filter", "f", nil, "only images for which `CONDITION`, KEY=VALUE, holds (repeatable)")
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		filter, err := parseSearchFilter(o.Filter)
		if err != nil {
			return render.Result{}, err
		}
		if o.Limit < 1 || o.Limit > registry.MostFound {
			return render.Result{}, usagef("--limit %d is not between 1 and %d", o.Limit, registry.MostFound)
		}
		found, err := f.search(ctx, args[0], o, filter)
		if err != nil && len(found) == 0 {
			return render.Result{}, err
		}
		return o.listing(found), err
	})
}

// search finds what is meant by what somebody typed.
func (f *Factory) search(ctx context.Context, arg string, o searchOptions, filter searchFilter) ([]registry.Found, error) {
	host, term, err := f.splitSearch(arg)
	if err != nil {
		return nil, err
	}
	f.SrcHost, f.DstHost = host, ""
	client, err := f.Client()
	if err != nil {
		return nil, err
	}
	most := o.Limit
	if filter.given {
		most = registry.MostFound // those that are left out do not count
	}
	result, err := client.Search(ctx, host, term, most)
	if errors.Is(err, errors.ErrUnsupported) {
		return f.searchCatalog(ctx, client, host, term, o.Limit, filter)
	}
	if err != nil {
		return nil, fmt.Errorf("search of %s: %w", host, err)
	}
	if result.Unmarked {
		f.Note("%s does not say now which publishers are verified", host)
	}
	var found []registry.Found
	for _, one := range result.Found {
		if filter.means(one) && len(found) < o.Limit {
			found = append(found, one)
		}
	}
	return prefixed(host, found), nil
}

// splitSearch takes the host off, which is Docker Hub where there is none. A host
// alone is refused: Docker Hub shall not learn what a private registry is called.
func (f *Factory) splitSearch(arg string) (host, term string, err error) {
	if f.isHostAlone(arg) {
		if _, err := parseHost(arg); err != nil {
			return "", "", err
		}
		return "", "", usagef("%+q is a registry, and there is no term to search for in it", arg)
	}
	host, term = registry.DockerHub, arg
	if first, rest, both := strings.Cut(arg, "/"); both && (strings.ContainsAny(first, ".:") || first == "localhost") {
		if host, err = parseHost(first); err != nil {
			return "", "", err
		}
		term = rest
	}
	if strings.TrimSpace(term) == "" {
		return "", "", usagef("there is nothing to search for in %+q", arg)
	}
	return host, term, nil
}

// searchCatalog looks for the term in the names that a registry lists.
func (f *Factory) searchCatalog(ctx context.Context, client *registry.Client, host, term string, most int, filter searchFilter) ([]registry.Found, error) {
	names, err := collectSome(f.counted(host, client.Catalog(ctx, host)), most, func(name string) bool {
		return strings.Contains(name, strings.ToLower(term)) && filter.means(registry.Found{})
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", host, err)
	}
	found := make([]registry.Found, len(names))
	for i, name := range names {
		found[i].Name = name
	}
	return prefixed(host, found), err
}

// prefixed puts the host before names, so that they can be pulled.
func prefixed(host string, found []registry.Found) []registry.Found {
	if host == registry.DockerHub {
		return found
	}
	for i := range found {
		found[i].Name = host + "/" + found[i].Name
	}
	return found
}

func (o searchOptions) listing(found []registry.Found) render.Result {
	rows, names := make([]SearchResult, len(found)), make([]string, len(found))
	for i, one := range found {
		row := SearchResult{
			Name: one.Name, StarCount: strconv.Itoa(one.Stars), Badge: string(one.Badge),
			Description: strings.NewReplacer("\n", " ", "\r", " ").Replace(one.Description),
		}
		if !o.NoTrunc {
			row.Description = shortText(row.Description)
		}
		switch one.Badge {
		case registry.BadgeOfficial:
			row.IsOfficial = "[OK]"
		case registry.BadgePublisher:
			row.IsVerified = "[OK]"
		case registry.BadgeOpenSource:
			row.IsVerified = "sponsored"
		case registry.BadgeNone:
		}
		rows[i], names[i] = row, one.Name
	}
	return render.Result{Quiet: names, Listing: &render.Listing{
		Rows: rows, Columns: []string{"Name", "Description", "StarCount", "IsOfficial", "IsVerified"},
		Headers: map[string]string{"StarCount": "STARS", "IsOfficial": "OFFICIAL", "IsVerified": "VERIFIED"},
	}}
}

// A searchFilter is docker's --filter of search.
// https://docs.docker.com/reference/cli/docker/search/#filter
type searchFilter struct {
	given              bool
	stars              int
	official, verified *bool
}

func parseSearchFilter(conditions []string) (f searchFilter, err error) {
	for _, condition := range conditions {
		key, value, ok := strings.Cut(condition, "=")
		if !ok {
			return f, usagef("--filter %s is not of the form KEY=VALUE", condition)
		}
		f.given = true
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "stars":
			f.stars, err = strconv.Atoi(value)
		case "is-official":
			f.official, err = parseYes(value)
		case "is-verified":
			f.verified, err = parseYes(value)
		default:
			err = errors.New("there is no such filter; there are is-official, is-verified, stars")
		}
		if err != nil {
			return f, usagef("--filter %s: %w", condition, err)
		}
	}
	return f, nil
}

func parseYes(s string) (*bool, error) {
	yes, err := strconv.ParseBool(s)
	if err != nil {
		return nil, fmt.Errorf("%q is neither true nor false", s)
	}
	return &yes, nil
}

func (f searchFilter) means(one registry.Found) bool {
	switch {
	case one.Stars < f.stars:
		return false
	case f.official != nil && *f.official != (one.Badge == registry.BadgeOfficial):
		return false
	}
	return f.verified == nil || *f.verified == (one.Badge == registry.BadgePublisher)
}
