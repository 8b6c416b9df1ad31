package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/backup"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/layout"
)

type restoreOptions struct {
	Replace bool
	DryRun  bool
	Deep    bool
	Jobs    int
}

// RestoreResult is what restore did, or would do.
type RestoreResult struct {
	DryRun   bool            `json:"dryRun"`
	From     []string        `json:"from"` // in the order in which they build on each other
	Images   []RestoredImage `json:"images"`
	Replaced []string        `json:"replaced,omitempty"` // names that stood for something else
	Stored   int             `json:"stored"`             // configs and layers that were moved
	Bytes    int64           `json:"bytes"`              // of those
}

// A RestoredImage is a manifest or index that index.json has an entry for.
type RestoredImage struct {
	Digest digest.Digest `json:"digest"`
	Names  []string      `json:"names"`
}

func newRestore(f *Factory) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore DIR|FILE.tar…",
		Short: "Restore the local store from a backup",
		Long: "Bring back what backup wrote: from a folder, or from a full backup and the increments that build on it, in any order. Blobs\n" +
			"are hashed on the way, names are given in one step at the end, and what is in the store beside them stays. Nothing is given\n" +
			"a name where something is missing, or where a name stands for something else in the store and --replace is not given.",
		Example: "  wherry restore /mnt/backup/images\n" +
			"  wherry restore full.tar monday.tar tuesday.tar\n" +
			"  wherry --store new restore --dry-run full.tar",
		Args: minArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.Replace, "replace", false, "let names stand for what they stand for in the backup; what had them stays, called by its digest")
	flags.BoolVar(&o.DryRun, "dry-run", false, "print the plan and stop")
	flags.BoolVar(&o.Deep, "deep", false, "hash every blob that is there already")
	flags.IntVarP(&o.Jobs, "jobs", "j", 0, "`N` blobs in flight, 6 by default")
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		result, err := runRestore(ctx, f, args, o)
		return result.render(), err
	})
}

