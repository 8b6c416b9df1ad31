package image

import (
	"context"
	"encoding/json"
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
	config, err := decodeConfig[struct {
		history
		rootFS

		Config json.RawMessage `json:"config"`
	}](ctx, src, m)
	if err != nil {
		return nil, err
	}
	layers, err := config.layers(m)
	if err != nil {
		return nil, err
	}
	contents, err := r.all(ctx, src, layers)
	if err != nil {
		return nil, err
	}
	a := &Analysis{Steps: config.makers(m.Layers()), Command: commandOf(config.Config), Waste: WasteOf(contents)}
	if a.Tree, err = mergeLogged(contents); err != nil {
		return nil, err
	}
	a.Losses = a.Tree.Losses()
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

// commandOf returns what a container runs with those settings; nothing where they
// do not say it as they should.
func commandOf(settings []byte) []string {
	var config struct{ Entrypoint, Cmd []string }
	if json.Unmarshal(settings, &config) != nil {
		return nil
	}
	return append(config.Entrypoint, config.Cmd...)
}
