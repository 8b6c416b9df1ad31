package cli

import (
	"context"
	"encoding/json"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/render"
)

// ManifestResult is what `wherry manifest --json` says. Without --json the exact
// bytes are written.
type ManifestResult struct {
	Name      string          `json:"name"`
	Digest    digest.Digest   `json:"digest"`
	MediaType string          `json:"mediaType"`
	Size      int64           `json:"size"`
	Manifest  json.RawMessage `json:"manifest"`
}

func newManifest(f *Factory) *cobra.Command {
	var platform Platform
	cmd := &cobra.Command{
		Use:     "manifest IMAGE",
		Short:   "Write an image's manifest or index, byte for byte",
		Example: "  wherry manifest nginx:1.27\n  wherry manifest --platform linux/arm64 nginx:1.27 > manifest.json",
		Args:    exactArgs(1),
	}
	cmd.AddCommand(newManifestInspect(f), newManifestCreate(f), newManifestAnnotate(f), newManifestPush(f), newManifestRm(f))
	cmd.Flags().Var(&platform, "platform", "the manifest of the image for `PLATFORM`, os/arch[/variant], in an index")
	return f.RunAt(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		m, err := p.image(ctx, platform)
		if err != nil {
			return render.Result{}, err
		}
		f.warnAmbiguous(m)
		return f.manifestResult(p, m), nil
	})
}

func (f *Factory) manifestResult(p *place, m content.Manifest) render.Result {
	r := render.Result{Raw: f.exact(m.Raw())}
	if json.Valid(m.Raw()) { // a manifest of an unknown type may be anything
		r.Value = ManifestResult{
			Name:      p.at.String(),
			Digest:    m.Digest(),
			MediaType: m.MediaType(),
			Size:      m.Size(),
			Manifest:  m.Raw(),
		}
	}
	return r
}

// ConfigResult is what `wherry config --json` says. Without --json the exact
// bytes are written.
type ConfigResult struct {
	Name      string          `json:"name"`
	Digest    digest.Digest   `json:"digest"`
	MediaType string          `json:"mediaType"`
	Size      int64           `json:"size"`
	Config    json.RawMessage `json:"config"`
}

func newConfig(f *Factory) *cobra.Command {
	var platform Platform
	cmd := &cobra.Command{
		Use:     "config IMAGE",
		Short:   "Write an image's config, byte for byte",
		Example: "  wherry config nginx:1.27\n  wherry config --platform linux/arm64 --format '{{.Digest}}' nginx:1.27",
		Args:    exactArgs(1),
	}
	cmd.Flags().Var(&platform, "platform", "of the image for `PLATFORM`, os/arch[/variant], in an index; this machine's by default")
	return f.RunAt(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		m, err := p.only(ctx, platform)
		if err != nil {
			return render.Result{}, err
		}
		return f.configResult(ctx, p, m)
	})
}

func (f *Factory) configResult(ctx context.Context, p *place, m content.Manifest) (render.Result, error) {
	raw, err := p.config(ctx, m)
	if err != nil {
		return render.Result{}, err
	}
	r := render.Result{Raw: f.exact(raw)}
	if d, ok := m.Config(); ok && json.Valid(raw) {
		r.Value = ConfigResult{Name: p.at.String(), Digest: d.Digest, MediaType: d.MediaType, Size: d.Size, Config: raw}
	}
	return r, nil
}