func runRestore(ctx context.Context, f *Factory, args []string, o restoreOptions) (_ RestoreResult, err error) {
	if slices.Contains(args, "") {
		return RestoreResult{}, usagef("\"\" is neither a folder nor a file")
	}
	m, err := f.newMover(moverOptions{moveOptions: moveOptions{DryRun: o.DryRun, Deep: o.Deep, Jobs: o.Jobs}})
	if err != nil {
		return RestoreResult{}, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	f.resumes = func() bool { return true }
	r := &restoring{storeMover: storeMover{mover: m}, o: o}
	if _, err := r.openStore(); err != nil {
		return RestoreResult{}, err
	}
	if err := r.open(ctx, args); err != nil {
		return RestoreResult{}, err
	}
	if len(r.roots) == 0 {
		return RestoreResult{}, fmt.Errorf("there is no image in %s: %w", r.from[len(r.from)-1], content.ErrNotFound)
	}
	return r.run(ctx)
}

// A restoring is a restore under way.
type restoring struct {
	storeMover
	o    restoreOptions
	src  backup.Stock
	from []string
}

// open opens the backup that args are.
func (r *restoring) open(ctx context.Context, args []string) error {
	folder := func(path string) bool {
		fi, err := os.Stat(path)
		return err == nil && fi.IsDir()
	}
	if !slices.ContainsFunc(args, folder) {
		return r.openFiles(ctx, args)
	}
	if len(args) > 1 {
		return usagef("a folder is restored alone: nothing builds on it")
	}
	src, err := r.opener.Layout.Open(args[0])
	if err != nil {
		return err
	}
	r.close = append(r.close, src.Close)
	snap, err := src.Snapshot()
	if err != nil {
		return err
	}
	r.src, r.from = src, args
	r.take(snap)
	return nil
}

// openFiles opens a full backup and increments, and finds all that they leave out.
func (r *restoring) openFiles(ctx context.Context, args []string) error {
	var parts []*backup.Part
	for _, path := range args {
		p, err := backup.Open(ctx, path, r.opener.Archive)
		if err != nil {
			return err
		}
		r.close = append(r.close, p.Close)
		parts = append(parts, p)
	}
	chain, err := backup.NewChain(parts)
	if err != nil {
		return err
	}
	snap, err := layout.ReadSnapshot(chain.Head().JSON, r.opener.Layout.Limits)
	if err != nil {
		return fmt.Errorf("%s: %w", chain.Head().Path, err)
	}
	for _, p := range chain {
		r.from = append(r.from, p.Path)
	}
	r.take(snap)
	r.src = chain.Source(r.store.Layout)
	return r.checkWhole(ctx, chain)
}

// checkWhole refuses a chain that leaves out what the store does not have either.
func (r *restoring) checkWhole(ctx context.Context, chain backup.Chain) error {
	missing, err := chain.Missing(ctx, r.store.Layout)
	if err != nil || len(missing) == 0 {
		return err
	}
	e := &backup.MissingError{Blobs: missing}
	for _, d := range backup.NeededBy(ctx, r.src, r.roots, missing) {
		e.Images = append(e.Images, r.called(d))
	}
	if base := chain[0].Base; base != "" {
		return fmt.Errorf("%s builds on backup %s: %w", chain[0].Path, base, e)
	}
	return fmt.Errorf("%s: %w", chain.Head().Path, e)
}

func (r *restoring) run(ctx context.Context) (RestoreResult, error) {
	clashes, err := r.store.Clashes(r.snap)
	if err != nil {
		return RestoreResult{}, err
	}
	if len(clashes) > 0 && !r.o.Replace {
		return RestoreResult{}, refusal{fmt.Errorf("%w; --replace takes them from it", &layout.ClashError{Names: clashes})}
	}
	contents, err := backup.Contents(ctx, r.src, r.roots, r.called)
	if err != nil {
		return RestoreResult{}, err
	}
	_ = r.store.Rely(ctx, contents...) // at once, in place of one after the other
	plan, err := r.plan(ctx, r.src, r.store.Stage(), "the store")
	if err != nil {
		return RestoreResult{}, err
	}
	result := r.result(clashes)
	if r.o.DryRun {
		result.Stored, result.Bytes = wanted(plan)
		return result, nil
	}
	done, err := r.carry(ctx, plan)
	if err != nil {
		return RestoreResult{}, err
	}
	result.Stored, result.Bytes = stored(done)
	clash := layout.Refuse
	if r.o.Replace {
		clash = layout.Replace
	}
	if err := r.store.Adopt(ctx, r.snap, clash); err != nil {
		return RestoreResult{}, asRefusal(err)
	}
	return result, nil
}

// asRefusal makes a clash that came up meanwhile what one is that was found before.
func asRefusal(err error) error {
	if _, ok := errors.AsType[*layout.ClashError](err); ok {
		return refusal{err}
	}
	return err
}

func (r *restoring) result(replaced []string) RestoreResult {
	result := RestoreResult{DryRun: r.o.DryRun, From: r.from, Images: []RestoredImage{}, Replaced: replaced}
	for _, root := range r.roots {
		result.Images = append(result.Images, RestoredImage{root.Digest, orEmpty(r.names[root.Digest])})
	}
	return result
}

// render shows the images of a plan, and says in a line what was done.
func (r RestoreResult) render() render.Result {
	if r.Images == nil {
		return render.Result{}
	}
	out := render.Result{Value: r, Quiet: []string{}}
	names := 0
	var rows [][]string
	for _, image := range r.Images {
		names += len(image.Names)
		for _, name := range image.Names {
			rows = append(rows, []string{name, image.Digest.String()})
			out.Quiet = append(out.Quiet, name)
		}
		if len(image.Names) == 0 {
			rows = append(rows, []string{"<none>", image.Digest.String()})
		}
	}
	restored, moved := "restored", "moved"
	if r.DryRun {
		out.Tables = []render.Table{{Header: []string{"NAME", "DIGEST"}, Rows: slices.Values(rows)}}
		restored, moved = "to be restored", "to be moved"
	}
	out.Lines = []string{fmt.Sprintf("%s with %s %s, %s (%s) %s",
		count(len(r.Images), "image"), count(names, "name"), restored, count(r.Stored, "blob"), term.Size(r.Bytes), moved)}
	for _, name := range r.Replaced {
		out.Lines = append(out.Lines, name+" stood for something else")
	}
	return out
}
