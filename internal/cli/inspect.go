package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/render"
)

// A compat is another tool whose form a result has.
type compat uint8

const (
	compatSkopeo compat = iota + 1
	compatCrane
	compatBuildx
	compatDive
)

type inspectOptions struct {
	Platform    Platform
	Raw         bool
	Config      configFlag
	Sizes       bool
	NoReferrers bool
	Compat      choice[compat]
}

func newInspect(f *Factory) *cobra.Command {
	o := inspectOptions{
		Config: configFlag{file: &f.Flags.ConfigFile},
		Compat: choice[compat]{words: []string{"skopeo", "crane", "buildx"}, means: []compat{compatSkopeo, compatCrane, compatBuildx}},
	}
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show what an image is: platforms, sizes, layers, settings, signatures",
		Long: "Show what an image is, without pulling it, in six requests at most. Of an index its platforms are shown, and the image\n" +
			"for this machine or for --platform. What a platform has is told where it is known; --sizes asks for all, a request\n" +
			"each. Signatures, SBOMs and attestations are those of the name; wherry tree shows those of all platforms.\n" +
			"--compat skopeo writes the object of skopeo inspect, under the digest of the index, with the tags of its repository;\n" +
			"crane the manifest, or with --config the config, byte for byte; buildx what docker buildx imagetools inspect does, with\n" +
			".SBOM and .Provenance in templates.",
		Example: "  wherry inspect nginx:1.27\n  wherry inspect --platform linux/arm64 ./images.tar\n" +
			"  wherry inspect --platform linux/amd64 --format '{{json .Image.Labels}}' nginx:1.27\n" +
			"  wherry inspect --compat skopeo nginx:1.27 | jq -r .Created\n  wherry inspect --config nginx:1.27 | jq .history\n" +
			"  wherry inspect --compat buildx --format '{{json .SBOM}}' nginx:1.27",
		Args: exactArgs(1),
	}
	flags := cmd.Flags()
	flags.Var(&o.Platform, "platform", "look into the image for `PLATFORM`, os/arch[/variant], in an index; this machine's by default")
	flags.BoolVar(&o.Raw, "raw", false, "write the manifest or index, byte for byte")
	flags.Var(&o.Config, "config", "write the image's config, byte for byte; --config=`FILE` reads settings from there, as with all verbs")
	flags.Lookup("config").NoOptDefVal = configBytes
	flags.BoolVar(&o.Sizes, "sizes", false, "ask for the sizes of all platforms, a request each")
	flags.BoolVar(&o.NoReferrers, "no-referrers", false, "do not look for signatures, SBOMs and attestations")
	flags.Var(&o.Compat, "compat", "write what another `TOOL` would: skopeo, crane, buildx")
	return f.RunAt(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		return runInspect(ctx, f, p, o)
	})
}

func runInspect(ctx context.Context, f *Factory, p *place, o inspectOptions) (render.Result, error) {
	if err := o.check(); err != nil {
		return render.Result{}, err
	}
	switch {
	case o.Compat.value == compatSkopeo:
		return inspectSkopeo(ctx, f, p, o.Platform)
	case o.Compat.value == compatBuildx && !o.Raw:
		return inspectBuildx(ctx, f, p)
	case o.Config.bytes:
		return inspectConfig(ctx, f, p, o)
	case o.Raw || o.Compat.value == compatCrane:
		m, err := p.image(ctx, o.Platform)
		if err != nil {
			return render.Result{}, err
		}
		f.warnAmbiguous(m)
		return f.manifestResult(p, m), nil
	}
	root, err := p.root(ctx)
	if err != nil {
		return render.Result{}, err
	}
	result, err := p.inspect(ctx, f, root, o)
	if err != nil {
		return render.Result{}, err
	}
	for _, odd := range result.odd {
		f.Warn("%s", odd)
	}
	return result.render(o.Platform), nil
}

// check finds flags that contradict each other.
func (o *inspectOptions) check() error {
	switch {
	case o.Raw && o.Config.bytes:
		return usagef("--raw and --config contradict each other")
	case o.Compat.value == compatSkopeo && o.Raw:
		return usagef("--compat and --raw contradict each other")
	case o.Compat.value == compatSkopeo && o.Config.bytes:
		return usagef("--compat and --config contradict each other")
	case o.Compat.given() && o.Sizes:
		return usagef("--compat and --sizes contradict each other")
	case o.Compat.value == compatBuildx && o.Platform.given:
		return usagef("--platform is nothing that docker buildx imagetools inspect has")
	case o.Compat.value == compatBuildx && o.Config.bytes:
		return usagef("--config is nothing that docker buildx imagetools inspect has")
	}
	return nil
}

// inspectConfig writes the config's bytes. Crane takes the image for linux/amd64
// whatever machine it runs on.
func inspectConfig(ctx context.Context, f *Factory, p *place, o inspectOptions) (render.Result, error) {
	if o.Compat.value == compatCrane && !o.Platform.given {
		root, err := p.root(ctx)
		if err != nil {
			return render.Result{}, err
		}
		m, err := p.pick(ctx, root, content.Platform{OS: "linux", Architecture: "amd64"})
		if err != nil {
			return render.Result{}, err
		}
		return f.configResult(ctx, p, m)
	}
	m, err := p.only(ctx, o.Platform)
	if err != nil {
		return render.Result{}, err
	}
	return f.configResult(ctx, p, m)
}
