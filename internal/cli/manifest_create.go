package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
)

// DraftResult is what `wherry manifest create` and `wherry manifest annotate` made
// of a draft.
type DraftResult struct {
	Name      string             `json:"name"`
	MediaType string             `json:"mediaType"` // of what is pushed
	Manifests []DraftChildResult `json:"manifests"`
}

// A DraftChildResult is a manifest of a draft.
type DraftChildResult struct {
	Name      string        `json:"name"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"` // of the manifest, in bytes
	Platform  string        `json:"platform,omitempty"`
}

func (d *draft) result() DraftResult {
	r := DraftResult{Name: d.List, MediaType: d.list().MediaType, Manifests: []DraftChildResult{}}
	for _, c := range d.Children {
		child := DraftChildResult{Name: c.Ref, Digest: c.Descriptor.Digest, MediaType: c.Descriptor.MediaType, Size: c.Descriptor.Size}
		if p := c.Descriptor.Platform; p != nil && p.OS != "" {
			child.Platform = content.PlatformOf(*p).String()
		}
		r.Manifests = append(r.Manifests, child)
	}
	return r
}

type manifestCreateOptions struct {
	Amend bool // where there is a draft already
}

func newManifestCreate(f *Factory) *cobra.Command {
	var o manifestCreateOptions
	cmd := &cobra.Command{
		Use:   "create LIST IMAGE…",
		Short: "Draft a manifest list of images in registries",
		Long: "Draft a manifest list, an index, of images that are in registries, each for the platform that its config says. The\n" +
			"draft is kept on this machine by the digests that the images have now; wherry manifest push writes it to LIST.",
		Example: "  wherry manifest create ghcr.io/org/app:1 ghcr.io/org/app:1-amd64 ghcr.io/org/app:1-armhf\n" +
			"  wherry manifest push --purge ghcr.io/org/app:1",
		Args: minArgs(2),
	}
	cmd.Flags().BoolVarP(&o.Amend, "amend", "a", false, "add to the draft that there is")
	bindInsecure(cmd, f)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return runManifestCreate(ctx, f, args, o)
	})
}

// errAmend has docker's words.
var errAmend = errors.New("refusing to amend an existing manifest list with no --amend flag")

func runManifestCreate(ctx context.Context, f *Factory, args []string, o manifestCreateOptions) (render.Result, error) {
	list, err := parseList(args[0])
	if err != nil {
		return render.Result{}, err
	}
	name, all := canonical(list), f.drafts()
	switch _, err := all.load(name); {
	case err == nil && !o.Amend:
		return render.Result{}, errAmend
	case err != nil && !errors.Is(err, content.ErrNotFound):
		return render.Result{}, err
	}
	children, err := f.readChildren(ctx, args[1:])
	if err != nil {
		return render.Result{}, err
	}
	var made DraftResult
	err = all.change(ctx, name, func(d *draft) error {
		if len(d.Children) > 0 && !o.Amend {
			return errAmend // of another process, just now
		}
		for _, child := range children {
			d.add(child)
		}
		made = d.result()
		return nil
	})
	if err != nil {
		return render.Result{}, err
	}
	return render.Result{Value: made, Lines: []string{"Created manifest list " + name}}, nil
}

// readChildren reads the manifests that args name, for a draft.
func (f *Factory) readChildren(ctx context.Context, args []string) ([]draftChild, error) {
	var children []draftChild
	for i, arg := range args {
		e, err := f.parse(arg)
		if err != nil {
			return nil, err
		}
		if e.Transport != endpoint.Registry {
			return nil, usagef("%s is in no registry; copy it to one first", arg)
		}
		if i == 0 {
			f.SrcHost, f.DstHost = e.Host, "" // the list is not asked for
		}
		child, err := f.readChild(ctx, arg)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}

// readChild reads a manifest, and of an image its platform.
func (f *Factory) readChild(ctx context.Context, arg string) (_ draftChild, err error) {
	p, err := f.look(ctx, arg)
	if err != nil {
		return draftChild{}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	m, err := p.root(ctx)
	if err != nil {
		return draftChild{}, p.noSuch(p.at, err)
	}
	if m.IsIndex() {
		return draftChild{}, fmt.Errorf("%s is a manifest list", canonical(p.at))
	}
	if err := m.Ambiguous(); err != nil {
		return draftChild{}, p.fail(err)
	}
	child := draftChild{Ref: canonical(p.at), Descriptor: bare(m), Raw: m.Raw()}
	child.Descriptor.Platform, err = p.platformOf(ctx, m)
	return child, err
}

type manifestAnnotateOptions struct {
	Arch, OS, OSVersion, Variant string
	OSFeatures                   []string
}

func newManifestAnnotate(f *Factory) *cobra.Command {
	var o manifestAnnotateOptions
	cmd := &cobra.Command{
		Use:     "annotate LIST IMAGE",
		Short:   "Say what platform an image of a drafted list is for",
		Long:    "Change what a list that wherry manifest create drafted says of one of its images. What no flag names stays.",
		Example: "  wherry manifest annotate --arch arm --variant v7 ghcr.io/org/app:1 ghcr.io/org/app:1-armhf",
		Args:    exactArgs(2),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Arch, "arch", "", "the `ARCHITECTURE`, such as arm64")
	flags.StringVar(&o.OS, "os", "", "the operating `SYSTEM`, such as linux")
	flags.StringVar(&o.OSVersion, "os-version", "", "the `VERSION` of the operating system")
	flags.StringSliceVar(&o.OSFeatures, "os-features", nil, "`FEATURES` of the operating system, with commas between them (repeatable)")
	flags.StringVar(&o.Variant, "variant", "", "the `VARIANT` of the architecture, such as v7")
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return runManifestAnnotate(ctx, f, args, o)
	})
}

