package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

type pushOptions struct {
	moveOptions
	AllTags   bool
	Untrusted bool // --disable-content-trust
}

func newPush(f *Factory) *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:   "push NAME [DST]",
		Short: "Push an image of the local store to a registry",
		Long: "Push an image of the local store, with its signatures, to the registry of its name, or to DST. Of an index the platforms\n" +
			"that are in the store are pushed; where some are missing it is rewritten to have those that are here, which is told, and\n" +
			"under the same tag the registry then has no others: pull --platform all first to keep them.",
		Example: "  wherry push registry.example/mirror/nginx:1.27\n" +
			"  wherry push nginx:1.27 registry.example/mirror/nginx:1.27\n" +
			"  wherry push --all-tags registry.example/app",
		Args: rangeArgs(1, 2),
	}
	flags := cmd.Flags()
	o.bind(flags)
	flags.BoolVarP(&o.AllTags, "all-tags", "a", false, "push every tag of a repository")
	flags.BoolVar(&o.Untrusted, "disable-content-trust", false, "push although DOCKER_CONTENT_TRUST asks for images to be signed")
	f.completeStored(cmd, 1, cobra.ShellCompDirectiveNoFileComp)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return runPush(ctx, f, args, o)
	})
}

func runPush(ctx context.Context, f *Factory, args []string, o pushOptions) (_ render.Result, err error) {
	if !o.Untrusted {
		if err := f.checkTrust(); err != nil {
			return render.Result{}, err
		}
	}
	src, dst, err := f.pushEnds(args)
	if err != nil {
		return render.Result{}, err
	}
	filter := o.filter()
	filter.Here = len(filter.Platforms) == 0
	m, err := f.newMover(moverOptions{
		moveOptions: o.moveOptions, Filter: filter, Compress: archive.Gzip,
		Partly: "in the store: those are pushed, in an index of their own",
	})
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	store, err := m.openStore()
	if err != nil {
		return render.Result{}, err
	}
	names := []string{src.Name}
	if len(args) == 1 && isIDOnly(ctx, store, src.Name) {
		return render.Result{}, noTagToPush(args[0])
	}
	if o.AllTags {
		if names, err = tagsIn(ctx, store, src); err != nil {
			return render.Result{}, err
		}
	}
	m.allTags = o.AllTags
	for _, name := range names {
		if err := m.addPush(ctx, store, name, dst); err != nil {
			return render.Result{}, err
		}
	}
	result, err := m.run(ctx)
	if o.DryRun {
		return result.render(), err
	}
	for _, name := range names {
		f.noteUse(ctx, store, endpoint.InStore(name))
	}
	return m.pushed(result, dst), err
}

// pushEnds returns what is pushed and where to.
func (f *Factory) pushEnds(args []string) (src, dst endpoint.Endpoint, err error) {
	if src, err = f.parseInStore(args[0]); err != nil {
		return src, dst, err
	}
	dst, isName := src.InRegistry()
	if len(args) == 2 {
		if dst, err = endpoint.Parse(args[1]); err != nil {
			return src, dst, err
		}
		if dst.Transport != endpoint.Registry {
			return src, dst, usagef("push writes to registries: copy store:%s %s writes this", src.Name, args[1])
		}
	} else if !isName || src.Digest != "" {
		return src, dst, noTagToPush(args[0])
	}
	f.DstHost = dst.Host
	return src, dst, nil
}

func noTagToPush(arg string) error {
	return usagef("%s says no tag to push to: name one as the second argument", arg)
}

// isIDOnly reports whether name, though it could be one, is not the name of an
// image but an ID, or how one begins.
func isIDOnly(ctx context.Context, store *layout.Store, name string) bool {
	_, unnamed := store.Holder(ctx, name)
	_, err := store.Find(ctx, name)
	return errors.Is(unnamed, content.ErrNotFound) && err == nil
}

// tagsIn returns the names of all tags of the repository that e is.
func tagsIn(ctx context.Context, store *layout.Store, e endpoint.Endpoint) (names []string, _ error) {
	if e.Tag != "" || e.Digest != "" || e.Repository == "" {
		return nil, usagef("--all-tags takes a repository: %s names one image", e.Name)
	}
	r, err := store.Repository(e.Host + "/" + e.Repository)
	if err != nil {
		return nil, err
	}
	for tag, err := range r.Tags(ctx) {
		if err != nil {
			return nil, err
		}
		if !content.IsDigestTag(tag) {
			names = append(names, e.Host+"/"+e.Repository+":"+tag)
		}
	}
	if len(names) == 0 {
		repository, _ := content.SplitName(shownName(e))
		return nil, fmt.Errorf("the store has no tag of %s: %w", repository, content.ErrNotFound)
	}
	return names, nil
}

// addPush adds an image of the store on its way to dst.
func (m *mover) addPush(ctx context.Context, store *layout.Store, name string, dst endpoint.Endpoint) error {
	if _, err := store.Find(ctx, name); err != nil {
		return notInStore(name, err)
	}
	e := endpoint.InStore(name)
	src, err := m.source(ctx, e)
	if err != nil {
		return err
	}
	if m.allTags {
		dst.Tag = e.Tag
	}
	return m.addJob(ctx, transfer.Job{Src: src, Filter: m.o.Filter}, e, []endpoint.Endpoint{dst})
}

// pushed says in docker's words what was pushed, and ends with what it is called
// for good.
func (m *mover) pushed(r MoveResult, dst endpoint.Endpoint) render.Result {
	out := render.Result{Value: r, Lines: []string{"The push refers to repository [" + dst.Host + "/" + dst.Repository + "]"}, Quiet: []string{}}
	var references []string
	for i, image := range r.Images {
		to := image.Destinations[0]
		if image.Error != "" || to.Error != "" {
			continue
		}
		end := m.ends[i][0]
		out.Lines = append(out.Lines, fmt.Sprintf("%s: digest: %s size: %d", content.TagOf(end.FullName()), image.Digest, image.size))
		references = append(references, to.Reference)
		out.Quiet = append(out.Quiet, end.FullName())
	}
	out.Lines = append(out.Lines, references...)
	return out
}
