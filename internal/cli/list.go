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
	cmd := &cobra.Command{
		Use:     "tags REPOSITORY|LAYOUT|ARCHIVE",
		Aliases: []string{"ls"},
		Short:   "List the tags of a repository, or the names in a layout or archive",
		Example: "  wherry tags ghcr.io/org/app\n  wherry tags oci:images\n  wherry tags --format '{{join .Tags \" \"}}' ./images.tar",
		Args:    exactArgs(1),
	}
	return f.Run(cmd, func(ctx context.Context, args []string) (_ render.Result, err error) {
		p, err := f.look(ctx, args[0])
		if err != nil {
			return render.Result{}, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		if p.at.Tag != "" || p.at.Name != "" || p.at.Digest != "" {
			return render.Result{}, usagef("%s names one image; its place is wanted here, without a tag or digest", p.at)
		}
		lister, ok := content.As[content.TagLister](p.Source)
		if !ok {
			return render.Result{}, p.fail(fmt.Errorf("names cannot be listed there: %w", errors.ErrUnsupported))
		}
		tags, err := collect(lister.Tags(ctx))
		if err == nil && len(tags) == 0 {
			f.warnNameless(p.at.String(), p.images(ctx))
		}
		return render.Result{Value: TagsResult{Name: p.at.String(), Tags: tags}, Lines: tags}, p.fail(err)
	})
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
