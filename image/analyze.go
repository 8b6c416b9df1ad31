package image

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// An Analysis is what is known of how an image uses its bytes.
type Analysis struct {
	Tree    *Tree
	DiffIDs []digest.Digest // of the layers, the lowest first
	Steps   []Step          // that made the layers, the lowest first; all but the layer is zero where the config does not tell
	Command []string        // what a container runs, entrypoint and all
	Waste   Waste
	Losses  []Loss
}

// Analyze reads what the layers of the single image m of src have, as
// [Reader.Tree] does, and works out what they waste. The config is read once.
func (r Reader) Analyze(ctx context.Context, src content.Source, m content.Manifest) (*Analysis, error) {
	d, err := configOf(m)
	if err != nil {
		return nil, err
	}
	raw, err := content.ReadConfig(ctx, src, m, content.Limits{})
	if err != nil {
		return nil, err
	}
	known := &knownConfig{src, d.Digest, raw}
	history, err := readConfig(ctx, known, m)
	if err != nil {
		return nil, err
	}
	layers, err := layersOf(ctx, known, m)
	if err != nil {
		return nil, err
	}
	tree, err := r.Tree(ctx, known, m)
	if err != nil {
		return nil, err
	}
	a := &Analysis{Tree: tree, Steps: history.makers(m.Layers()), Command: commandOf(raw), Waste: WasteOf(tree.Layers()), Losses: tree.Losses()}
	for _, l := range layers {
		a.DiffIDs = append(a.DiffIDs, l.diffID)
	}
	return a, nil
}

// makers returns the step that made each layer, the lowest first.
func (h history) makers(layers []ocispec.Descriptor) []Step {
	steps := slices.DeleteFunc(h.steps(layers), func(s Step) bool { return s.Layer.Digest == "" })
	slices.Reverse(steps)
	return steps
}

// commandOf returns what a container of the image with that config runs; nothing
// where the config does not say it as it should.
func commandOf(raw []byte) []string {
	var config struct {
		Config struct{ Entrypoint, Cmd []string } `json:"config"`
	}
	if json.Unmarshal(raw, &config) != nil {
		return nil
	}
	return append(config.Config.Entrypoint, config.Config.Cmd...)
}

// A knownConfig is a source one blob of which has been read and verified.
type knownConfig struct {
	content.Source

	digest digest.Digest
	raw    []byte
}

// Open implements [content.Source].
func (k *knownConfig) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	if d.Digest != k.digest {
		return k.Source.Open(ctx, d, r)
	}
	off, n, err := r.Resolve(int64(len(k.raw)))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(k.raw[off : off+n])), nil
}

// Unwrap shows the abilities of the source.
func (k *knownConfig) Unwrap() any { return k.Source }
