package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

type saveOptions struct {
	moveOptions
	Output      string
	Pull        choice[pullPolicy]
	AnyPlatform bool // no --platform was given: an image that is for one platform only is taken as it is
}

func newSave(f *Factory) *cobra.Command {
	var o saveOptions
	cmd := &cobra.Command{
		Use:   "save REF… -o FILE",
		Short: "Save images to an archive that docker, podman and OCI tools load",
		Long: "Save one or more images to one archive, which is an OCI layout and a docker archive in one. Images come from the local\n" +
			"store, or else from their registries. Of an image in a registry that is for several platforms the one for this machine is\n" +
			"saved, as docker does; --platform all saves the whole. Of one in the store all is saved that is there, or of that what\n" +
			"--platform names, with the index as it is.",
		Example: "  wherry save -o nginx.tar nginx:1.27\n" +
			"  wherry save nginx:1.27 redis:8 | gzip > images.tar.gz\n" +
			"  wherry save --platform all -o nginx.tar nginx:1.27",
		Args: minArgs(1),
	}
	flags := cmd.Flags()
	o.bind(flags)
	bindPull(flags, &o.Pull)
	flags.StringVarP(&o.Output, "output", "o", "-", "write to `FILE`; - is standard output")
	f.completeStored(cmd, anyNumber, cobra.ShellCompDirectiveDefault)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		if !cmd.Flags().Changed("platform") {
			o.Platforms, o.AnyPlatform = Platforms{want: []content.Platform{content.HostPlatform()}}, true
		}
		return runSave(ctx, f, args, o)
	})
}

func runSave(ctx context.Context, f *Factory, args []string, o saveOptions) (_ render.Result, err error) {
	to := endpoint.Endpoint{Transport: endpoint.Archive, Path: o.Output}
	if o.Output == "-" {
		to = endpoint.Endpoint{Transport: endpoint.Stream}
	}
	if o.Output == "" {
		return render.Result{}, usagef("-o is empty: name a file")
	}
	refs, err := parseAll(args, func(arg string) (endpoint.Endpoint, error) { return f.stored(ctx, arg, o.Pull.value) })
	if err != nil {
		return render.Result{}, err
	}
	settings := moverOptions{
		moveOptions: o.moveOptions, Filter: o.filter(), Whole: true,
		Partly: "in the store: those are saved, and the index stays as it is",
	}
	fromRegistry := func(e endpoint.Endpoint) bool { return e.Transport == endpoint.Registry }
	if o.AnyPlatform && slices.ContainsFunc(refs, fromRegistry) {
		settings.KeepWhole = "; --platform all keeps it whole"
	}
	m, err := f.newMover(settings)
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if _, file := m.opener.File(to); !file && to.Transport != endpoint.Stream {
		return render.Result{}, usagef("-o takes a file, and %s is a folder; copy writes a layout there", o.Output)
	}
	if err := cmp.Or(m.checkPlaces(refs, []endpoint.Endpoint{to}), m.checkFolder(to)); err != nil {
		return render.Result{}, err
	}
	for _, ref := range refs {
		if err := m.addSave(ctx, ref, to, o); err != nil {
			return render.Result{}, err
		}
	}
	result, err := m.run(ctx)
	m.noteUsed(ctx, refs)
	if m.streams {
		return render.Result{}, err
	}
	if !o.DryRun {
		return render.Result{Value: result, Quiet: []string{}}, err
	}
	return result.render(), err
}

// addSave adds the image ref on its way into the archive.
func (m *mover) addSave(ctx context.Context, ref, to endpoint.Endpoint, o saveOptions) error {
	src, err := m.source(ctx, ref)
	if err != nil {
		return err
	}
	if err := checkOnly(ctx, src, ref); err != nil {
		return err
	}
	job := transfer.Job{Src: src, Filter: m.o.Filter}
	if _, ok := content.As[*layout.Store](src); ok {
		job.Filter.Here, job.Filter.Sparse = true, true // loaded where it comes from its name stays where it is
	}
	if o.AnyPlatform {
		job.Filter = anyPlatform(ctx, src, job.Filter)
	}
	return m.addJob(ctx, job, ref, []endpoint.Endpoint{to})
}

// anyPlatform returns f for an image of which nobody has said what platforms are taken:
// this machine's, and of one in the store those that are there, with the index as it is.
// An image that is for one platform only is taken as it is.
func anyPlatform(ctx context.Context, src *endpoint.Source, f transfer.Filter) transfer.Filter {
	if _, ok := content.As[*layout.Store](src); ok {
		f.Platforms = nil
		return f
	}
	f.One = true
	if !isIndexAt(ctx, src) {
		f.Platforms = nil
	}
	return f
}

// parseAll reads references, each once.
func parseAll(args []string, parse func(string) (endpoint.Endpoint, error)) ([]endpoint.Endpoint, error) {
	var refs []endpoint.Endpoint
	for _, arg := range args {
		ref, err := parse(arg)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(refs, func(known endpoint.Endpoint) bool { return known.String() == ref.String() }) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// isIndexAt reports whether an image is for several platforms. What cannot be
// found out here is told by the plan.
func isIndexAt(ctx context.Context, src *endpoint.Source) bool {
	resolver, ok := content.As[content.Resolver](src)
	if !ok {
		return true
	}
	d, err := resolver.Resolve(ctx, src.Ref)
	return err != nil || content.IsIndex(d.MediaType)
}
