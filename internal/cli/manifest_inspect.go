package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
)

type manifestInspectOptions struct {
	Verbose bool // show what is in a list, too
}

func newManifestInspect(f *Factory) *cobra.Command {
	var o manifestInspectOptions
	cmd := &cobra.Command{
		Use:   "inspect [LIST] IMAGE",
		Short: "Show a manifest or a manifest list as docker does",
		Long: "Show a manifest or a manifest list in the form of docker manifest inspect: the registry's manifest, indented; of a\n" +
			"list its manifests with their platforms. A list that is drafted here (wherry manifest create) goes before the\n" +
			"registry's of that name; with LIST the manifest that is in that draft is shown.\n" +
			"With -v each manifest of a list is read, which registries count as pulls.",
		Example: "  wherry manifest inspect nginx:1.27\n  wherry manifest inspect -v nginx:1.27 | jq -r '.[].Descriptor.platform.architecture'",
		Args:    rangeArgs(1, 2),
	}
	// Docker's meaning of -v takes the place of that of all verbs.
	cmd.Flags().BoolVarP(&o.Verbose, "verbose", "v", false, "show reference, platform and bytes of each manifest as well")
	bindInsecure(cmd, f)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		if len(args) == 2 {
			return inspectInDraft(f, args[0], args[1], o)
		}
		d, err := f.draftOf(args[0])
		switch {
		case err == nil:
			return inspectDraft(f, d, o)
		case !errors.Is(err, content.ErrNotFound):
			return render.Result{}, err
		}
		return inspectManifest(ctx, f, args[0], o)
	})
}

// draftOf returns the draft that an argument names; there being none is
// content.ErrNotFound.
func (f *Factory) draftOf(arg string) (draft, error) {
	e, err := endpoint.Parse(arg)
	if err != nil {
		return draft{}, err
	}
	return f.drafts().load(canonical(e))
}

func inspectDraft(f *Factory, d draft, o manifestInspectOptions) (render.Result, error) {
	if !o.Verbose {
		return f.listResult(d.list())
	}
	all := []VerboseManifest{}
	for _, c := range d.Children {
		m, err := c.manifest()
		if err != nil {
			return render.Result{}, err
		}
		all = append(all, newVerboseManifest(c.Ref, m, c.Descriptor.Platform))
	}
	return f.verboseResult(all)
}

// inspectInDraft shows a manifest that is in a draft.
func inspectInDraft(f *Factory, list, image string, o manifestInspectOptions) (render.Result, error) {
	at, err := parseList(list)
	if err != nil {
		return render.Result{}, err
	}
	e, err := f.parse(image)
	if err != nil {
		return render.Result{}, err
	}
	d, err := f.drafts().load(canonical(at))
	if err != nil {
		return render.Result{}, err
	}
	i := d.find(e)
	if i < 0 {
		return render.Result{}, notInDraft(image, d.List)
	}
	m, err := d.Children[i].manifest()
	switch {
	case err != nil:
		return render.Result{}, err
	case o.Verbose:
		return f.verboseResult(newVerboseManifest(d.Children[i].Ref, m, d.Children[i].Descriptor.Platform))
	}
	return f.indentedResult(m)
}

// inspectManifest shows what is in a registry, a layout or an archive.
func inspectManifest(ctx context.Context, f *Factory, arg string, o manifestInspectOptions) (_ render.Result, err error) {
	p, err := f.look(ctx, arg)
	if err != nil {
		return render.Result{}, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	m, err := p.root(ctx)
	if err != nil {
		return render.Result{}, p.noSuch(p.at, err)
	}
	f.warnAmbiguous(m)
	switch {
	case m.IsIndex() && o.Verbose:
		all, err := p.verboseChildren(ctx, m)
		if err != nil {
			return render.Result{}, err
		}
		return f.verboseResult(all)
	case m.IsIndex():
		return f.listResult(newListManifest(m.MediaType(), m.Children()))
	case o.Verbose:
		platform, err := p.platformOf(ctx, m)
		if err != nil {
			return render.Result{}, err
		}
		return f.verboseResult(newVerboseManifest(canonical(p.at), m, platform))
	}
	return f.indentedResult(m)
}

// noSuch gives err docker's words where it says that a registry does not have what e
// names.
func (p *place) noSuch(e endpoint.Endpoint, err error) error {
	if err = answered(err); errors.Is(err, content.ErrNotFound) && e.Transport == endpoint.Registry {
		return noSuchManifest(canonical(e), err)
	}
	return err
}

// verboseChildren reads the manifests of an index, several at once, and shows them in
// its order.
func (p *place) verboseChildren(ctx context.Context, index content.Manifest) ([]VerboseManifest, error) {
	children := index.Children()
	all := make([]VerboseManifest, len(children))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listJobs)
	for i, d := range children {
		g.Go(func() error {
			m, err := p.Manifest(ctx, d.Digest.String())
			if err == nil {
				err = content.CheckChild(m, d)
			}
			at := p.child(d)
			if err != nil {
				return p.noSuch(at, fmt.Errorf("%s: %w", at, err))
			}
			all[i] = newVerboseManifest(at.String(), m, d.Platform)
			return nil
		})
	}
	return all, g.Wait()
}

// child returns what docker calls a manifest of the index at p: by the tag of that,
// where it has one, and its own digest.
func (p *place) child(d ocispec.Descriptor) endpoint.Endpoint {
	at := p.at
	if at.Transport == endpoint.Registry && at.Digest == "" {
		at = at.Tagged(content.TagOf(at.FullName()))
	}
	at.Digest = d.Digest
	return at
}

// platformOf returns what the config of m says that it is for, all of it, and
// nothing where m is no image.
func (p *place) platformOf(ctx context.Context, m content.Manifest) (*ocispec.Platform, error) {
	d, ok := m.ImageConfig()
	if !ok {
		return &ocispec.Platform{}, nil
	}
	raw, err := p.config(ctx, m)
	if err != nil {
		return nil, err
	}
	var platform ocispec.Platform
	if err := json.Unmarshal(raw, &platform); err != nil {
		return nil, p.fail(fmt.Errorf("config %s: %w: %w", d.Digest, err, content.ErrInvalid))
	}
	return &platform, nil
}

func (f *Factory) listResult(list listManifest) (render.Result, error) {
	raw, err := list.encode()
	if err != nil {
		return render.Result{}, err
	}
	return render.Result{Value: list, Raw: f.exact(append(raw, '\n'))}, nil
}

// verboseResult shows one VerboseManifest, or several.
func (f *Factory) verboseResult(v any) (render.Result, error) {
	raw, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return render.Result{}, err
	}
	return render.Result{Value: v, Raw: f.exact(append(raw, '\n'))}, nil
}

// indentedResult shows the bytes of m, with other blanks between them.
func (f *Factory) indentedResult(m content.Manifest) (render.Result, error) {
	var indented bytes.Buffer
	var value map[string]any
	numbers := json.NewDecoder(bytes.NewReader(m.Raw()))
	numbers.UseNumber()
	err := errors.Join(json.Indent(&indented, m.Raw(), "", "\t"), numbers.Decode(&value))
	if err != nil {
		return render.Result{}, fmt.Errorf("%s is no JSON: %w: %w", m.Digest(), err, content.ErrInvalid)
	}
	return render.Result{Value: value, Raw: f.exact(append(indented.Bytes(), '\n'))}, nil
}
