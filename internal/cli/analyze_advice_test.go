package cli

import (
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/image"
)

func TestAdviceSaysWhatToDo(t *testing.T) {
	layers := []int{1, 2}
	tests := []struct {
		d    image.Advice
		says string
	}{
		{image.Advice{ID: "merge-layers", Bytes: 200_000, Layers: layers}, "Layer 3 removes or overwrites 200kB that layer 2 adds: as one RUN"},
		{image.Advice{ID: "newer-base", Bytes: 200_000, Layers: []int{0, 1}}, "Layer 2 removes or overwrites 200kB of the lowest layer"},
		{image.Advice{ID: "copy-with-owner", Bytes: 200_000, Layers: layers}, "Layer 3 has 200kB once more that layer 2 has already"},
		{image.Advice{ID: "cache-apt-lists", Bytes: 200_000, Path: "var/lib/apt/lists"}, "200kB are apt's lists of packages (/var/lib/apt/lists): rm -rf /var/lib/apt/lists/* in the same RUN."},
		{image.Advice{ID: "cache-bytecode", Bytes: 200_000}, "200kB are bytecode that Python makes again where it is missing: PYTHONDONTWRITEBYTECODE=1"},
		{
			image.Advice{ID: "multi-stage", Bytes: 6_200_000, Parts: []image.AdvicePart{{ID: "compilers", Bytes: 6_000_000}, {ID: "build-programs", Bytes: 200_000}}},
			"would drop 6.2MB that programs are built with and run without: 6MB of compilers, 200kB of programs for building.",
		},
		{image.Advice{ID: "duplicate-files", Bytes: 2_000_000, Files: 3}, "2MB are in 3 files that are copies of others"},
		{image.Advice{ID: "distroless", Bytes: 2_000_000, Path: "app"}, "All that runs is /app, on 2MB of a distribution"},
	}
	for _, tt := range tests {
		if got := adviceText(tt.d); !strings.Contains(got, tt.says) {
			t.Errorf("%s: %q does not say %q", tt.d.ID, got, tt.says)
		}
	}
	for id, l := range leftovers {
		if got := adviceText(image.Advice{ID: id}); !strings.Contains(got, l.what+": "+l.cure) {
			t.Errorf("%s: %q", id, got)
		}
	}
}
