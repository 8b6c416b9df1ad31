package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
)

// Of a docker archive
// (https://github.com/moby/moby/blob/v27.0.0/image/spec/spec.md#combined-image-json--filesystem-changeset-format).
const (
	manifestFile = "manifest.json"

	maxManifestFile = 1 << 20
	packers         = 4 // layers compressed at once
)

// A dockerImage is an entry of manifest.json. Its manifest is made up when it is
// asked for.
type dockerImage struct {
	Config       string
	RepoTags     []string
	Layers       []string
	LayerSources map[string]ocispec.Descriptor // by diff ID; where the bytes of a foreign layer are

	busy     chan struct{} // held while the manifest is made
	manifest content.Manifest
	broken   error // why it has none
}

// names returns the names of the image; docker once wrote <none>:<none> for none.
// One without a tag is a repository all the same: latest keeps it from being
// taken for a tag.
func (d *dockerImage) names() []string {
	var names []string
	for _, name := range d.RepoTags {
		if name == "" || strings.Contains(name, "<none>") {
			continue
		}
		if !content.IsFullName(name) {
			name += ":latest"
		}
		names = append(names, name)
	}
	return names
}

// String returns what the image is called in a message.
func (d *dockerImage) String() string {
	if names := d.names(); len(names) > 0 {
		return fmt.Sprintf("%q", clip(names[0]))
	}
	return fmt.Sprintf("with config %q", clip(d.Config))
}

// dockerImages reads manifest.json; nil says that there is none.
func (a *Archive) dockerImages() ([]*dockerImage, error) {
	if !a.index.has(manifestFile) {
		return nil, nil
	}
	f, err := a.index.unique(manifestFile)
	if err != nil {
		return nil, err
	}
	raw, err := a.small(manifestFile, f, maxManifestFile)
	if err != nil {
		return nil, err
	}
	if err := checkKeys(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestFile, err)
	}
	images := []*dockerImage{}
	if err := json.Unmarshal(raw, &images); err != nil {
		return nil, fmt.Errorf("%s: not JSON: %w: %w", manifestFile, err, content.ErrInvalid)
	}
	for i, image := range images {
		if image == nil || image.Config == "" {
			return nil, fmt.Errorf("%s: image %d has no config: %w", manifestFile, i+1, content.ErrInvalid)
		}
		if err := a.checkImage(image); err != nil {
			return nil, fmt.Errorf("%s: %w", manifestFile, err)
		}
		image.busy = make(chan struct{}, 1)
	}
	return images, nil
}

// checkKeys refuses objects with a key that stands there twice, or differs from
// another in case only: readers do not agree on which one counts.
func checkKeys(raw []byte) error {
	type level struct {
		keys  map[string]bool // nil in an array
		isKey bool            // what comes next
	}
	open := []*level{{}}
	dec := json.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return notJSON(err, "")
		}
		top := open[len(open)-1]
		if key, ok := token.(string); ok && top.isKey {
			if folded := strings.ToLower(key); top.keys[folded] {
				return fmt.Errorf("ambiguous: key %q stands twice in one object: %w", clip(key), content.ErrInvalid)
			}
			top.keys[strings.ToLower(key)] = true
			top.isKey = false
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, &level{keys: map[string]bool{}, isKey: true})
		case json.Delim('['):
			open = append(open, &level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
			open[len(open)-1].isKey = open[len(open)-1].keys != nil
		default:
			top.isKey = top.keys != nil
		}
	}
}

// checkImage checks that what an image names is in the file; only the bytes of
// foreign layers may be missing.
func (a *Archive) checkImage(image *dockerImage) error {
	if _, err := a.index.follow(image.Config); err != nil {
		return err
	}
	for _, source := range image.LayerSources {
		if content.IsForeign(source.MediaType) {
			return nil
		}
	}
	for _, name := range image.Layers {
		if _, err := a.index.follow(name); err != nil {
			return err
		}
	}
	return nil
}

