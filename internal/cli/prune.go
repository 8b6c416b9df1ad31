package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/layout"
)

type pruneOptions struct {
	All    bool
	Force  bool
	DryRun bool
	Filter []string
	Grace  time.Duration

	system bool // as docker's system prune says it
}

const pruneLong = "Remove images that have no tag from the local store, with --all every image, and all blobs that nothing needs. It asks\n" +
	"before. Blobs that a pull under way relies on stay, and those that were stored less than --grace ago, which another tool\n" +
	"may be about to need.\n" +
	"Filters say which images:\n" +
	"  until=24h                            those that were made before that\n" +
	"  unused-for=720h                      those not pulled, loaded, tagged or used for that long, which docker has not\n" +
	"  label=KEY[=VALUE], label!=KEY[=VALUE]"

func newPrune(f *Factory) *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use:   "prune [LAYOUT]",
		Short: "Remove what no image needs from the local store, or from a layout",
		Long:  pruneLong + "\n\nOf an OCI layout folder, or a folder of backups, blobs go that nothing in index.json needs; its images stay.",
		Example: "  wherry prune\n  wherry prune --all --force --filter until=168h\n" +
			"  wherry prune oci:images",
		Args: upToArgs(1),
	}
	bindPrune(cmd, &o)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		if len(args) == 1 {
			return runPruneLayout(ctx, f, args[0], o)
		}
		return runPrune(ctx, f, o)
	})
}

func newImagePrune(f *Factory) *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove images without a tag, or all, from the local store", Long: pruneLong, Args: noArgs,
		Example: "  wherry image prune\n  wherry image prune --all --force --filter until=168h",
	}
	bindPrune(cmd, &o)
	return f.Run(cmd, func(ctx context.Context, _ []string) (render.Result, error) { return runPrune(ctx, f, o) })
}

func newSystemPrune(f *Factory) *cobra.Command {
	o := pruneOptions{system: true}
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove all that the local store does not need", Long: pruneLong, Args: noArgs,
		Example: "  wherry system prune\n  wherry system prune --all --filter until=24h",
	}
	bindPrune(cmd, &o)
	cmd.Flags().Bool("volumes", false, "nothing: there are no volumes")
	return f.Run(cmd, func(ctx context.Context, _ []string) (render.Result, error) { return runPrune(ctx, f, o) })
}

func bindPrune(cmd *cobra.Command, o *pruneOptions) {
	flags := cmd.Flags()
	flags.BoolVarP(&o.All, "all", "a", false, "remove all images, and not only those without a tag: there are no containers to use them")
	flags.BoolVarP(&o.Force, "force", "f", false, "do not ask")
	flags.BoolVar(&o.DryRun, "dry-run", false, "say what would be removed, and stop")
	flags.StringArrayVar(&o.Filter, "filter", nil, "only images for which `CONDITION`, KEY=VALUE, holds (repeatable)")
	flags.DurationVar(&o.Grace, "grace", time.Hour, "leave blobs that nothing needs for `DURATION` after they were stored")
}

// pruneFilters are the conditions of prune.
var pruneFilters = []string{"label", "label!", "until", "unused-for"}

func runPrune(ctx context.Context, f *Factory, o pruneOptions) (_ render.Result, err error) {
	if err := o.check(); err != nil {
		return render.Result{}, err
	}
	filter, err := parseFilter(o.Filter, pruneFilters, f.Now(), nil)
	if err != nil {
		return render.Result{}, err
	}
	store, err := f.openStore()
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	images, err := store.Images(ctx)
	if err != nil {
		return render.Result{}, err
	}
	unused := filter.unusedIn(store)
	doomed, kept := o.split(images, func(i layout.Image) bool { return filter.holds(i) && unused(i) })
	if o.DryRun {
		result, err := foretell(ctx, store, doomed, kept, cmp.Or(o.Grace, -1))
		return result.pruned(), err
	}
	if !o.Force {
		if yes, err := f.confirm(ctx, o.warning()); err != nil || !yes {
			return render.Result{}, err
		}
	}
	result := RemoveResult{Images: []RemovedImage{}, Deleted: []digest.Digest{}}
	removals, err := store.RemoveImages(ctx, doomed) // but for those that somebody has just named, or removed
	for n, removal := range removals {
		if err == nil && removal.Gone != nil {
			result.Images = append(result.Images, removedImage(doomed[n], removal))
		}
	}
	err = errors.Join(err, result.collect(ctx, store, o.collection()))
	return result.pruned(), err
}

// check refuses what no collection can be told.
func (o pruneOptions) check() error {
	if o.Grace < 0 {
		return usagef("--grace %s is less than no time: 0s leaves nothing that is not needed", o.Grace)
	}
	return nil
}

// collection returns what a collection is told. A grace period of zero is none.
func (o pruneOptions) collection() layout.CollectOptions {
	return layout.CollectOptions{Grace: cmp.Or(o.Grace, -1), DryRun: o.DryRun}
}

