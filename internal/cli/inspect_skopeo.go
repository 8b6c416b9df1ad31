package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
)

// SkopeoResult is what `skopeo inspect` says of an image, and so does
// `wherry inspect --compat skopeo` (docs/schemas/inspect-skopeo.json).
// https://github.com/containers/skopeo/blob/v1.16.1/cmd/skopeo/inspect/output.go
type SkopeoResult struct {
	Name          string        `json:",omitempty"` // host and repository; of images in a registry
	Digest        digest.Digest // of the index, if it is one
	RepoTags      []string
	Created       *time.Time
	DockerVersion string
	Labels        map[string]string
	Architecture  string
	Os            string
	Layers        []digest.Digest
	LayersData    []SkopeoLayer
	Env           []string
}

// A SkopeoLayer is a layer of a SkopeoResult.
type SkopeoLayer struct {
	MIMEType    string
	Digest      digest.Digest
	Size        int64
	Annotations map[string]string
}

// inspectSkopeo shows an image as skopeo does, byte for byte.
func inspectSkopeo(ctx context.Context, f *Factory, p *place, platform Platform) (render.Result, error) {
	root, err := p.root(ctx)
	if err != nil {
		return render.Result{}, err
	}
	f.warnAmbiguous(root)
	image, err := p.skopeoImage(ctx, root, platform)
	if err != nil {
		return render.Result{}, err
	}
	r, err := p.skopeoResult(ctx, image)
	if err != nil {
		return render.Result{}, err
	}
	r.Digest = root.Digest()
	if r.RepoTags, err = p.repoTags(ctx, f); err != nil {
		return render.Result{}, p.fail(err)
	}
	raw, err := json.MarshalIndent(r, "", "    ")
	if err != nil {
		return render.Result{}, err
	}
	return render.Result{Value: r, Raw: f.exact(append(raw, '\n')), Quiet: []string{r.Digest.String()}}, nil
}

// skopeoImage returns the image that skopeo would look into: of an index the one
// for this machine where no other was asked for.
func (p *place) skopeoImage(ctx context.Context, root content.Manifest, platform Platform) (content.Manifest, error) {
	if platform.given {
		return p.narrow(ctx, root, platform.Platform)
	}
	return p.pick(ctx, root, content.HostPlatform())
}

func (p *place) skopeoResult(ctx context.Context, m content.Manifest) (SkopeoResult, error) {
	d, ok := m.ImageConfig()
	if !ok {
		return SkopeoResult{}, p.fail(fmt.Errorf("%s is no image, and skopeo's form is for images: %w", m.Digest(), errors.ErrUnsupported))
	}
	raw, err := p.config(ctx, m)
	if err != nil {
		return SkopeoResult{}, err
	}
	var config struct {
		Created       *time.Time          `json:"created"`
		DockerVersion string              `json:"docker_version"`
		Architecture  string              `json:"architecture"`
		OS            string              `json:"os"`
		Config        ocispec.ImageConfig `json:"config"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return SkopeoResult{}, p.fail(fmt.Errorf("config %s: %w: %w", d.Digest, err, content.ErrInvalid))
	}
	r := SkopeoResult{
		Created:       config.Created,
		DockerVersion: config.DockerVersion,
		Labels:        config.Config.Labels,
		Architecture:  config.Architecture,
		Os:            config.OS,
		Env:           config.Config.Env,
		Layers:        []digest.Digest{},
		LayersData:    []SkopeoLayer{},
	}
	if p.at.Transport == endpoint.Registry {
		r.Name = p.at.Host + "/" + p.at.Repository
	}
	for _, l := range m.Layers() {
		r.Layers = append(r.Layers, l.Digest)
		r.LayersData = append(r.LayersData, SkopeoLayer{MIMEType: l.MediaType, Digest: l.Digest, Size: l.Size, Annotations: l.Annotations})
	}
	if m.MediaType() == content.DockerManifest {
		r.dockerOnly()
	}
	return r, nil
}

// dockerOnly makes r what skopeo says of docker's own manifests, which cannot
// leave the time out nor annotate layers.
func (r *SkopeoResult) dockerOnly() {
	if r.Created == nil {
		r.Created = &time.Time{}
	}
	for i := range r.LayersData {
		r.LayersData[i].Annotations = nil
	}
}

// repoTags lists the tags of the image's repository. Some registries let nobody
// do that, which keeps nothing else from being shown.
func (p *place) repoTags(ctx context.Context, f *Factory) ([]string, error) {
	lister, ok := content.As[content.TagLister](p.Source)
	if !ok || p.at.Transport != endpoint.Registry {
		return []string{}, nil
	}
	tags, err := collect(f.counted(p.at.Host+"/"+p.at.Repository, lister.Tags(ctx)))
	if content.IsMissing(err) || errors.Is(err, content.ErrDenied) {
		f.Warn("%s: its tags cannot be listed: %v", p.at, err)
		return []string{}, nil
	}
	// Some registries list digests among the tags.
	return slices.DeleteFunc(tags, func(tag string) bool { return content.CheckDigest(digest.Digest(tag)) == nil }), err
}
