package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/render"
)

// ReposResult is what `wherry repos` says.
type ReposResult struct {
	Host         string   `json:"host"`
	Repositories []string `json:"repositories"`
}

func newRepos(f *Factory) *cobra.Command {
	var n nameFilter
	cmd := &cobra.Command{
		Use:     "repos HOST",
		Aliases: []string{"catalog"},
		Short:   "List the repositories of a registry, where it lets them be listed",
		Long: "List the repositories of a registry, in its own order. Many registries let nobody list them, among them Docker Hub,\n" +
			"ghcr.io and quay.io: wherry search finds images at Docker Hub and at Quay.",
		Example: "  wherry repos registry.example:5000\n  wherry repos --match 'team/*' -n 50 registry.example:5000",
		Args:    exactArgs(1),
	}
	n.bind(cmd.Flags())
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		if err := n.check(); err != nil {
			return render.Result{}, err
		}
		host, err := parseHost(args[0])
		if err != nil {
			return render.Result{}, err
		}
		f.SrcHost = host
		client, err := f.Client()
		if err != nil {
			return render.Result{}, err
		}
		names, err := collectSome(f.counted(host, client.Catalog(ctx, host)), n.most, func(name string) bool { return n.match.has(name) })
		if err != nil {
			err = fmt.Errorf("%s: %w", host, err)
		}
		return render.Result{Value: ReposResult{Host: host, Repositories: names}, Lines: names}, err
	})
}
