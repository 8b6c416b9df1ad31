package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/transfer"
)

// moveOptions are the flags of all verbs that move images.
type moveOptions struct {
	Platforms   Platforms
	NoReferrers bool
	Foreign     choice[transfer.Foreign]
	DryRun      bool
	Deep        bool
	Jobs        int
	Lanes       int // of one host, to measure with; 0 is found
	DigestFile  string
}

func (o *moveOptions) bind(set *pflag.FlagSet) {
	set.Var(&o.Platforms, "platform", "only these `PLATFORMS`: os/arch[/variant],… or all")
	set.BoolVar(&o.NoReferrers, "no-referrers", false, "leave signatures, SBOMs and attestations that refer to the image behind")
	o.Foreign = choice[transfer.Foreign]{
		words: []string{"auto", "fetch", "skip"},
		means: []transfer.Foreign{transfer.ForeignAuto, transfer.ForeignFetch, transfer.ForeignSkip},
		word:  "auto",
	}
	set.Var(&o.Foreign, "foreign-layers", "layers that registries do not keep: `auto|fetch|skip`")
	set.BoolVar(&o.DryRun, "dry-run", false, "print the plan and stop")
	set.BoolVar(&o.Deep, "deep", false, "look at every blob at the destination even when its tag matches; on disk, hash them all")
	set.IntVarP(&o.Jobs, "jobs", "j", 0, "`N` blobs in flight, 6 by default")
	set.IntVar(&o.Lanes, "lanes", 0, "`N` connections to one host that bring large blobs, in place of as many as help")
	_ = set.MarkHidden("lanes") // it is there
	set.StringVar(&o.DigestFile, "digestfile", "", "write the digest to `FILE`")
}

// filter returns what of an image is moved.
func (o *moveOptions) filter() transfer.Filter {
	return transfer.Filter{Platforms: o.Platforms.list(), Referrers: !o.NoReferrers, Foreign: o.Foreign.value}
}

// newCompress returns the value of --compress, what raw layers become.
func newCompress() choice[archive.Compression] {
	return choice[archive.Compression]{
		words: []string{"gzip", "zstd", "none"},
		means: []archive.Compression{archive.Gzip, archive.Zstd, archive.None},
	}
}

type copyOptions struct {
	moveOptions
	AllTags   bool
	Sparse    bool
	Compress  choice[archive.Compression]
	NoClobber bool
}

func newCopy(f *Factory) *cobra.Command {
	o := copyOptions{Compress: newCompress()}
	cmd := &cobra.Command{
		Use:     "copy SRC DST…",
		Aliases: []string{"cp"},
		Short:   "Copy an image, with its signatures, to one or more places",
		Long: "Copy an image byte for byte from one place to one or more others: registries, OCI layouts, archives.\n" +
			"What is at a destination already is not moved; what refers to the image (signatures, SBOMs, attestations) comes along.\n" +
			"Where a registry's tag has the digest already, only that tag and what refers to the image at the source are looked at;\n" +
			"--deep looks at everything. What --all-tags does not take along is told.",
		Example: "  wherry copy nginx:1.27 registry.example/mirror/nginx:1.27\n" +
			"  wherry copy nginx:1.27 oci:images:nginx docker-archive:nginx.tar\n" +
			"  wherry copy --all-tags quay.io/team/app registry.example/team/app",
		Args: minArgs(2),
	}
	flags := cmd.Flags()
	o.bind(flags)
	flags.BoolVarP(&o.AllTags, "all-tags", "a", false, "copy every tag of a repository")
	flags.BoolVar(&o.Sparse, "sparse", false, "with --platform: leave the index as it is")
	flags.Var(&o.Compress, "compress", "raw layers of docker archives become `gzip|zstd|none`; gzip on the way to a registry")
	flags.BoolVar(&o.NoClobber, "no-clobber", false, "leave tags alone that exist at the destination")
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return runCopy(ctx, f, args, o)
	})
}

func runCopy(ctx context.Context, f *Factory, args []string, o copyOptions) (_ render.Result, err error) {
	src, err := f.parse(args[0])
	if err != nil {
		return render.Result{}, err
	}
	dst, err := parseAll(args[1:], endpoint.Parse)
	if err != nil {
		return render.Result{}, err
	}
	filter := o.filter()
	filter.Sparse = o.Sparse
	m, err := f.newMover(moverOptions{
		moveOptions: o.moveOptions, Filter: filter, Compress: compression(o.Compress, dst), KeepNames: o.NoClobber,
	})
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := cmp.Or(m.checkPlaces([]endpoint.Endpoint{src}, dst), m.checkSources(args[1:]), m.checkFolders(dst)); err != nil {
		return render.Result{}, err
	}
	if o.AllTags {
		err = m.addAllTags(ctx, src, dst)
	} else {
		err = m.addImage(ctx, src, dst)
	}
	if err != nil {
		return render.Result{}, err
	}
	result, err := m.run(ctx)
	if m.streams {
		return render.Result{}, err
	}
	return result.render(), err
}

// compression returns what raw layers become: what the flag says, else what
// the destinations want. Registries want them gzipped.
func compression(flag choice[archive.Compression], dst []endpoint.Endpoint) archive.Compression {
	switch {
	case flag.given():
		return flag.value
	case slices.ContainsFunc(dst, func(e endpoint.Endpoint) bool { return e.Transport == endpoint.Registry }):
		return archive.Gzip
	}
	return archive.None
}
