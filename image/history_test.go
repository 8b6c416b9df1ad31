package image_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

func TestHistoryPairsStepsAndLayersOnlyWhereThatIsSure(t *testing.T) {
	tests := []struct {
		name   string
		config string
		layers int
		want   []string // newest first: created by, and the number of the layer, - for none, ? for not known
	}{
		{"one layer for each step that makes one", `{"history":[{"created_by":"a"},{"created_by":"b","empty_layer":true},{"created_by":"c"}]}`, 2, []string{"c 1", "b -", "a 0"}},
		{"no history", `{}`, 2, []string{" 1", " 0"}},
		{"null for a history", `{"history":null}`, 1, []string{" 0"}},
		{"no history and no layer", `{}`, 0, nil},
		{"fewer steps than layers", `{"history":[{"created_by":"a"},{"created_by":"e","empty_layer":true}]}`, 2, []string{" 1", " 0", "e -", "a ?"}},
		{"more steps than layers", `{"history":[{"created_by":"a"},{"created_by":"b"}]}`, 1, []string{" 0", "b ?", "a ?"}},
		{"steps that make nothing", `{"history":[{"created_by":"e","empty_layer":true}]}`, 1, []string{" 0", "e -"}},
		{"steps without layers", `{"history":[{"created_by":"a"}]}`, 0, []string{"a ?"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b builder
			var layers []ocispec.Descriptor
			number := map[string]string{}
			for i := range tt.layers {
				d := b.layer(file("f", strings.Repeat("x", i)))
				layers = append(layers, d)
				number[d.Digest.String()] = string(rune('0' + i))
			}
			m := b.image(json.RawMessage(tt.config), layers...)
			steps, err := image.History(t.Context(), &b.place, m)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, s := range steps {
				got = append(got, s.CreatedBy+" "+made(s, number))
				if config, _ := m.Config(); (s.ID == config.Digest) != (i == 0) {
					t.Errorf("step %d has ID %q", i, s.ID)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// made returns the number of the layer a step made, - for none, ? for not known.
func made(s image.Step, number map[string]string) string {
	if n, known := number[s.Layer.Digest.String()]; known {
		return n
	}
	if s.Empty {
		return "-"
	}
	return "?"
}

func TestHistoryReadsWhatIsThereOfAStep(t *testing.T) {
	var b builder
	m := b.image(json.RawMessage(`{"history":[
		{"created":"yesterday","created_by":"old"},
		{"created":"0000-00-00T00:00:00Z"},
		{"created":"2024-05-06T07:08:09.5+02:00","created_by":"RUN x","comment":"buildkit.dockerfile.v0","empty_layer":true}]}`))
	steps, err := image.History(t.Context(), &b.place, m)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2024, 5, 6, 5, 8, 9, 5e8, time.UTC); !steps[0].Created.Equal(want) || steps[0].Comment != "buildkit.dockerfile.v0" {
		t.Errorf("got %+v", steps[0])
	}
	for _, s := range steps[1:] {
		if !s.Created.IsZero() {
			t.Errorf("%q has a time: %s", s.CreatedBy, s.Created)
		}
	}
}

func TestHistoryRefusesWhatIsNoImage(t *testing.T) {
	var b builder
	index, err := content.ParseManifest("", []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`), content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		m    content.Manifest
	}{
		{"an index", index},
		{"an artifact", b.manifest(b.blob("application/vnd.example.config", []byte("{}")))},
		{"a config that is a list", b.image([]int{1})},
		{"a history that is a word", b.image(json.RawMessage(`{"history":"long"}`))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := image.History(t.Context(), &b.place, tt.m); !errors.Is(err, content.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
}
