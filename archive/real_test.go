package archive_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
)

const images = "../testdata/images"

// others are the archives that other tools wrote.
var others = []struct {
	file   string
	names  []string
	ref    string
	config string
	layers []string // media types
}{
	{"alpine-3.20.tar", []string{"alpine:latest"}, "", "sha256:324bc02ae1231fd9255658c128086395d3fa0aedd5a41ab6b034fd649d1a9260", raw(1)},
	{"docker-busybox-layers.tar", []string{"dive-test:latest"}, "docker.io/library/dive-test", "sha256:75ae28b8ebf89b203319069ddcbecdf5c3838503bbebc0d0d85e4b8589c5de3a", raw(14)},
	{"docker-two-images.tar", []string{"test_image_2:latest", "test_image_1:latest"}, "test_image_1", "sha256:6e0b05049ed9c17d02e1a55e80d6599dbfcce7f4f4b022e3c673e685789c470e", raw(1)},
	{"docker-two-images.tar", []string{"test_image_2:latest", "test_image_1:latest"}, "test_image_2:latest", "sha256:930705ce23e3b6ed4c08746b6fe880089c864fbaf62482702ae3fdd66b8c7fe9", raw(1)},
	{"docker25-hello-world.tar", nil, "", "sha256:ee301c921b8aadc002973b2e0c3da17d701dcd994b606769a7e6eaa100b81d44", raw(1)},
	{"whiteout.tar", []string{"bazel/pkg/v1/mutate:whiteout_image"}, "whiteout_image", "sha256:decb630649c3e1256345d416b228d6c3ceb387a55120ad44dc3ec992976d28b9", raw(3)},
	{"oci-gzip.tar", nil, "", "sha256:3eaccc100f866490f00ae82727b459a737af031dcf44c791d8aa714a70f24959", []string{ocispec.MediaTypeImageLayerGzip}},
	{"oci-estargz.tar", nil, "", "sha256:5c153971f5feeb018fab88c379f94ef9171ba1990163d32852fd27bf55ed5b74", []string{ocispec.MediaTypeImageLayerGzip}},
	{"oci-zstd.tar", nil, "", "sha256:3eaccc100f866490f00ae82727b459a737af031dcf44c791d8aa714a70f24959", []string{ocispec.MediaTypeImageLayerZstd}},
	{"oci-uncompressed.tar", nil, "", "sha256:3eaccc100f866490f00ae82727b459a737af031dcf44c791d8aa714a70f24959", raw(1)},
}

func raw(n int) []string { return slices.Repeat([]string{ocispec.MediaTypeImageLayer}, n) }

func TestArchivesOfOtherToolsAreRead(t *testing.T) {
	for _, tt := range others {
		t.Run(tt.file+" "+tt.ref, func(t *testing.T) {
			a, err := archive.Open(t.Context(), filepath.Join(images, tt.file), archive.Options{})
			closed(t, a, err)
			if got := tagsOf(t, a); !slices.Equal(got, tt.names) {
				t.Errorf("names = %q, want %q", got, tt.names)
			}
			g, err := load(t, a, tt.ref)
			must(t, err)
			m := g.Manifests[g.Root]
			if m.IsIndex() {
				m = g.Manifests[g.Order[0]]
			}
			if c, _ := m.Config(); c.Digest.String() != tt.config {
				t.Errorf("config = %s, want %s", c.Digest, tt.config)
			}
			if got := mediaTypes(m); !slices.Equal(got, tt.layers) {
				t.Errorf("layers = %q, want %q", got, tt.layers)
			}
			again, err := a.Manifest(t.Context(), g.Root.String())
			if err != nil || !bytes.Equal(again.Raw(), g.Manifests[g.Root].Raw()) {
				t.Errorf("by digest: %v", err)
			}
		})
	}
}

func mediaTypes(m content.Manifest) []string {
	var types []string
	for _, d := range m.Layers() {
		types = append(types, d.MediaType)
	}
	return types
}

func TestCompressedArchivesAreRead(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(images, "docker-two-images.tar"))
	must(t, err)
	want := root(t, archive.Open, write(t, raw))
	for name, pack := range packers {
		t.Run(name, func(t *testing.T) {
			path := write(t, pack(t, raw))
			for _, open := range []opener{archive.Open, readFile} {
				if got := root(t, open, path); got.Digest() != want.Digest() {
					t.Errorf("root = %s, want %s", got.Digest(), want.Digest())
				}
			}
		})
	}
	t.Run("bzip2", func(t *testing.T) {
		for _, open := range []opener{archive.Open, readFile} {
			if got := root(t, open, filepath.Join("testdata", "two-images.tar.bz2")); got.Digest() != want.Digest() {
				t.Errorf("root = %s, want %s", got.Digest(), want.Digest())
			}
		}
	})
}

// root reads the whole image test_image_1 of the archive at path.
func root(t *testing.T, open opener, path string) content.Manifest {
	t.Helper()
	temp := t.TempDir()
	a, err := open(t.Context(), path, archive.Options{TempDir: temp})
	must(t, err)
	g, err := load(t, a, "test_image_1")
	must(t, err)
	must(t, a.Close())
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return g.Manifests[g.Root]
}

func TestRawLayersAreCompressedTheSameEveryTime(t *testing.T) {
	tests := []struct {
		name      string
		compress  archive.Compression
		mediaType string
	}{
		{"gzip", archive.Gzip, ocispec.MediaTypeImageLayerGzip},
		{"zstd", archive.Zstd, ocispec.MediaTypeImageLayerZstd},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var roots []string
			for range 3 {
				a, err := archive.Open(t.Context(), filepath.Join(images, "docker-busybox-layers.tar"), archive.Options{Compress: tt.compress, TempDir: t.TempDir()})
				closed(t, a, err)
				g, err := load(t, a, "")
				must(t, err)
				m := g.Manifests[g.Root]
				if c, _ := m.Config(); c.Digest.Encoded() != "75ae28b8ebf89b203319069ddcbecdf5c3838503bbebc0d0d85e4b8589c5de3a" {
					t.Errorf("config changed to %s", c.Digest)
				}
				for _, d := range m.Layers() {
					if d.MediaType != tt.mediaType {
						t.Errorf("layer is %s", d.MediaType)
					}
				}
				roots = append(roots, g.Root.String())
			}
			if len(slices.Compact(roots)) != 1 {
				t.Errorf("three readings, different manifests: %q", roots)
			}
		})
	}
}

func TestEveryRealImageSurvivesARoundTrip(t *testing.T) {
	for _, tt := range others {
		t.Run(tt.file+" "+tt.ref, func(t *testing.T) {
			src, err := archive.Open(t.Context(), filepath.Join(images, tt.file), archive.Options{})
			closed(t, src, err)
			path := filepath.Join(t.TempDir(), "out.tar")
			w := create(t, path)
			want := move(t, w, src, tt.ref, "example.test/app:v1")
			must(t, w.Commit(t.Context()))
			dst, err := archive.Open(t.Context(), path, archive.Options{})
			closed(t, dst, err)
			g, err := load(t, dst, "example.test/app:v1")
			must(t, err)
			if g.Root != want.Digest() {
				t.Errorf("root = %s, want %s", g.Root, want.Digest())
			}
		})
	}
}
