package layout

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// bytesOf makes a blob of text.
func bytesOf(mediaType, text string) memoryBlob {
	raw := []byte(text)
	return memoryBlob{ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}, raw}
}

// An image is a manifest and its blobs.
type testImage struct {
	m     content.Manifest
	blobs []memoryBlob
}

func parsed(tb testing.TB, v any) content.Manifest {
	tb.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := content.ParseManifest("", raw, content.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// anImage makes an image with one layer, all different for different ids.
func anImage(tb testing.TB, id string) testImage {
	tb.Helper()
	config, layer := bytesOf(ocispec.MediaTypeImageConfig, `{"id":"`+id+`"}`), bytesOf(ocispec.MediaTypeImageLayer, "layer of "+id)
	m := parsed(tb, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config.d, Layers: []ocispec.Descriptor{layer.d},
	})
	return testImage{m, []memoryBlob{config, layer}}
}

// aReferrer makes an artifact that refers to subject.
func aReferrer(tb testing.TB, subject content.Manifest, kind string) testImage {
	tb.Helper()
	empty := bytesOf(ocispec.MediaTypeEmptyJSON, "{}")
	to := subject.Descriptor()
	m := parsed(tb, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: kind,
		Config: empty.d, Layers: []ocispec.Descriptor{empty.d}, Subject: &to,
		Annotations: map[string]string{"kind": kind, ocispec.AnnotationRefName: "never"},
	})
	return testImage{m, []memoryBlob{empty}}
}

func anIndex(tb testing.TB, children ...content.Manifest) content.Manifest {
	tb.Helper()
	x := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, m := range children {
		x.Manifests = append(x.Manifests, m.Descriptor())
	}
	return parsed(tb, x)
}

// created returns a layout that is there and empty.
func created(tb testing.TB) *Layout {
	tb.Helper()
	l := closed(tb)(Create(filepath.Join(tb.TempDir(), "layout")))
	if err := l.disk.prepare(tb.Context(), noBlob); err != nil {
		tb.Fatal(err)
	}
	return l
}

func put(tb testing.TB, s content.Sink, im testImage, names ...string) {
	tb.Helper()
	for _, b := range im.blobs {
		if _, err := s.PutBlob(context.Background(), b); err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.PutManifest(context.Background(), im.m, names...); err != nil {
		tb.Fatal(err)
	}
}

func TestWhatIsPutIsReadAgain(t *testing.T) {
	l := created(t)
	im := anImage(t, "a")
	put(t, l, im, "v1", "docker.io/library/a:v1")
	for _, ref := range []string{"v1", "a:v1", "docker.io/library/a:v1", "", im.m.Digest().String(), "x@" + im.m.Digest().String()} {
		m, err := l.Manifest(t.Context(), ref)
		if err != nil || m.Digest() != im.m.Digest() || string(m.Raw()) != string(im.m.Raw()) {
			t.Errorf("Manifest(%q) = %s, %v", ref, m.Digest(), err)
		}
	}
	rc, err := l.Open(t.Context(), im.blobs[1].d, content.Range{Off: 6, Len: 2})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(rc)
	if string(got) != "of" || err != nil || rc.Close() != nil {
		t.Errorf("span = %q, %v", got, err)
	}
	if got := slices.Collect(names(t, l)); !slices.Equal(got, []string{"v1", "docker.io/library/a:v1"}) {
		t.Errorf("tags = %q", got)
	}
}

func names(tb testing.TB, l content.TagLister) func(func(string) bool) {
	tb.Helper()
	return func(yield func(string) bool) {
		for name, err := range l.Tags(context.Background()) {
			if err != nil {
				tb.Error(err)
			}
			if !yield(name) {
				return
			}
		}
	}
}

func TestALockThatAKilledProcessLeftIsTakenAway(t *testing.T) {
	l := created(t)
	put(t, l, anImage(t, "a"), "a")
	lock := filepath.Join(l.disk.path, filepath.FromSlash(lockFile))
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	closed(t)(Create(l.disk.path))
	if left := strays(t, l.disk.path); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	held, err := l.disk.lockIndex(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closed(t)(Create(l.disk.path))
	if _, err := os.Stat(lock); err != nil {
		t.Errorf("one that is held: %v", err)
	}
	if err := held.Release(); err != nil {
		t.Error(err)
	}
}
