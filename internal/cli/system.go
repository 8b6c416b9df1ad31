package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/layout"
)

// newSystem makes docker's noun for what is about the store as a whole.
func newSystem(f *Factory) *cobra.Command {
	cmd := newNoun("system", "Docker's names for the verbs about the whole store: df, prune, info",
		newUsage(f), newSystemPrune(f), newInfo(f))
	cmd.Example = "  wherry system df\n  wherry system prune --all --filter until=24h"
	return cmd
}

// UsageResult is a row of `wherry system df`, with docker's names and values.
type UsageResult struct {
	Active      string
	Reclaimable string
	Size        string
	TotalCount  string
	Type        string
}

func newUsage(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "df",
		Short: "Show what the local store takes on disk",
		Long: "Show what the local store takes on disk, as docker system df does. ACTIVE are images with a tag, RECLAIMABLE is what\n" +
			"wherry prune would remove. With --verbose it shows of each image what it shares with others.",
		Example: "  wherry system df\n  wherry system df --verbose",
		Args:    noArgs,
	}
	return f.Run(cmd, func(ctx context.Context, _ []string) (_ render.Result, err error) {
		store, err := f.openStore()
		if err != nil {
			return render.Result{}, err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		images, err := store.Images(ctx)
		if err != nil {
			return render.Result{}, err
		}
		if f.Flags.Verbose {
			return f.eachUsage(ctx, store, images)
		}
		return storeUsage(ctx, store, images)
	})
}

// storeUsage shows the sums. What docker has besides images is not there.
func storeUsage(ctx context.Context, store *layout.Store, images []layout.Image) (render.Result, error) {
	usage, err := store.Usage(ctx)
	if err != nil {
		return render.Result{}, err
	}
	dangling, active := (&pruneOptions{}).split(images, (&imageFilter{}).holds)
	freed, err := foretell(ctx, store, dangling, active, 0)
	if err != nil {
		return render.Result{}, err
	}
	part := 0
	if usage.Bytes > 0 {
		part = int(100 * freed.SpaceReclaimed / usage.Bytes)
	}
	rows := []UsageResult{{
		Type: "Images", TotalCount: strconv.Itoa(len(images)), Active: strconv.Itoa(len(active)), Size: humanSize(usage.Bytes),
		Reclaimable: fmt.Sprintf("%s (%d%%)", humanSize(freed.SpaceReclaimed), part),
	}}
	for _, what := range []string{"Containers", "Local Volumes", "Build Cache"} {
		rows = append(rows, UsageResult{Type: what, TotalCount: "0", Active: "0", Size: "0B", Reclaimable: "0B"})
	}
	return render.Result{Listing: &render.Listing{
		Rows: rows, Columns: []string{"Type", "TotalCount", "Active", "Size", "Reclaimable"}, Headers: map[string]string{"TotalCount": "TOTAL"},
	}}, nil
}

// eachUsage shows each image, with what of it others have too.
func (f *Factory) eachUsage(ctx context.Context, store *layout.Store, images []layout.Image) (render.Result, error) {
	shares, err := store.Shares(ctx, images)
	if err != nil {
		return render.Result{}, err
	}
	var rows []ImagesResult
	for n, image := range images {
		for _, name := range orUnnamed(slices.Clone(image.Names)) {
			row := imagesOptions{}.row(image, name, f.Now())
			row.Containers, row.SharedSize, row.UniqueSize = "0", humanSize(shares[n].Shared), humanSize(shares[n].Unique)
			rows = append(rows, row)
		}
	}
	return render.Result{Listing: &render.Listing{
		Rows: rows, Columns: []string{"Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"},
		Headers: map[string]string{"ID": "IMAGE ID", "CreatedSince": "CREATED"},
	}}, nil
}

// humanSize returns a number of bytes as docker shows it in its lists, 8.46MB: in what
// has docker's shape. All else has [term.Size].
func humanSize(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }
