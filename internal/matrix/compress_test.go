package matrix

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/transfer"
)

// TestRawLayersGoPackedToARegistry copies what docker save wrote: the config
// stays, the layers unpack to their diff IDs, and the root is the same each time.
func TestRawLayersGoPackedToARegistry(t *testing.T) {
	img := testimage.Layers(70, 3, 20_000)
	all, entry, diffIDs := saved(t, img, img.Root.Digest)
	all["manifest.json"] = encoded(t, []savedImage{entry})
	file := filepath.Join(t.TempDir(), "saved.tar")
	all.pack(t, file)
	types := map[archive.Compression]string{
		archive.None: ocispec.MediaTypeImageLayer,
		archive.Gzip: ocispec.MediaTypeImageLayerGzip,
		archive.Zstd: ocispec.MediaTypeImageLayerZstd,
	}
	for compress, mediaType := range types {
		t.Run(mediaType, func(t *testing.T) {
			var roots [2]digest.Digest
			for i := range roots {
				to := toRegistry(t)
				from := origin{ref: "team/app:" + tag, open: func(t *testing.T) content.Source {
					t.Helper()
					return closing[*archive.Archive](t)(archive.Open(t.Context(), file, archive.Options{Compress: compress, TempDir: t.TempDir()}))
				}}
				copyOnce(t, &transfer.Copier{}, from, to)
				got := to.read(t)
				roots[i] = got.names[tag]
				checkPacked(t, got, mediaType, digest.FromBytes(all[entry.Config]), diffIDs)
			}
			if roots[0] != roots[1] {
				t.Errorf("the root is %s, and then %s", roots[0], roots[1])
			}
		})
	}
}

// checkPacked reads the image under tag: its config, and layers of a media type
// that unpack to diffIDs.
func checkPacked(t *testing.T, got store, mediaType string, config digest.Digest, diffIDs []digest.Digest) {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(got.bytes[got.names[tag]], &m); err != nil {
		t.Fatal(err)
	}
	if m.Config.Digest != config || len(m.Layers) != len(diffIDs) {
		t.Errorf("config %s with %d layers, want %s with %d", m.Config.Digest, len(m.Layers), config, len(diffIDs))
	}
	for i, d := range m.Layers {
		if id := digest.FromBytes(unpacked(t, got.bytes[d.Digest])); d.MediaType != mediaType || id != diffIDs[i] {
			t.Errorf("layer %d is %s with diff ID %s, want %s with %s", i, d.MediaType, id, mediaType, diffIDs[i])
		}
	}
}

// TestTheSameSaveFromAnywhereIsTheSameBytes saves one image out of a registry, a
// layout and an archive.
func TestTheSameSaveFromAnywhereIsTheSameBytes(t *testing.T) {
	for _, kind := range []string{"index", "nested-index", "docker", "referrers", "cosign"} {
		t.Run(kind, func(t *testing.T) {
			img, _ := testimage.Named(kind, 71)
			saves := map[string]string{}
			for _, from := range origins()[:3] {
				to := toDockerArchive(t)
				copyOnce(t, &transfer.Copier{}, from.make(t, img), to)
				saves[digestOfFile(t, to.path)] = from.name
			}
			if len(saves) != 1 {
				t.Errorf("%d files differ: %v", len(saves), saves)
			}
		})
	}
}