// An imageConfig is what wherry reads of an image's config.
type imageConfig struct {
	RootFS struct {
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
}

// config reads the config of an image; its bytes are its blob.
func (a *Archive) config(image *dockerImage) (d ocispec.Descriptor, raw []byte, err error) {
	f, err := a.index.follow(image.Config)
	if err != nil {
		return d, nil, err
	}
	raw, err = a.small(image.Config, f, a.o.Limits.Effective().ManifestSize)
	if err != nil {
		return d, nil, err
	}
	d = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if stated, ok := statedDigest(image.Config); ok {
		if d.Digest = stated.Algorithm().FromBytes(raw); d.Digest != stated {
			return d, nil, &content.MismatchError{Want: ocispec.Descriptor{Digest: stated, Size: d.Size}, Got: d.Digest, Size: d.Size}
		}
	}
	a.keep(d.Digest, span{a.data, f.off, f.size})
	return d, raw, nil
}

// diffIDs returns the diff IDs of the image's layers, which stand in its config.
func (d *dockerImage) diffIDs(config []byte) ([]digest.Digest, error) {
	var c imageConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("config %q: not JSON: %w: %w", clip(d.Config), err, content.ErrInvalid)
	}
	if has, want := len(c.RootFS.DiffIDs), len(d.Layers); has != want {
		return nil, fmt.Errorf("config %q has %d diff IDs for %d layers: %w", clip(d.Config), has, want, content.ErrInvalid)
	}
	return c.RootFS.DiffIDs, nil
}

// statedDigest returns the digest that a path in the blobs folder says its file
// has.
func statedDigest(name string) (digest.Digest, bool) {
	rest, ok := strings.CutPrefix(name, ocispec.ImageBlobsDir+"/")
	d := digest.Digest(strings.Replace(rest, "/", ":", 1))
	return d, ok && content.CheckDigest(d) == nil
}

// keep remembers where a blob is.
func (a *Archive) keep(d digest.Digest, s span) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.blobs[d] = s
}

// kept returns where a blob is, once that is known.
func (a *Archive) kept(d digest.Digest) (span, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.blobs[d]
	return s, ok
}

// makeUp makes the manifest of an image that came without one, once. An image
// that is broken is not looked at again.
func (a *Archive) makeUp(ctx context.Context, image *dockerImage) (content.Manifest, error) {
	select {
	case image.busy <- struct{}{}:
		defer func() { <-image.busy }()
	case <-ctx.Done():
		return content.Manifest{}, context.Cause(ctx)
	}
	if image.broken != nil || !image.manifest.IsZero() {
		return image.manifest, image.broken
	}
	m, err := a.assemble(ctx, image)
	if err != nil {
		err = fmt.Errorf("image %s: %w", image, err)
	}
	if errors.Is(err, content.ErrInvalid) || errors.Is(err, content.ErrCorrupt) {
		image.broken = err
	}
	image.manifest = m
	return m, err
}

// assemble makes a manifest of the config as it is, with its digest, and the
// layers as [Options].Compress says.
func (a *Archive) assemble(ctx context.Context, image *dockerImage) (content.Manifest, error) {
	config, raw, err := a.config(image)
	if err != nil {
		return content.Manifest{}, err
	}
	diffIDs, err := image.diffIDs(raw)
	if err != nil {
		return content.Manifest{}, err
	}
	layers := make([]ocispec.Descriptor, len(image.Layers))
	first := map[string]int{} // a layer that is listed again is made once
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(packers)
	for i, name := range image.Layers {
		key := name + "\x00" + string(diffIDs[i])
		if _, again := first[key]; again {
			continue
		}
		first[key] = i
		g.Go(func() error {
			d, err := a.layer(gctx, image, name, diffIDs[i])
			layers[i] = d
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return content.Manifest{}, err
	}
	for i, name := range image.Layers {
		layers[i] = layers[first[name+"\x00"+string(diffIDs[i])]]
	}
	m, err := a.manifestOf(config, layers)
	if err != nil {
		return content.Manifest{}, err
	}
	return m, a.noteRaw(m.Digest(), config, layers)
}

// manifestOf returns the manifest of an image that has none.
func (a *Archive) manifestOf(config ocispec.Descriptor, layers []ocispec.Descriptor) (content.Manifest, error) {
	raw, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    config,
		Layers:    layers,
	})
	if err != nil {
		return content.Manifest{}, err
	}
	return content.ParseManifest(ocispec.MediaTypeImageManifest, raw, a.o.Limits)
}
