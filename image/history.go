package image

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A Step is one thing that was done to make an image.
type Step struct {
	// ID is the image's id, the digest of its config, on the newest step. Which
	// images the others made nobody knows: theirs is empty.
	ID digest.Digest

	Created   time.Time // zero where it is not told, or no time
	CreatedBy string    // the command or instruction
	Comment   string

	// Empty tells that the step changed settings only and made no layer.
	Empty bool

	// Layer is what the step made, as it is stored: compressed, mostly. It is zero
	// where Empty is set, and where the config does not let it be known.
	Layer ocispec.Descriptor
}

// History returns the steps that made the single image m of src, the newest
// first, from its manifest and config: no layer is read.
//
// A config may tell of fewer steps that made layers than there are layers, of
// more, or of none at all. Which made which is not guessed then: the layers have
// steps of their own, that say nothing else, before those of the config.
//
// What is no image, an index among that, is [content.ErrInvalid], and so is a
// config that is none.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md#properties
func History(ctx context.Context, src content.Source, m content.Manifest) ([]Step, error) {
	config, err := decodeConfig[history](ctx, src, m)
	if err != nil {
		return nil, err
	}
	steps := config.steps(m.Layers())
	if len(steps) > 0 {
		id, _ := m.Config()
		steps[0].ID = id.Digest
	}
	return steps, nil
}

// A history is what is read of a config.
type history struct {
	History []struct {
		Created    looseTime `json:"created"`
		CreatedBy  string    `json:"created_by"`
		Comment    string    `json:"comment"`
		EmptyLayer bool      `json:"empty_layer"`
	} `json:"history"`
}

// decodeConfig reads the config of the single image m of src as a T.
func decodeConfig[T any](ctx context.Context, src content.Source, m content.Manifest) (config T, err error) {
	d, err := configOf(m)
	if err != nil {
		return config, err
	}
	raw, err := content.ReadConfig(ctx, src, m, content.Limits{})
	if err != nil {
		return config, err
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return config, fmt.Errorf("config %s: %w: %w", d.Digest, err, content.ErrInvalid)
	}
	return config, nil
}

// configOf returns the descriptor of the config of m, which must be an image.
func configOf(m content.Manifest) (ocispec.Descriptor, error) {
	d, ok := m.ImageConfig()
	switch {
	case m.IsIndex():
		return d, fmt.Errorf("%s is an index, and not one image: %w", m.Digest(), content.ErrInvalid)
	case !ok:
		return d, fmt.Errorf("%s is no image but of type %q: %w", m.Digest(), m.ArtifactType(), content.ErrInvalid)
	}
	return d, nil
}

// steps returns the steps of an image with those layers, the newest first.
func (h history) steps(layers []ocispec.Descriptor) []Step {
	var steps []Step
	made := 0
	for _, entry := range h.History {
		steps = append(steps, Step{
			Created:   time.Time(entry.Created),
			CreatedBy: entry.CreatedBy,
			Comment:   entry.Comment,
			Empty:     entry.EmptyLayer,
		})
		if !entry.EmptyLayer {
			made++
		}
	}
	if made == len(layers) {
		pair(steps, layers)
	} else {
		for _, layer := range layers {
			steps = append(steps, Step{Layer: layer})
		}
	}
	slices.Reverse(steps)
	return steps
}

// pair gives each step that made a layer the one it made.
func pair(steps []Step, layers []ocispec.Descriptor) {
	for i := range steps {
		if !steps[i].Empty {
			steps[i].Layer, layers = layers[0], layers[1:]
		}
	}
}

// A looseTime is the zero time where a config has something else than a time
// there, or a year that is not of four digits: it keeps nothing from being read.
type looseTime time.Time

// UnmarshalJSON never fails.
func (l *looseTime) UnmarshalJSON(raw []byte) error {
	var t time.Time
	if json.Unmarshal(raw, &t) != nil || t.UTC().Year() < 0 || t.UTC().Year() > 9999 {
		t = time.Time{}
	}
	*l = looseTime(t)
	return nil
}
