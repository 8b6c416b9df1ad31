package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

type pullOptions struct {
	moveOptions
	AllTags     bool
	Untrusted   bool // --disable-content-trust
	AnyPlatform bool // no --platform was given: an image that is for one platform only is taken as it is
}

func newPull(f *Factory) *cobra.Command {
	var o pullOptions
	cmd := &cobra.Command{
		Use:   "pull REF…",
		Short: "Pull images from registries into the local store",
		Long: "Pull images, with their signatures, from registries into the local store, where images, tag, push, save and the other\n" +
			"image verbs of docker find them. Of an image for several platforms the one for this machine is pulled, as docker does,\n" +
			"and its index is kept as it is: --platform all, or another pull later, brings the rest.",
		Example: "  wherry pull nginx:1.27\n" +
			"  wherry pull --platform linux/amd64,linux/arm64 ghcr.io/org/app:v2\n" +
			"  wherry pull --all-tags localhost:5000/app",
		Args: minArgs(1),
	}
	flags := cmd.Flags()
	o.bind(flags)
	flags.BoolVarP(&o.AllTags, "all-tags", "a", false, "pull every tag of a repository")
	flags.BoolVar(&o.Untrusted, "disable-content-trust", false, "pull although DOCKER_CONTENT_TRUST asks for signatures to be verified")
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		if !cmd.Flags().Changed("platform") {
			o.Platforms, o.AnyPlatform = Platforms{want: []content.Platform{content.HostPlatform()}}, true
		}
		return runPull(ctx, f, args, o)
	})
}

func runPull(ctx context.Context, f *Factory, args []string, o pullOptions) (_ render.Result, err error) {
	if !o.Untrusted {
		if err := f.checkTrust(); err != nil {
			return render.Result{}, err
		}
	}
	refs, err := parseAll(args, f.parse)
	if err != nil {
		return render.Result{}, err
	}
	for _, ref := range refs {
		if ref.Transport != endpoint.Registry {
			return render.Result{}, usagef("pull takes images of registries: copy %s store: puts this one into the store", ref)
		}
	}
	filter := o.filter()
	filter.Sparse, filter.One = true, true // as docker does
	m, err := f.newMover(moverOptions{moveOptions: o.moveOptions, Filter: filter, AnyPlatform: o.AnyPlatform})
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	for _, ref := range refs {
		if err := m.addPull(ctx, ref, o); err != nil {
			return render.Result{}, err
		}
	}
	had, err := m.storeHad(ctx)
	if err != nil {
		return render.Result{}, err
	}
	result, err := m.run(ctx)
	if len(refs) == 1 {
		err = notPulled(refs[0], err)
	}
	if o.DryRun {
		return result.render(), err
	}
	m.noteCame(ctx, result, layout.Pulled, func(i int) string { return m.ends[i][0].FullName() })
	return m.pulled(result, had), err
}

// notPulled puts docker's words, which scripts look for, before an error that says
// that there is no image ref.
func notPulled(ref endpoint.Endpoint, err error) error {
	e, ok := errors.AsType[*transfer.Error](err)
	if !ok || e.Op != transfer.OpResolve || !errors.Is(answered(err), content.ErrNotFound) {
		return err
	}
	return fmt.Errorf("manifest for %s not found: %w", shownName(ref), err)
}

// checkTrust refuses to do without the signatures that docker's variable asks
// for, which are not verified here.
func (f *Factory) checkTrust() error {
	switch set := f.Env("DOCKER_CONTENT_TRUST"); set {
	case "", "0", "false":
		return nil
	default:
		return fmt.Errorf("DOCKER_CONTENT_TRUST=%s asks for signatures to be verified, which wherry does not do yet; --disable-content-trust does without: %w", set, content.ErrInvalid)
	}
}

// addPull adds the image ref on its way into the store, or all tags of it.
func (m *mover) addPull(ctx context.Context, ref endpoint.Endpoint, o pullOptions) error {
	if o.AllTags {
		return m.addAllTags(ctx, ref, []endpoint.Endpoint{endpoint.InStore("")})
	}
	src, err := m.source(ctx, ref)
	if err != nil {
		return err
	}
	job := transfer.Job{Src: src, Filter: m.o.Filter}
	if o.AnyPlatform {
		job.Filter = anyPlatform(ctx, src, job.Filter)
	}
	return m.addJob(ctx, job, ref, []endpoint.Endpoint{ref.Stored()})
}

// storeHad returns what the names of the jobs stood for in the store before.
func (m *mover) storeHad(ctx context.Context) (map[string]digest.Digest, error) {
	store, err := m.openStore()
	if err != nil {
		return nil, err
	}
	had := map[string]digest.Digest{}
	for _, job := range m.jobs {
		for _, name := range job.Dst[0].Names {
			d, err := store.Holder(ctx, name)
			if err == nil {
				had[name] = d.Digest
			} else if !errors.Is(err, content.ErrNotFound) {
				return nil, err
			}
		}
	}
	return had, nil
}

// pulled says in docker's words what came of each image.
func (m *mover) pulled(r MoveResult, had map[string]digest.Digest) render.Result {
	out := render.Result{Value: r, Quiet: []string{}}
	for i, image := range r.Images {
		ref := m.ends[i][0]
		if image.Error != "" || image.Destinations[0].Error != "" {
			continue
		}
		status := "Downloaded newer image for "
		to := image.Destinations[0]
		if to.Stored == 0 && (had[m.jobs[i].Dst[0].Names[0]] == image.Digest || ref.Digest != "" && to.Manifests == 0) {
			status = "Image is up to date for "
		}
		if ref.Tag == "" && ref.Digest == "" && !m.allTags {
			out.Lines = append(out.Lines, "Using default tag: latest")
		}
		what := ref.FullName()
		if ref.Digest == "" {
			what = content.TagOf(what)
		}
		out.Lines = append(out.Lines,
			what+": Pulling from "+ref.Repository,
			"Digest: "+image.Digest.String(),
			"Status: "+status+shownName(ref),
			ref.FullName())
		out.Quiet = append(out.Quiet, ref.FullName())
	}
	return out
}

// shownName returns what an image of a store is called where verbs show it.
func shownName(e endpoint.Endpoint) string {
	if repository, d, byDigest := strings.Cut(e.FullName(), "@"); byDigest {
		repository, _ = content.SplitName(content.FamiliarName(repository + ":latest"))
		return repository + "@" + d
	}
	if name := content.FamiliarName(e.FullName()); name != "" {
		return name
	}
	return e.FullName()
}
