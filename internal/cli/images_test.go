package cli

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
)

func TestATreeHasNoBranchWithoutAPlatform(t *testing.T) {
	amd64, arm64 := content.Platform{OS: "linux", Architecture: "amd64"}, content.Platform{OS: "linux", Architecture: "arm64"}
	image := layout.Image{
		Variants: []layout.Variant{
			{Platform: amd64, ID: digest.FromString("amd64")},
			{ID: digest.FromString("its config cannot be read")},
		},
		Offers: []content.Platform{amd64, {}, arm64}, // in the middle a nested index
	}
	var got []string
	for _, row := range (imagesOptions{}).branches(image) {
		got = append(got, row[0])
	}
	if want := []string{"├─ linux/amd64", "├─ unknown", "└─ linux/arm64"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
