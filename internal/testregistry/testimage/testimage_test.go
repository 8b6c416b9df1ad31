package testimage_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

func TestEveryKindIsWholeAndTheSameForTheSameSeed(t *testing.T) {
	kinds := append(testimage.Kinds(),
		testimage.Kind{Name: "schema1", Make: testimage.Schema1},
		testimage.Kind{Name: "fallback", Make: testimage.WithFallback},
		testimage.Kind{Name: "attested", Make: testimage.Attested},
		testimage.Kind{Name: "big", Make: func(seed uint64) testimage.Image { return testimage.Big(seed, 1) }},
	)
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) {
			m := k.Make(1)
			if !reflect.DeepEqual(m, k.Make(1)) {
				t.Error("two makes differ")
			}
			if other := k.Make(2); other.Root.Digest == m.Root.Digest {
				t.Error("another seed makes the same image")
			}
			checkDigests(t, m)
			for _, stored := range m.Manifests {
				checkManifest(t, m, stored.Bytes)
			}
			if _, there := m.Manifests[m.Root.Digest]; !there {
				t.Error("no root")
			}
		})
	}
}

func checkDigests(t *testing.T, m testimage.Image) {
	t.Helper()
	all := map[digest.Digest][]byte{}
	maps.Copy(all, m.Blobs)
	maps.Copy(all, m.Elsewhere)
	for d, stored := range m.Manifests {
		all[d] = stored.Bytes
	}
	for d, content := range all {
		if d.Algorithm().FromBytes(content) != d {
			t.Errorf("%s has other content", d)
		}
	}
}

// checkManifest looks for all that a manifest names. What is no JSON names nothing, and the subject of an
// orphan is nowhere.
func checkManifest(t *testing.T, m testimage.Image, content []byte) {
	t.Helper()
	var has struct {
		Config    *ocispec.Descriptor
		Layers    []ocispec.Descriptor
		Manifests []ocispec.Descriptor
		Subject   *ocispec.Descriptor

		ArtifactType string
	}
	if err := json.Unmarshal(content, &has); err != nil && json.Valid(content) {
		t.Fatal(err)
	}
	if has.Config != nil {
		has.Layers = append(has.Layers, *has.Config)
	}
	for _, d := range has.Layers {
		b, there := m.Blobs[d.Digest]
		if len(d.URLs) > 0 {
			b, there = m.Elsewhere[d.Digest]
		}
		if !there || int64(len(b)) != d.Size {
			t.Errorf("blob %s of %d bytes: there %v, %d bytes", d.Digest, d.Size, there, len(b))
		}
	}
	if has.Subject != nil && has.ArtifactType != "application/vnd.example.orphan" {
		has.Manifests = append(has.Manifests, *has.Subject)
	}
	for _, d := range has.Manifests {
		if c, there := m.Manifests[d.Digest]; !there || int64(len(c.Bytes)) != d.Size || c.MediaType != d.MediaType {
			t.Errorf("manifest %s: there %v, %d bytes of %d", d.Digest, there, len(c.Bytes), d.Size)
		}
	}
}

// ggcr's validation unpacks every layer and compares diff IDs, sizes and digests.
func TestGGCRFindsImagesValid(t *testing.T) {
	for _, kind := range []string{"single", "docker", "no-layers", "shared"} {
		t.Run(kind, func(t *testing.T) {
			r := testregistry.Start(t, testregistry.Config{})
			m, known := testimage.Named(kind, 3)
			if !known {
				t.Fatal("unknown kind")
			}
			m.PutTo(r, "team/app", "v1")
			ref, err := name.ParseReference(r.Host() + "/team/app:v1")
			if err != nil {
				t.Fatal(err)
			}
			image, err := remote.Image(ref)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Image(image); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDiffIDsAreOfTheUnpackedLayers(t *testing.T) {
	for _, kind := range []string{"single", "docker", "zstd", "raw", "zero-blob"} {
		t.Run(kind, func(t *testing.T) {
			m, _ := testimage.Named(kind, 1)
			var manifest ocispec.Manifest
			var config ocispec.Image
			decode(t, m.Manifests[m.Root.Digest].Bytes, &manifest)
			decode(t, m.Blobs[manifest.Config.Digest], &config)
			for i, l := range manifest.Layers {
				raw := unpack(t, l.MediaType, m.Blobs[l.Digest])
				if got := digest.FromBytes(raw); got != config.RootFS.DiffIDs[i] {
					t.Errorf("layer %d unpacks to %s, config says %s", i, got, config.RootFS.DiffIDs[i])
				}
				if n := countEntries(t, raw); n != 6 && l.Size > 0 {
					t.Errorf("layer %d has %d entries", i, n)
				}
			}
		})
	}
}

func countEntries(t *testing.T, raw []byte) int {
	t.Helper()
	tr := tar.NewReader(bytes.NewReader(raw))
	for n := 0; ; n++ {
		_, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func decode(t *testing.T, content []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(content, v); err != nil {
		t.Fatal(err)
	}
}

func unpack(t *testing.T, mediaType string, content []byte) []byte {
	t.Helper()
	r := io.Reader(bytes.NewReader(content))
	var err error
	switch {
	case strings.HasSuffix(mediaType, "gzip"):
		r, err = gzip.NewReader(r)
	case strings.HasSuffix(mediaType, "zstd"):
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSharedImagesShareTheirBaseOnly(t *testing.T) {
	first, second := testimage.Shared(1)
	n := 0
	for d := range first.Blobs {
		if _, both := second.Blobs[d]; both {
			n++
		}
	}
	if n != 2 || len(first.Blobs) != 4 || len(second.Blobs) != 4 {
		t.Errorf("%d of %d and %d blobs are shared, want 2 of 4 and 4", n, len(first.Blobs), len(second.Blobs))
	}
}
