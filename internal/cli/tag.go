package cli

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/layout"
)

// TaggedResult is a name and what it stands for now.
type TaggedResult struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
}

func newTag(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tag IMAGE NAME",
		Short: "Give an image of the local store another name",
		Long: "Give an image of the local store, which is named or has an ID, another name. An image that had that name before stays\n" +
			"in the store without it. With docker:// in front of the first argument the tag is given in a registry, as copy does.",
		Example: "  wherry tag nginx:1.27 registry.example/mirror/nginx:1.27\n" +
			"  wherry tag docker://registry.example/app:1.2 registry.example/app:latest",
		Args: exactArgs(2),
	}
	f.completeStored(cmd, 1, cobra.ShellCompDirectiveNoFileComp)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return runTag(ctx, f, args[0], args[1])
	})
}

func runTag(ctx context.Context, f *Factory, src, name string) (_ render.Result, err error) {
	from, err := f.parseStored(src)
	if err != nil {
		return render.Result{}, err
	}
	if from.Transport == endpoint.Registry {
		return tagInRegistry(ctx, f, src, name)
	}
	to, err := f.parseInStore(name)
	switch {
	case err != nil:
		return render.Result{}, err
	case from.Transport != endpoint.Store:
		return render.Result{}, usagef("%s is not in the store: copy gives it a name there", src)
	case to.Repository == "" || to.Digest != "":
		return render.Result{}, usagef("%s is no name with a tag", name)
	}
	store, err := f.openStore()
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	d, err := store.Resolve(ctx, from.Name)
	if err != nil {
		return render.Result{}, notInStore(src, err)
	}
	err = store.Tag(ctx, d, to.FullName())
	if err == nil {
		store.Note(ctx, layout.Use{Deed: layout.Tagged, Digest: d.Digest, Name: shownName(to), Time: f.Now()})
	}
	return nowTagged(to.FullName(), d.Digest), err
}

// tagInRegistry is copy without what that says.
func tagInRegistry(ctx context.Context, f *Factory, src, name string) (render.Result, error) {
	copied, err := runCopy(ctx, f, []string{src, name}, copyOptions{Compress: newCompress()})
	if err != nil {
		return render.Result{}, err
	}
	var d digest.Digest
	if moved, ok := copied.Value.(MoveResult); ok && len(moved.Images) == 1 {
		d = moved.Images[0].Digest
	}
	return nowTagged(name, d), nil
}

// nowTagged says nothing to people, as docker tag does.
func nowTagged(name string, d digest.Digest) render.Result {
	return render.Result{Value: TaggedResult{Name: name, Digest: d}}
}
