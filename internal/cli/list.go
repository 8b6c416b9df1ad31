package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/render"
)

// TagsResult is what `wherry tags` says.
type TagsResult struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

func newTags(f *Factory) *cobra.Command {
	var long bool
	cmd := &cobra.Command{
		Use:     "tags REPOSITORY|LAYOUT|ARCHIVE",
		Aliases: []string{"ls"},
		Short:   "List the tags of a repository, or the names in a layout or archive",
		Long: "List the tags of a repository, or the names in a layout or archive. With -l digest, creation time, size and platforms as well:\n" +
			"the digest costs a request a tag, the rest a manifest request (which registries count as a pull) for each\n" +
			"image that they stand for and each image of an index, and one for a config. Through a pipe the columns of -l\n" +
			"have tabs between them, no header, and sizes in bytes; a tag that cannot be read has its reason in the sixth.",
		Example: "  wherry tags ghcr.io/org/app\n  wherry tags oci:images\n  wherry tags --format '{{join .Tags \" \"}}' ./images.tar\n" +
			"  wherry tags -l ghcr.io/org/app | sort -k4 -n",
		Args: exactArgs(1),
	}
	cmd.Flags().BoolVarP(&long, "long", "l", false, "show digest, creation time, size and platforms of each tag")
	return f.RunAt(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		// What is left with --quiet are the names.
		if long && (!f.Flags.Quiet || f.Flags.asked()) {
			return runTags(ctx, f, p, (*place).listLong)
		}
		return runTags(ctx, f, p, (*place).list)
	})
}

// A listing makes a result of the tags of a place.
type listing func(p *place, ctx context.Context, f *Factory, tags []string) (render.Result, error)

func runTags(ctx context.Context, f *Factory, p *place, list listing) (render.Result, error) {
	if p.at.Tag != "" || p.at.Name != "" || p.at.Digest != "" {
		return render.Result{}, usagef("%s names one image; its place is wanted here, without a tag or digest", p.at)
	}
	lister, ok := content.As[content.TagLister](p.Source)
	if !ok {
		return render.Result{}, p.fail(fmt.Errorf("names cannot be listed there: %w", errors.ErrUnsupported))
	}
	tags, listErr := collect(lister.Tags(ctx))
	if listErr == nil && len(tags) == 0 {
		f.warnNameless(p.at.String(), p.images(ctx))
	}
	result, err := list(p, ctx, f, tags)
	if listErr != nil {
		return result, p.fail(listErr)
	}
	return result, err
}

// list returns the names alone.
func (p *place) list(_ context.Context, _ *Factory, tags []string) (render.Result, error) {
	return render.Result{Value: TagsResult{Name: p.at.String(), Tags: tags}, Lines: tags}, nil
}

func (f *Factory) warnNameless(place string, n int) {
	switch n {
	case 0:
	case 1:
		f.Warn("%s has 1 image without a name", place)
	default:
		f.Warn("%s has %d images without a name", place, n)
	}
}

// images returns how many images a layout or archive has, 0 where nobody can tell.
func (p *place) images(ctx context.Context) int {
	roots, ok := content.As[content.RootLister](p.Source)
	if !ok {
		return 0
	}
	n := 0
	for _, err := range roots.Roots(ctx) {
		if err != nil {
			return 0
		}
		n++
	}
	return n
}

// ReposResult is what `wherry repos` says.
type ReposResult struct {
	Host         string   `json:"host"`
	Repositories []string `json:"repositories"`
}

func newRepos(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "repos HOST",
		Aliases: []string{"catalog"},
		Short:   "List the repositories of a registry, where it lets them be listed",
		Example: "  wherry repos registry.example:5000",
		Args:    exactArgs(1),
	}
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		host, err := parseHost(args[0])
		if err != nil {
			return render.Result{}, err
		}
		f.SrcHost = host
		client, err := f.Client()
		if err != nil {
			return render.Result{}, err
		}
		names, err := collect(client.Catalog(ctx, host))
		if err != nil {
			err = fmt.Errorf("%s: %w", host, err)
		}
		return render.Result{Value: ReposResult{Host: host, Repositories: names}, Lines: names}, err
	})
}

// collect returns the names of a listing, those before an error too.
func collect(names iter.Seq2[string, error]) ([]string, error) {
	all := []string{}
	for name, err := range names {
		if err != nil {
			return all, err
		}
		all = append(all, name)
	}
	return all, nil
}
