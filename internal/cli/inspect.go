package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/render"
)

// InspectResult is what `wherry inspect` says.
type InspectResult struct {
	Name         string            `json:"name"`
	Digest       digest.Digest     `json:"digest"`
	MediaType    string            `json:"mediaType"`
	Size         int64             `json:"size"` // of the manifest, in bytes
	ArtifactType string            `json:"artifactType,omitempty"`
	Subject      digest.Digest     `json:"subject,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`

	Children []ChildResult `json:"children,omitempty"` // of an index
	Image    *ImageResult  `json:"image,omitempty"`    // of one image
	Layers   []LayerResult `json:"layers,omitempty"`   // of one image or artifact, lowest first
	Total    int64         `json:"total,omitempty"`    // bytes of all configs and layers, each once

	odd []string // what is wrong, and keeps nothing from being shown
}

// A ChildResult is a manifest in an index.
type ChildResult struct {
	Platform    string        `json:"platform,omitempty"`
	Digest      digest.Digest `json:"digest"`
	MediaType   string        `json:"mediaType"`
	Total       int64         `json:"total"` // bytes of its config and layers
	Attestation bool          `json:"attestation,omitempty"`
	Missing     bool          `json:"missing,omitempty"` // the index names it, and it is not there
}

// An ImageResult is what the config of an image says.
type ImageResult struct {
	Platform     string            `json:"platform,omitempty"`
	ConfigDigest digest.Digest     `json:"configDigest"`
	Created      *time.Time        `json:"created,omitempty"`
	Author       string            `json:"author,omitempty"`
	User         string            `json:"user,omitempty"`
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Cmd          []string          `json:"cmd,omitempty"`
	Env          []string          `json:"env,omitempty"`
	WorkingDir   string            `json:"workingDir,omitempty"`
	ExposedPorts []string          `json:"exposedPorts,omitempty"`
	Volumes      []string          `json:"volumes,omitempty"`
	StopSignal   string            `json:"stopSignal,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
}

// A LayerResult is a layer, or a blob of an artifact.
type LayerResult struct {
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
}

type inspectOptions struct {
	Platform Platform
	Raw      bool
	Compat   choice[compat]
}

func newInspect(f *Factory) *cobra.Command {
	o := inspectOptions{Compat: choice[compat]{words: []string{"skopeo"}, means: []compat{compatSkopeo}}}
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show what an image is: platforms, sizes, layers, settings",
		Long: "Show what an image is, without pulling it. Of an index its images are shown; with --platform one of them.\n" +
			"With --compat skopeo the object of skopeo inspect: of an index the image for this machine or for --platform,\n" +
			"under the digest of the index, with the tags of its repository.",
		Example: "  wherry inspect nginx:1.27\n  wherry inspect --platform linux/arm64 ./images.tar\n" +
			"  wherry inspect --platform linux/amd64 --format '{{json .Image.Labels}}' nginx:1.27\n" +
			"  wherry inspect --compat skopeo nginx:1.27 | jq -r .Created",
		Args: exactArgs(1),
	}
	cmd.Flags().Var(&o.Platform, "platform", "look into the image for `PLATFORM`, os/arch[/variant], in an index")
	cmd.Flags().BoolVar(&o.Raw, "raw", false, "write the manifest, byte for byte")
	cmd.Flags().Var(&o.Compat, "compat", "write what another `TOOL` would: skopeo")
	return f.RunAt(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		return runInspect(ctx, f, p, o)
	})
}

func runInspect(ctx context.Context, f *Factory, p *place, o inspectOptions) (render.Result, error) {
	switch {
	case o.Compat.given() && o.Raw:
		return render.Result{}, usagef("--compat and --raw contradict each other")
	case o.Compat.value == compatSkopeo:
		return inspectSkopeo(ctx, f, p, o.Platform)
	}
	m, err := p.image(ctx, o.Platform)
	if err != nil {
		return render.Result{}, err
	}
	f.warnAmbiguous(m)
	if o.Raw {
		return f.manifestResult(p, m), nil
	}
	result, err := p.inspect(ctx, m)
	if err != nil {
		return render.Result{}, err
	}
	for _, odd := range result.odd {
		f.Warn("%s", odd)
	}
	return result.render(), nil
}

// inspect reads what there is to say about m.
func (p *place) inspect(ctx context.Context, m content.Manifest) (InspectResult, error) {
	r := InspectResult{
		Name:         p.at.String(),
		Digest:       m.Digest(),
		MediaType:    m.MediaType(),
		Size:         m.Size(),
		ArtifactType: m.ArtifactType(),
	}
	if subject, ok := m.Subject(); ok {
		r.Subject = subject.Digest
	}
	describe := p.inspectImage
	if m.IsIndex() {
		describe = p.inspectIndex
	}
	err := describe(ctx, m, &r)
	r.Annotations = m.Annotations() // last, they may be very many
	return r, err
}

func (p *place) inspectImage(ctx context.Context, m content.Manifest, r *InspectResult) error {
	for _, d := range m.Layers() {
		r.Layers = append(r.Layers, LayerResult{d.Digest, d.MediaType, d.Size})
	}
	r.Total = sum(m.Blobs())
	config, ok := m.ImageConfig()
	if !ok {
		return nil
	}
	r.ArtifactType = ""
	raw, err := p.config(ctx, m)
	if err != nil {
		return err
	}
	r.Image, r.odd, err = readImage(raw, len(r.Layers))
	if err != nil {
		return p.fail(fmt.Errorf("config %s: %w: %w", config.Digest, err, content.ErrInvalid))
	}
	r.Image.ConfigDigest = config.Digest
	return nil
}

func (p *place) inspectIndex(ctx context.Context, m content.Manifest, r *InspectResult) error {
	g, err := loadThere(ctx, p.Source, m)
	if err != nil {
		return p.fail(err)
	}
	if missing := sayMissing(g); missing != "" {
		r.odd = append(r.odd, missing)
	}
	for _, d := range m.Children() {
		child := ChildResult{Digest: d.Digest, MediaType: d.MediaType, Attestation: content.IsAttestation(d)}
		if d.Platform != nil && !child.Attestation {
			child.Platform = content.PlatformOf(*d.Platform).String()
		}
		_, there := g.Manifests[d.Digest]
		child.Missing = !there
		child.Total = sum(g.Below(d.Digest).Blobs())
		r.Children = append(r.Children, child)
	}
	r.Total = sum(g.Blobs())
	return nil
}

// sum returns how many bytes blobs have, each counted once.
func sum(blobs []ocispec.Descriptor) int64 {
	var n int64
	seen := map[digest.Digest]bool{}
	for _, d := range blobs {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			n += d.Size
		}
	}
	return n
}

// readImage reads the config of an image with so many layers. odd is what is
// wrong with it, and keeps nothing from being shown.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md
func readImage(raw []byte, layers int) (_ *ImageResult, odd []string, err error) {
	var image struct {
		ocispec.Image

		Created json.RawMessage `json:"created"` // not always a time
		History json.RawMessage `json:"history"` // has times too, and is not shown
	}
	if err := json.Unmarshal(raw, &image); err != nil {
		return nil, nil, err
	}
	created, ok := readTime(image.Created)
	if !ok {
		odd = append(odd, fmt.Sprintf("the config has created %.40s, which is no time", image.Created))
	}
	if n := len(image.RootFS.DiffIDs); n != layers {
		odd = append(odd, fmt.Sprintf("the config has %d diff IDs for %d layers, nobody can unpack them", n, layers))
	}
	platform := ""
	if image.OS != "" || image.Architecture != "" {
		platform = content.PlatformOf(image.Platform).String()
	}
	return &ImageResult{
		Platform:     platform,
		Created:      created,
		Author:       image.Author,
		User:         image.Config.User,
		Entrypoint:   image.Config.Entrypoint,
		Cmd:          image.Config.Cmd,
		Env:          image.Config.Env,
		WorkingDir:   image.Config.WorkingDir,
		ExposedPorts: keysOf(image.Config.ExposedPorts),
		Volumes:      keysOf(image.Config.Volumes),
		StopSignal:   image.Config.StopSignal,
		Labels:       image.Config.Labels,
	}, odd, nil
}

// readTime reads a time, which need not be there; false where it is none, or in
// no year of four digits.
func readTime(raw json.RawMessage) (*time.Time, bool) {
	if raw == nil || string(raw) == "null" {
		return nil, true
	}
	var t time.Time
	if json.Unmarshal(raw, &t) != nil {
		return nil, false
	}
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return nil, false
	}
	return &t, true
}
