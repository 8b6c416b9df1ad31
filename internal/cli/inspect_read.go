package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

// InspectResult is what `wherry inspect` says. Digest, MediaType, Size and
// Annotations are those of what the name stands for, which may be an index; Image
// and Layers are of one image of it.
type InspectResult struct {
	Name         string            `json:"name"`
	Digest       digest.Digest     `json:"digest"`
	MediaType    string            `json:"mediaType"`
	Size         int64             `json:"size"` // of the manifest or index, in bytes
	ArtifactType string            `json:"artifactType,omitempty"`
	Subject      digest.Digest     `json:"subject,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`

	Children []ChildResult    `json:"children,omitempty"` // of an index
	Image    *ImageResult     `json:"image,omitempty"`    // of an index the one for this machine, or for --platform
	Layers   []LayerResult    `json:"layers,omitempty"`   // of Image, or of an artifact, lowest first
	Total    int64            `json:"total,omitempty"`    // bytes of all configs and layers, each once; left out where it takes --sizes
	Base     *BaseResult      `json:"base,omitempty"`     // what the image was built on, as it says
	Attached []AttachedResult `json:"attached,omitempty"` // what refers to Digest, and the attestations in the index that are about Image
	Unasked  []string         `json:"unasked,omitempty"`  // digest tags that may lead to more, and were not looked for

	odd     []string      // what is wrong, and keeps nothing from being shown
	unknown bool          // what refers to it could not be found out, or was not wanted
	without string        // the platform that the index has no image for
	missing digest.Digest // the child that is to be for that, and is not there
}

// A ChildResult is a manifest in an index.
type ChildResult struct {
	Platform    string        `json:"platform,omitempty"`
	Digest      digest.Digest `json:"digest"`
	MediaType   string        `json:"mediaType"`
	Total       int64         `json:"total,omitempty"` // bytes of its config and layers; left out where it takes --sizes
	Attestation bool          `json:"attestation,omitempty"`
	Missing     bool          `json:"missing,omitempty"` // the index names it, and it is not there

	known bool // that Total is
}

// An ImageResult is what the manifest and the config of an image say.
type ImageResult struct {
	Platform     string            `json:"platform,omitempty"`
	Digest       digest.Digest     `json:"digest"` // of the image's own manifest
	ConfigDigest digest.Digest     `json:"configDigest"`
	Total        int64             `json:"total"` // bytes of config and layers, each once, compressed as they are
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
	Annotations  map[string]string `json:"annotations,omitempty"` // of its own manifest, in an index
}

// A LayerResult is a layer, or a blob of an artifact.
type LayerResult struct {
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
}

