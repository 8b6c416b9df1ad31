package content_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// put keeps an image without layers whose config, of that type, is raw.
func put(t *testing.T, to *content.Memory, mediaType, raw string) content.Manifest {
	t.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(raw), Size: int64(len(raw))}
	if _, err := to.PutBlob(t.Context(), text{d, raw}); err != nil {
		t.Fatal(err)
	}
	return keep(t, to, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`,
		ociManifest, d.MediaType, d.Digest, d.Size))
}

func keep(t *testing.T, to *content.Memory, raw string) content.Manifest {
	t.Helper()
	m, err := content.ParseManifest("", []byte(raw), content.Limits{})
	if err == nil {
		err = to.PutManifest(t.Context(), m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// over keeps an index of m, which it says is for that platform; for none where that is empty.
func over(t *testing.T, to *content.Memory, m content.Manifest, platform string) content.Manifest {
	t.Helper()
	child := desc(m)
	if os, arch, ok := strings.Cut(platform, "/"); ok {
		child = strings.TrimSuffix(child, "}") + fmt.Sprintf(`,"platform":{"os":%q,"architecture":%q}}`, os, arch)
	}
	return keep(t, to, index(child, ""))
}

var (
	amd64 = content.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = content.Platform{OS: "linux", Architecture: "arm64"}
)

const forAMD64 = `{"os":"linux","architecture":"amd64"}`

func TestCheckPlatformReadsTheConfig(t *testing.T) {
	tests := []struct {
		name            string
		mediaType, text string
		ask             []content.Platform
		limits          content.Limits
		want            error
		says            string
	}{
		{"an image that is for it", ocispec.MediaTypeImageConfig, forAMD64, []content.Platform{amd64}, content.Limits{}, nil, ""},
		{"one of several", content.DockerConfig, forAMD64, []content.Platform{arm64, amd64}, content.Limits{}, nil, ""},
		{"another", ocispec.MediaTypeImageConfig, forAMD64, []content.Platform{arm64}, content.Limits{}, content.ErrNotFound, "for linux/amd64 only"},
		{"an image that states none", ocispec.MediaTypeImageConfig, `{}`, []content.Platform{arm64}, content.Limits{}, nil, ""},
		{"an artifact", "application/vnd.example", forAMD64, []content.Platform{arm64}, content.Limits{}, nil, ""},
		{"a config that is no JSON", ocispec.MediaTypeImageConfig, `{`, []content.Platform{arm64}, content.Limits{}, content.ErrInvalid, "config sha256:"},
		{"a config over the limit", ocispec.MediaTypeImageConfig, forAMD64, []content.Platform{amd64}, content.Limits{ConfigSize: 8}, content.ErrInvalid, "over the limit of 8"},
		{"the limit off", ocispec.MediaTypeImageConfig, strings.Repeat(" ", 9<<20) + forAMD64, []content.Platform{amd64}, content.Limits{ConfigSize: -1}, nil, ""},
		{"the limit there is", ocispec.MediaTypeImageConfig, strings.Repeat(" ", 9<<20) + forAMD64, []content.Platform{amd64}, content.Limits{}, content.ErrInvalid, "over the limit of 8388608"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var from content.Memory
			err := content.CheckPlatform(t.Context(), &from, put(t, &from, tt.mediaType, tt.text), tt.ask, tt.limits)
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %v that says %q", err, tt.want, tt.says)
			}
		})
	}
}

func TestReadConfigGivesTheBytes(t *testing.T) {
	var from content.Memory
	m := put(t, &from, ocispec.MediaTypeImageConfig, forAMD64)
	if raw, err := content.ReadConfig(t.Context(), &from, m, content.Limits{}); err != nil || string(raw) != forAMD64 {
		t.Errorf("got %q, %v", raw, err)
	}
	if _, err := content.ReadConfig(t.Context(), &from, over(t, &from, m, "linux/amd64"), content.Limits{}); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("of an index: %v, want not found", err)
	}
}

func TestImageForFollowsIndexes(t *testing.T) {
	var from content.Memory
	image := put(t, &from, ocispec.MediaTypeImageConfig, forAMD64)
	nested := image
	for range 9 {
		nested = over(t, &from, nested, "linux/amd64")
	}
	tests := []struct {
		name   string
		root   content.Manifest
		ask    content.Platform
		limits content.Limits
		want   error
	}{
		{"one image, whatever it is for", image, arm64, content.Limits{}, nil},
		{"an index", over(t, &from, image, "linux/amd64"), amd64, content.Limits{}, nil},
		{"an index without it", over(t, &from, image, "linux/amd64"), arm64, content.Limits{}, content.ErrNotFound},
		{"an index that states no platform", over(t, &from, image, ""), amd64, content.Limits{}, content.ErrNotFound},
		{"nine indexes", nested, amd64, content.Limits{}, content.ErrInvalid},
		{"nine indexes without the limit", nested, amd64, content.Limits{Depth: -1}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := content.ImageFor(t.Context(), &from, tt.root, tt.ask, tt.limits)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && got.Digest() != image.Digest() {
				t.Errorf("got %s, want %s", got.Digest(), image.Digest())
			}
		})
	}
}

func TestBelowIsTheGraphOfAChild(t *testing.T) {
	var src manifests
	first, second := src.chain(t, 2), src.add(t, index("", ""))
	root := src.add(t, index(desc(first)+","+desc(second), ""))
	g, err := content.Loader{}.Load(t.Context(), &src, root)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := content.Loader{}.Load(t.Context(), &src, first)
	if err != nil {
		t.Fatal(err)
	}
	if below := g.Below(first.Digest()); below.Root != first.Digest() || !slices.Equal(below.Order, alone.Order) || len(below.Blobs()) != 2 {
		t.Errorf("below the first child: %v; want %v", below.Order, alone.Order)
	}
	if below := g.Below(second.Digest()); len(below.Order) != 1 || len(below.Blobs()) != 0 {
		t.Errorf("below the second child: %v", below.Order)
	}
}
