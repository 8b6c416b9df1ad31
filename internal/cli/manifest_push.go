package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/transfer"
)

type manifestPushOptions struct {
	Purge       bool // forget the draft when it is pushed
	DryRun      bool
	NoReferrers bool
	Jobs        int
}

func newManifestPush(f *Factory) *cobra.Command {
	var o manifestPushOptions
	cmd := &cobra.Command{
		Use:   "push LIST",
		Short: "Push a drafted manifest list",
		Long: "Push a manifest list that wherry manifest create drafted, and print its digest. Images that are in other\n" +
			"repositories are copied to that of LIST first. It is an OCI index where all images are OCI images, else docker's\n" +
			"manifest list.",
		Example: "  wherry manifest push --purge ghcr.io/org/app:1",
		Args:    exactArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.Purge, "purge", "p", false, "forget the draft when it is pushed")
	flags.BoolVar(&o.DryRun, "dry-run", false, "print the plan and stop")
	flags.BoolVar(&o.NoReferrers, "no-referrers", false, "leave signatures, SBOMs and attestations of copied images behind")
	flags.IntVarP(&o.Jobs, "jobs", "j", 0, "`N` blobs in flight, 6 by default")
	bindInsecure(cmd, f)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return runManifestPush(ctx, f, args[0], o)
	})
}

func runManifestPush(ctx context.Context, f *Factory, arg string, o manifestPushOptions) (render.Result, error) {
	list, err := parseList(arg)
	if err != nil {
		return render.Result{}, err
	}
	d, err := f.drafts().load(canonical(list))
	if err != nil {
		return render.Result{}, err
	}
	index, err := d.index()
	if err != nil {
		return render.Result{}, err
	}
	result, err := pushDraft(ctx, f, draftPush{d, index, list}, o)
	if err != nil {
		return render.Result{}, err
	}
	if o.Purge && !o.DryRun {
		err = f.drafts().purge(ctx, d)
	}
	if errors.Is(err, content.ErrConflict) {
		f.Warn("the draft of %s was changed while it was pushed, and is kept: push it again", d.List)
		err = nil
	}
	out := result.render()
	if !o.DryRun {
		out.Lines, out.Quiet = []string{index.Digest().String()}, nil
	}
	return out, err
}

// index returns the manifest of the draft. A registry has to be told what platform
// each image is for.
func (d *draft) index() (content.Manifest, error) {
	if len(d.Children) == 0 {
		return content.Manifest{}, noSuchManifest(d.List, content.ErrNotFound)
	}
	for _, c := range d.Children {
		if p := c.Descriptor.Platform; p == nil || p.OS == "" || p.Architecture == "" {
			return content.Manifest{}, fmt.Errorf(
				"manifest %s must have an OS and Architecture to be pushed to a registry: see wherry manifest annotate", c.Ref)
		}
	}
	list := d.list()
	raw, err := list.encode()
	if err != nil {
		return content.Manifest{}, err
	}
	return content.ParseManifest(list.MediaType, raw, content.Limits{})
}

// A draftPush is a draft on its way to a registry.
type draftPush struct {
	draft
	index content.Manifest
	to    endpoint.Endpoint
}

// pushDraft copies the images that the repository of the list has not, and puts the
// index there.
func pushDraft(ctx context.Context, f *Factory, d draftPush, o manifestPushOptions) (_ MoveResult, err error) {
	elsewhere, err := d.elsewhere()
	if err != nil {
		return MoveResult{}, err
	}
	f.SrcHost, f.DstHost = d.to.Host, d.to.Host
	if len(elsewhere) > 0 {
		f.SrcHost = elsewhere[0].Host
	}
	m, err := f.newMover(moverOptions{
		moveOptions: moveOptions{DryRun: o.DryRun, Jobs: o.Jobs}, Filter: transfer.Filter{Referrers: !o.NoReferrers}, Whole: true,
	})
	if err != nil {
		return MoveResult{}, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := d.checkHere(ctx, m); err != nil {
		return MoveResult{}, err
	}
	result, err := d.copyHere(ctx, m, elsewhere)
	if err != nil || o.DryRun {
		return d.with(result), err
	}
	sink, err := m.sink(ctx, d.to, d.to)
	if err != nil {
		return MoveResult{}, err
	}
	if err := sink.PutManifest(ctx, d.index, d.to.Ref()); err != nil {
		return MoveResult{}, fmt.Errorf("%s: %w", d.List, err)
	}
	return d.with(result), nil
}

// at returns where a child is, by its digest.
func (c draftChild) at() (endpoint.Endpoint, error) {
	e, err := endpoint.Parse(c.Ref)
	e.Tag, e.Digest = "", c.Descriptor.Digest
	return e, err
}

// elsewhere lists the images that are in other repositories than the list, each once.
func (d draftPush) elsewhere() ([]endpoint.Endpoint, error) {
	var all []endpoint.Endpoint
	seen := map[digest.Digest]bool{}
	for _, c := range d.Children {
		e, err := c.at()
		if err != nil {
			return nil, err
		}
		if placeOf(e) != placeOf(d.to) && !seen[e.Digest] {
			seen[e.Digest] = true
			all = append(all, e)
		}
	}
	return all, nil
}

// checkHere makes sure that the images which were in the repository of the list when
// they were drafted are there still: not every registry does so itself.
func (d draftPush) checkHere(ctx context.Context, m *mover) error {
	for _, c := range d.Children {
		e, err := c.at()
		if err != nil {
			return err
		}
		if placeOf(e) != placeOf(d.to) {
			continue
		}
		src, err := m.source(ctx, e)
		if err != nil {
			return err
		}
		p := place{src, e}
		if _, err := p.resolve(ctx); err != nil {
			return p.noSuch(e, err)
		}
	}
	return nil
}

// copyHere copies images to the repository of the list, all of them or it fails.
func (d draftPush) copyHere(ctx context.Context, m *mover, images []endpoint.Endpoint) (MoveResult, error) {
	if len(images) == 0 {
		return MoveResult{DryRun: m.o.DryRun, Images: []MovedImage{}}, nil
	}
	for _, e := range images {
		to := d.to
		to.Tag, to.Digest = "", e.Digest
		if err := m.addImage(ctx, e, []endpoint.Endpoint{to}); err != nil {
			return MoveResult{}, err
		}
	}
	result, err := m.run(ctx)
	if partly, ok := errors.AsType[*PartlyError](err); ok {
		err = partly.Err // a list of some of its images is none
	}
	return result, err
}

// with adds the index to what was done, or would be.
func (d draftPush) with(r MoveResult) MoveResult {
	to := MovedTo{
		Name: d.List, Reference: referenceAt(d.to, d.index.Descriptor()), Names: []string{d.to.Ref()}, Manifests: 1,
	}
	r.Images = append(r.Images, MovedImage{
		Name: d.List, SourceDigest: d.index.Digest(), Digest: d.index.Digest(), MediaType: d.index.MediaType(), Destinations: []MovedTo{to},
	})
	return r
}
