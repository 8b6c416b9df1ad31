package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/layout"
)

// ImagesResult is a row of `wherry images`, with docker's names and values.
type ImagesResult struct {
	Containers   string
	CreatedAt    string
	CreatedSince string
	Digest       string
	ID           string
	Repository   string
	SharedSize   string
	Size         string
	Tag          string
	UniqueSize   string
}

type imagesOptions struct {
	All     bool
	Digests bool
	NoTrunc bool
	Tree    bool
	Filter  []string

	inTemplate bool // the template asks for digests
}

func newImages(f *Factory) *cobra.Command {
	var o imagesOptions
	cmd := &cobra.Command{
		Use:   "images [REPOSITORY[:TAG]]",
		Short: "List the images in the local store",
		Long: "List the images in the local store, the newest first, as docker images does. IMAGE ID is the digest of the config of\n" +
			"this machine's platform, or else of the first that is here. SIZE is what the image has in the store, compressed as it is.\n" +
			"Filters: reference=PATTERN, dangling=true, before=IMAGE, since=IMAGE, until=24h, label=KEY[=VALUE].",
		Example: "  wherry images\n  wherry images --filter 'reference=nginx*' --format '{{.Repository}}:{{.Tag}}'\n" +
			"  wherry images --filter dangling=true -q",
		Args: upToArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.All, "all", "a", false, "changes nothing: it is there because docker has it")
	flags.BoolVar(&o.Digests, "digests", false, "show digests")
	flags.BoolVar(&o.NoTrunc, "no-trunc", false, "do not shorten IDs")
	flags.BoolVar(&o.Tree, "tree", false, "show the platforms of each image")
	flags.StringArrayVarP(&o.Filter, "filter", "f", nil, "only images for which `CONDITION`, KEY=VALUE, holds (repeatable)")
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		for _, pattern := range args {
			o.Filter = append(o.Filter, "reference="+pattern)
		}
		// A tree is for people, as with docker.
		if o.Tree && (f.Flags.asked() || f.Flags.Quiet) {
			return render.Result{}, usagef("--tree is a form of its own: it goes with none of --format, --json and --quiet")
		}
		o.inTemplate = strings.Contains(f.Flags.Format.String(), ".Digest")
		return listImages(ctx, f, o)
	})
}

func listImages(ctx context.Context, f *Factory, o imagesOptions) (_ render.Result, err error) {
	store, err := f.openStore()
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	filter, err := parseFilter(o.Filter, listFilters, f.Now(), f.findIn(ctx, store))
	if err != nil {
		return render.Result{}, err
	}
	images, err := store.Images(ctx)
	if err != nil {
		return render.Result{}, err
	}
	if o.Tree {
		return render.Result{Tables: []render.Table{o.tree(images, filter)}}, nil
	}
	return o.listing(images, filter, f.Now()), nil
}

// listing lays images out as docker does, at that time.
func (o imagesOptions) listing(images []layout.Image, filter imageFilter, now time.Time) render.Result {
	most := 0
	for _, i := range images {
		most += max(len(i.Names), 1)
	}
	rows, ids := make([]ImagesResult, 0, most), make([]string, 0, most)
	for _, i := range images {
		names, meant := filter.names(i)
		if !meant {
			continue
		}
		for _, name := range orUnnamed(names) {
			row := o.row(i, name, now)
			rows, ids = append(rows, row), append(ids, row.ID)
		}
	}
	l := &render.Listing{
		Rows: rows, Columns: []string{"Repository", "Tag", "ID", "CreatedSince", "Size"},
		Headers: map[string]string{"ID": "IMAGE ID", "CreatedSince": "CREATED"},
	}
	if o.Digests {
		l.Columns = slices.Insert(l.Columns, 2, "Digest")
	}
	return render.Result{Listing: l, Quiet: ids}
}

// none is what docker shows of a name that is not there.
const none = "<none>"

// orUnnamed returns names, or one that is empty: an image without a name has a
// row as well.
func orUnnamed(names []string) []string {
	if len(names) == 0 {
		return []string{""}
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}

func (o imagesOptions) row(i layout.Image, name string, now time.Time) ImagesResult {
	v, _ := i.For(content.HostPlatform())
	row := ImagesResult{
		Containers: "N/A", SharedSize: "N/A", UniqueSize: "N/A",
		Repository: none, Tag: none, Digest: none,
		ID:           o.id(i.ID(content.HostPlatform())),
		CreatedAt:    "N/A",
		CreatedSince: "N/A",
		Size:         humanSize(sizeOf(i)),
	}
	if !v.Created.IsZero() {
		row.CreatedAt = v.Created.Local().Format("2006-01-02 15:04:05 -0700 MST")
		row.CreatedSince = ago(v.Created, now)
	}
	if repository, _, byDigest := strings.Cut(name, "@"); byDigest {
		row.Repository = repository
	} else if name != "" {
		repository, tag := content.SplitName(name)
		row.Repository, row.Tag = orNone(repository), tag
	}
	if o.Digests || o.inTemplate {
		row.Digest = i.Root.Digest.String()
	}
	return row
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

// id returns an image ID as it is shown.
func (o imagesOptions) id(d digest.Digest) string {
	if o.NoTrunc {
		return d.String()
	}
	return shortened(d)
}

// shortened returns the first digits of a digest, as docker shows an image ID.
func shortened(d digest.Digest) string { return d.Encoded()[:shortID] }

// sizeOf returns the bytes of all that is here of an image. Layers that its
// platforms share count for each.
func sizeOf(i layout.Image) int64 {
	var n int64
	for _, v := range i.Variants {
		n += v.Size
	}
	return n
}

// tree shows the platforms of each image, and those that are not here.
func (o imagesOptions) tree(images []layout.Image, filter imageFilter) render.Table {
	t := render.Table{Header: []string{"IMAGE", "ID", "CONTENT SIZE"}}
	var rows [][]string
	for _, i := range images {
		names, meant := filter.names(i)
		if !meant {
			continue
		}
		for _, name := range orUnnamed(names) {
			rows = append(rows, []string{orNone(name), o.id(i.Root.Digest), humanSize(sizeOf(i))})
		}
		rows = append(rows, o.branches(i)...)
	}
	t.Rows = slices.Values(rows)
	return t
}

func (o imagesOptions) branches(i layout.Image) [][]string {
	var rows [][]string
	for _, v := range i.Variants {
		platform := v.Platform.String()
		if v.Platform == (content.Platform{}) {
			platform = "unknown" // its config cannot be read, or does not say
		}
		rows = append(rows, []string{platform, o.id(v.ID), humanSize(v.Size)})
	}
	for _, p := range i.Offers {
		if p != (content.Platform{}) && !slices.ContainsFunc(i.Variants, func(v layout.Variant) bool { return v.Platform == p }) {
			rows = append(rows, []string{p.String(), "", "not here"})
		}
	}
	for n := range rows {
		branch := "├─ "
		if n == len(rows)-1 {
			branch = "└─ "
		}
		rows[n][0] = branch + rows[n][0]
	}
	return rows
}