func runManifestAnnotate(ctx context.Context, f *Factory, args []string, o manifestAnnotateOptions) (render.Result, error) {
	list, err := parseList(args[0])
	if err != nil {
		return render.Result{}, err
	}
	image, err := f.parse(args[1])
	if err != nil {
		return render.Result{}, err
	}
	var made DraftResult
	err = f.drafts().change(ctx, canonical(list), func(d *draft) error {
		i := d.find(image)
		if i < 0 {
			return notInDraft(args[1], d.List)
		}
		err := o.annotate(&d.Children[i])
		made = d.result()
		return err
	})
	if err != nil {
		return render.Result{}, err
	}
	return render.Result{Value: made}, nil
}

// notInDraft says that the draft of a list, if there is one, does not have an image.
func notInDraft(image, list string) error {
	return &noSuchManifestError{"manifest for image " + image + " does not exist in " + list, content.ErrNotFound}
}

// annotate changes the platform of a child. What it becomes must be one that an
// image can be for.
func (o manifestAnnotateOptions) annotate(c *draftChild) error {
	p := *c.Descriptor.Platform
	for _, set := range []struct {
		value string
		field *string
	}{{o.Arch, &p.Architecture}, {o.OS, &p.OS}, {o.OSVersion, &p.OSVersion}, {o.Variant, &p.Variant}} {
		if set.value != "" {
			*set.field = set.value
		}
	}
	for _, feature := range o.OSFeatures {
		if !slices.Contains(p.OSFeatures, feature) {
			p.OSFeatures = append(p.OSFeatures, feature)
		}
	}
	known, err := content.ParsePlatform(p.OS + "/" + p.Architecture)
	if err != nil || p.Architecture == "*" || p.OS == "*" {
		return usagef("unsupported os/arch combination: %s/%s", p.OS, p.Architecture)
	}
	if known.OS != p.OS || known.Architecture != p.Architecture {
		return usagef("unsupported os/arch combination: %s/%s is written %s/%s", p.OS, p.Architecture, known.OS, known.Architecture)
	}
	c.Descriptor.Platform = &p
	return nil
}

// RemovedDraftsResult is what `wherry manifest rm` removed.
type RemovedDraftsResult struct {
	Removed []string `json:"removed"`
}

func newManifestRm(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rm LIST…",
		Short:   "Forget drafted manifest lists",
		Long:    "Forget manifest lists that wherry manifest create drafted on this machine. What is in a registry stays.",
		Example: "  wherry manifest rm ghcr.io/org/app:1",
		Args:    minArgs(1),
	}
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		return runManifestRm(ctx, f, args)
	})
}

func runManifestRm(ctx context.Context, f *Factory, args []string) (render.Result, error) {
	lists := make([]endpoint.Endpoint, len(args))
	for i, arg := range args {
		list, err := parseList(arg)
		if err != nil {
			return render.Result{}, err
		}
		lists[i] = list
	}
	result := RemovedDraftsResult{Removed: []string{}}
	var errs []error
	for _, list := range lists {
		if err := f.drafts().drop(ctx, canonical(list)); err != nil {
			errs = append(errs, err)
			continue
		}
		result.Removed = append(result.Removed, canonical(list))
	}
	err := errors.Join(errs...)
	if err != nil && len(result.Removed) > 0 {
		err = &PartlyError{Err: err}
	}
	return render.Result{Value: result, Quiet: result.Removed}, err
}
