package cli

import (
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
)

func TestWhatIsHereInPartShowsTheImageThatServesThisMachineBest(t *testing.T) {
	var here content.Memory
	host := content.HostPlatform()
	keep := func(raw string) content.Manifest {
		m, err := content.ParseManifest("", []byte(raw), content.Limits{})
		if err == nil {
			err = here.PutManifest(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	var children []string
	var last content.Manifest
	for _, p := range []content.Platform{{OS: host.OS, Architecture: "mips"}, host} {
		last = keep(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"for":%q}}`, ocispec.MediaTypeImageIndex, p))
		children = append(children, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":%q,"architecture":%q,"variant":%q}}`,
			ocispec.MediaTypeImageIndex, last.Digest(), last.Size(), p.OS, p.Architecture, p.Variant))
	}
	root := keep(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, strings.Join(children, ",")))
	p := &place{Source: &endpoint.Source{Source: &here}}
	got, err := p.firstHere(t.Context(), root, content.ErrNotFound)
	if err != nil || got.Digest() != last.Digest() {
		t.Errorf("got %s, %v; want the second, %s", got.Digest(), err, last.Digest())
	}
}
