package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"Filters: until=24h keeps what was made since; unused-for=720h, which docker has not, what was pulled, loaded, tagged or used\n" +
	"since, or stored where nothing of that is known; label=KEY[=VALUE] and label!=KEY[=VALUE] say which."

func newPrune(f *Factory) *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use:   "prune [LAYOUT]",
		Short: "Remove what no image needs from the local store, or from a layout",
		Long:  pruneLong + "\nOf an OCI layout folder, or a folder of backups, blobs go that nothing in index.json needs; its images stay.",
		Example: "  wherry prune\n  wherry prune --all --force --filter until=168h\n" +
			"  wherry prune oci:images",
		Args: upToArgs(1),
	}
	o.bind(cmd)
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
	o.bind(cmd)
	return f.Run(cmd, func(ctx context.Context, _ []string) (render.Result, error) { return runPrune(ctx, f, o) })
}

func newSystemPrune(f *Factory) *cobra.Command {
	o := pruneOptions{system: true}
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove all that the local store does not need", Long: pruneLong, Args: noArgs,
		Example: "  wherry system prune\n  wherry system prune --all --filter until=24h",
	}
	o.bind(cmd)
	cmd.Flags().Bool("volumes", false, "nothing: there are no volumes")
	return f.Run(cmd, func(ctx context.Context, _ []string) (render.Result, error) { return runPrune(ctx, f, o) })
}

func (o *pruneOptions) bind(cmd *cobra.Command) {
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
	filter, err := parseFilter(o.Filter, pruneFilters, f.Now(), nil)
	if err != nil {
		return render.Result{}, err
	}
	store, err := f.openStore()
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	doomed, err := o.doomed(ctx, store, filter)
	if err != nil {
		return render.Result{}, err
	}
	if !o.Force && !o.DryRun {
		if yes, err := f.confirm(ctx, o.warning()); err != nil || !yes {
			return render.Result{}, err
		}
	}
	result := RemoveResult{Images: []RemovedImage{}, Deleted: []digest.Digest{}}
	var errs []error
	for _, image := range doomed {
		removed, err := o.remove(ctx, store, image)
		if errors.Is(err, content.ErrConflict) {
			continue // somebody has just named it
		}
		if err == nil {
			result.Images = append(result.Images, removed)
		}
		errs = append(errs, err)
	}
	errs = append(errs, result.collect(ctx, store, o.collection()))
	return result.pruned(), errors.Join(errs...)
}

// collection returns what a collection is told. A grace period of zero is none.
func (o pruneOptions) collection() layout.CollectOptions {
	grace := o.Grace
	if grace == 0 {
		grace = -1
	}
	return layout.CollectOptions{Grace: grace, DryRun: o.DryRun}
}

// doomed returns the images that are removed: those without a tag or, with --all,
// all of them, as far as the filter holds.
func (o pruneOptions) doomed(ctx context.Context, store *layout.Store, filter imageFilter) ([]layout.Image, error) {
	images, err := store.Images(ctx)
	if err != nil {
		return nil, err
	}
	unused := filter.unusedIn(store)
	var doomed []layout.Image
	for _, image := range images {
		if filter.holds(image) && unused(image) && (o.All || len(image.Tags()) == 0) {
			doomed = append(doomed, image)
		}
	}
	return doomed, nil
}

func (o pruneOptions) remove(ctx context.Context, store *layout.Store, image layout.Image) (RemovedImage, error) {
	if o.DryRun {
		return removedImage(image, layout.Removal{Names: image.Names, Gone: &image.Root}), nil
	}
	r, err := store.RemoveImage(ctx, image.Root.Digest, image.Names)
	return removedImage(image, r), err
}

// warning says in docker's words what is about to be done.
func (o pruneOptions) warning() string {
	what := "all dangling images"
	if o.All {
		what = "all images: there are no containers that use them"
	}
	conditions := ""
	if len(o.Filter) > 0 {
		conditions = " for which holds: " + strings.Join(o.Filter, ", ")
	}
	if o.system {
		return "WARNING! This will remove:\n  - " + what + conditions + "\n  - all blobs that no image needs\n"
	}
	return "WARNING! This will remove " + what + conditions + ".\n"
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
func (r RemoveResult) pruned() render.Result {
	out := render.Result{Value: r, Quiet: []string{}}
	if lines := r.lines("untagged: ", "deleted: "); len(lines) > 0 {
		out.Lines = append(append([]string{"Deleted Images:"}, lines...), "")
	}
	out.Lines = append(out.Lines, "Total reclaimed space: "+humanSize(r.SpaceReclaimed))
	return out
}

// runPruneLayout removes from a layout what its index.json does not need.
func runPruneLayout(ctx context.Context, f *Factory, arg string, o pruneOptions) (_ render.Result, err error) {
	if o.All || len(o.Filter) > 0 {
		return render.Result{}, usagef("--all and --filter are about images of the store: those of a layout stay")
	}
	e, err := f.parse(arg)
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