// split takes images apart into those that are removed, which are those without a
// tag or, with --all, all of them, as far as the filter holds, and the others.
func (o pruneOptions) split(images []layout.Image, holds func(layout.Image) bool) (doomed, kept []layout.Image) {
	for _, image := range images {
		if holds(image) && (o.All || len(image.Tags()) == 0) {
			doomed = append(doomed, image)
		} else {
			kept = append(kept, image)
		}
	}
	return doomed, kept
}

// foretell returns what a prune would remove that does away with doomed. Grace is
// that of a collection.
func foretell(ctx context.Context, store *layout.Store, doomed, kept []layout.Image, grace time.Duration) (RemoveResult, error) {
	result := RemoveResult{Images: []RemovedImage{}, Deleted: []digest.Digest{}}
	for _, image := range doomed {
		result.Images = append(result.Images, removedImage(image, layout.Removal{Names: image.Names, Gone: &image.Root}))
	}
	freed, err := freedBy(ctx, store, doomed, kept)
	if err != nil {
		return result, err
	}
	got, err := store.Collect(ctx, layout.CollectOptions{Grace: grace, DryRun: true})
	if err != nil {
		return result, err
	}
	result.SpaceReclaimed = got.Bytes
	for _, d := range got.Removed {
		delete(freed, d)
	}
	for _, size := range freed {
		result.SpaceReclaimed += size
	}
	result.Deleted = append(slices.Sorted(maps.Keys(freed)), got.Removed...)
	return result, nil
}

// freedBy returns, with their sizes, the blobs that images need which are to go,
// and none of those that are kept.
func freedBy(ctx context.Context, store *layout.Store, doomed, kept []layout.Image) (map[digest.Digest]int64, error) {
	freed, err := store.NeededBy(ctx, doomed)
	if err != nil || len(freed) == 0 {
		return freed, err
	}
	needed, err := store.NeededBy(ctx, kept)
	for d := range needed {
		delete(freed, d)
	}
	return freed, err
}

// warning says in docker's words what is about to be done.
func (o pruneOptions) warning() string {
	what := "all dangling images"
	if o.All {
		what = "all images"
	}
	if len(o.Filter) > 0 {
		what += " for which " + strings.Join(o.Filter, ", ") + " holds"
	}
	if o.All {
		what += ", since there are no containers that use any"
	}
	if o.system {
		return "WARNING! This will remove:\n  - " + what + "\n  - all blobs that no image needs\n"
	}
	return "WARNING! This will remove " + what + ".\n"
}

// confirm asks a person. No answer is no.
func (f *Factory) confirm(ctx context.Context, warning string) (bool, error) {
	if _, err := io.WriteString(f.Err, warning+"Are you sure you want to continue? [y/N] "); err != nil {
		return false, err
	}
	// A read cannot be cut short: it is left behind when ctx ends, and the process
	// with it.
	answer := make(chan string, 1)
	go func() {
		line, err := f.readLine()
		if err != nil {
			line = ""
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-answer:
		return line == "y" || line == "yes", nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// pruned says in docker's words what was removed.
func (r *RemoveResult) pruned() render.Result {
	out := render.Result{Value: *r, Quiet: []string{}}
	if lines := r.lines("untagged: ", "deleted: "); len(lines) > 0 {
		out.Lines = append(append([]string{"Deleted Images:"}, lines...), "")
	}
	out.Lines = append(out.Lines, "Total reclaimed space: "+humanSize(r.SpaceReclaimed))
	return out
}

// parseFolder is parse for a verb that takes folders: the name of one that is there
// needs nothing in front.
func (f *Factory) parseFolder(arg string) (endpoint.Endpoint, error) {
	if fi, err := os.Stat(arg); err == nil && fi.IsDir() {
		return endpoint.Endpoint{Transport: endpoint.Layout, Path: arg}, nil
	}
	return f.parse(arg)
}

// runPruneLayout removes from a layout what its index.json does not need.
func runPruneLayout(ctx context.Context, f *Factory, arg string, o pruneOptions) (_ render.Result, err error) {
	if o.All || len(o.Filter) > 0 {
		return render.Result{}, usagef("--all and --filter are about images of the store: those of a layout stay")
	}
	if err := o.check(); err != nil {
		return render.Result{}, err
	}
	e, err := f.parseFolder(arg)
	if err != nil {
		return render.Result{}, err
	}
	opener, err := f.Opener()
	if err != nil {
		return render.Result{}, err
	}
	src, err := opener.Source(ctx, e)
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	l, ok := content.As[*layout.Layout](src.Source)
	if !ok || e.Name != "" || e.Digest != "" || e.Transport == endpoint.Store {
		return render.Result{}, usagef("prune takes the folder of an OCI layout, which %s is not", arg)
	}
	if !o.Force && !o.DryRun {
		warning := fmt.Sprintf("WARNING! This will remove all blobs of %s that no image needs.\n", arg)
		if yes, err := f.confirm(ctx, warning); err != nil || !yes {
			return render.Result{}, err
		}
	}
	got, err := l.Collect(ctx, o.collection())
	result := RemoveResult{Images: []RemovedImage{}, Deleted: append([]digest.Digest{}, got.Removed...), SpaceReclaimed: got.Bytes}
	return result.pruned(), err
}