// A BaseResult is the image that an image was built on.
type BaseResult struct {
	Name   string        `json:"name,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
}

// An AttachedResult is a manifest that says something of an image.
type AttachedResult struct {
	Kind   image.Kind    `json:"kind"` // signature, sbom, attestation, artifact
	Type   string        `json:"type,omitempty"`
	Digest digest.Digest `json:"digest"`
	Tag    string        `json:"tag,omitempty"` // digest tag that leads to it
}

// mostRequests is how many requests a look at an image takes, whatever it is.
const mostRequests = 6

// inspect reads what there is to say about root, which p gave: side by side the
// image, what refers to root, and what is in an index where that costs nothing or
// was asked for. What refers to root and cannot be found out is a warning.
func (p *place) inspect(ctx context.Context, f *Factory, root content.Manifest, o inspectOptions) (InspectResult, error) {
	below, err := p.below(f)
	if err != nil {
		return InspectResult{}, err
	}
	var seen sight
	var all *content.Graph
	var attached image.Attachments
	var unseen error
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		seen, err = below.see(gctx, root, o.Platform)
		return err
	})
	if _, counted := content.As[content.Originer](p.Source); root.IsIndex() && (o.Sizes || !counted) {
		g.Go(func() (err error) {
			all, err = loadThere(gctx, below.Source, root)
			return p.fail(err)
		})
	}
	if !o.NoReferrers {
		g.Go(func() error {
			attached, unseen = image.Attached(gctx, p, p.Ref, root.Digest(), p.left(root))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return InspectResult{}, err
	}
	if unseen != nil {
		seen.odd = append(seen.odd, "what refers to it is not all known: "+unseen.Error())
	}
	r := p.describe(root, seen)
	r.unknown = o.NoReferrers || unseen != nil
	r.addAttached(attached, root)
	if root.IsIndex() {
		r.addChildren(root, all, below.Source)
	}
	return r, ctx.Err()
}

// left returns how many requests there are for what refers to root, beside those
// for root, for an image of it, and for its config.
func (p *place) left(root content.Manifest) int {
	n := mostRequests - 1
	if p.at.Tag != "" && p.at.Digest != "" {
		n-- // the tag was looked at too
	}
	_, isImage := root.ImageConfig()
	if root.IsIndex() || isImage {
		n-- // a config
	}
	if root.IsIndex() {
		n--
	}
	return n
}

// A sight is what was read of one image, or of an artifact.
type sight struct {
	manifest content.Manifest // the zero one where an index has none for this machine
	image    *ImageResult
	layers   []LayerResult
	without  string        // the platform that the index has no image for
	missing  digest.Digest // that the index names for it, and that is not there
	odd      []string
}

// see reads the image of root for the platform that was given, or else for this
// machine, which an index need not have.
func (p *place) see(ctx context.Context, root content.Manifest, platform Platform) (sight, error) {
	m, err := p.chosen(ctx, root, platform)
	if errors.Is(err, content.ErrNotFound) && root.IsIndex() && !platform.given {
		return without(root), nil
	}
	if err != nil {
		return sight{}, err
	}
	s := sight{manifest: m}
	if m.Digest() != root.Digest() {
		s.add(m.Ambiguous())
	}
	for _, d := range m.Layers() {
		s.layers = append(s.layers, LayerResult{d.Digest, d.MediaType, d.Size})
	}
	config, ok := m.ImageConfig()
	if !ok {
		return s, nil
	}
	raw, err := p.config(ctx, m)
	if err != nil {
		return sight{}, err
	}
	found, odd, err := readImage(raw, len(s.layers))
	if err != nil {
		return sight{}, p.fail(fmt.Errorf("config %s: %w: %w", config.Digest, err, content.ErrInvalid))
	}
	found.Digest, found.ConfigDigest, found.Total = m.Digest(), config.Digest, content.SizeOf(m.Blobs())
	s.image, s.odd = found, append(s.odd, odd...)
	return s, nil
}

// without returns what is seen of an index that has no image for this machine, or
// only its name.
func without(root content.Manifest) sight {
	host := content.HostPlatform()
	s := sight{without: host.String()}
	if d, err := content.PickPlatform(root, host); err == nil {
		s.missing = d.Digest
	}
	return s
}

// add notes what is odd, and can be looked at all the same.
func (s *sight) add(odd error) {
	if odd != nil {
		s.odd = append(s.odd, odd.Error()+"; it can be looked at, but not copied")
	}
}

// describe says what root and one image of it are.
func (p *place) describe(root content.Manifest, s sight) InspectResult {
	s.add(root.Ambiguous())
	r := InspectResult{
		Name:         p.at.String(),
		Digest:       root.Digest(),
		MediaType:    root.MediaType(),
		Size:         root.Size(),
		ArtifactType: root.ArtifactType(),
		Image:        s.image,
		Layers:       s.layers,
		odd:          s.odd,
		without:      s.without,
		missing:      s.missing,
	}
	if subject, ok := root.Subject(); ok {
		r.Subject = subject.Digest
	}
	if !root.IsIndex() {
		r.Total = content.SizeOf(root.Blobs())
	}
	r.Annotations = root.Annotations() // last, they may be very many
	if s.image == nil {
		return r
	}
	own := r.Annotations
	if root.IsIndex() {
		own = s.manifest.Annotations()
		s.image.Annotations = own
	}
	r.ArtifactType = ""
	if base := image.BaseOf(own, r.Annotations, s.image.Labels); base != (image.Base{}) {
		r.Base = &BaseResult{base.Name, base.Digest}
	}
	return r
}

// addAttached adds what refers to root, and BuildKit's attestations of the image.
func (r *InspectResult) addAttached(found image.Attachments, root content.Manifest) {
	r.Unasked = found.Unasked
	for _, a := range found.Found {
		r.Attached = append(r.Attached, AttachedResult{a.Kind, a.Type, a.Digest, a.Tag})
	}
	if r.Image == nil {
		return
	}
	for _, d := range root.Children() {
		if content.IsAttestation(d) && d.Annotations[content.AnnotationReferenceDigest] == r.Image.Digest.String() {
			r.Attached = append(r.Attached, AttachedResult{Kind: image.KindAttestation, Type: d.Annotations[content.AnnotationReferenceType], Digest: d.Digest})
		}
	}
}

// addChildren adds what is in an index, with sizes of what was read now, all of it
// or one image, or some other time.
func (r *InspectResult) addChildren(root content.Manifest, all *content.Graph, src content.Source) {
	recalled, _ := content.As[*content.Recalled](src)
	for _, d := range root.Children() {
		c := ChildResult{Digest: d.Digest, MediaType: d.MediaType, Attestation: content.IsAttestation(d), Missing: d.Digest == r.missing}
		if d.Platform != nil && !c.Attestation {
			c.Platform = content.PlatformOf(*d.Platform).String()
		}
		switch {
		case all != nil:
			_, there := all.Manifests[d.Digest]
			c.Missing, c.known = !there, there
			c.Total = content.SizeOf(all.Below(d.Digest).Blobs())
		case r.Image != nil && r.Image.Digest == d.Digest:
			c.Total, c.known = r.Image.Total, true
		case recalled != nil:
			if m, known := recalled.Known(d.Digest); known && !m.IsIndex() {
				c.Total, c.known = content.SizeOf(m.Blobs()), true
			}
		}
		r.Children = append(r.Children, c)
	}
	if all == nil {
		if r.missing != "" {
			r.odd = append(r.odd, "the index names an image for "+r.without+", and it is not there: "+r.missing.String())
		}
		return
	}
	r.Total = content.SizeOf(all.Blobs())
	if missing := sayMissing(all); missing != "" {
		r.odd = append(r.odd, missing)
	}
}

// readImage reads the config of an image with so many layers. odd is what is
// wrong with it, and keeps nothing from being shown.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md
func readImage(raw []byte, layers int) (_ *ImageResult, odd []string, err error) {
	var config struct {
		ocispec.Image

		Created json.RawMessage `json:"created"` // not always a time
		History json.RawMessage `json:"history"` // has times too, and is not shown
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, nil, err
	}
	created, ok := readTime(config.Created)
	if !ok {
		odd = append(odd, fmt.Sprintf("the config has created %.40s, which is no time", config.Created))
	}
	if n := len(config.RootFS.DiffIDs); n != layers {
		odd = append(odd, fmt.Sprintf("the config has %d diff IDs for %d layers, nobody can unpack them", n, layers))
	}
	platform := ""
	if config.OS != "" || config.Architecture != "" {
		platform = content.PlatformOf(config.Platform).String()
	}
	return &ImageResult{
		Platform:     platform,
		Created:      created,
		Author:       config.Author,
		User:         config.Config.User,
		Entrypoint:   config.Config.Entrypoint,
		Cmd:          config.Config.Cmd,
		Env:          config.Config.Env,
		WorkingDir:   config.Config.WorkingDir,
		ExposedPorts: keysOf(config.Config.ExposedPorts),
		Volumes:      keysOf(config.Config.Volumes),
		StopSignal:   config.Config.StopSignal,
		Labels:       config.Config.Labels,
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
