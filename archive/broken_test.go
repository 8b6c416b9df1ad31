package archive_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
)

// putImage stores an image with any config in w.
func putImage(t *testing.T, w content.Sink, name, config string, layers ...string) content.Manifest {
	t.Helper()
	for _, b := range append(layers, config) {
		_, err := w.PutBlob(t.Context(), contenttest.NewBlob("application/octet-stream", []byte(b)))
		must(t, err)
	}
	return putManifest(t, w, manifestOf(t, config, layers...), name)
}

// Docker refuses a whole file for one image whose diff IDs are not those of its
// layers.
func TestAnImageThatDockerCannotLoadStaysOutOfItsList(t *testing.T) {
	for name, config := range map[string]string{
		"too few diff IDs":           configOf(t, "one"),
		"too many diff IDs":          configOf(t, "one", "two", "three"),
		"no diff IDs":                "{}",
		"diff IDs that are none":     `{"rootfs":{"diff_ids":["x","sha256:../y"]}}`,
		"a config that is no object": "[]",
		"a config that is no JSON":   `{"rootfs":`,
		"a config of 5 MiB":          "{}" + strings.Repeat(" ", 5<<20),
	} {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			w := archive.NewWriter(&buf)
			good := put(t, w, "amd64", "good", "good:1")
			bad := putImage(t, w, "bad:1", config, "one", "two")
			must(t, w.Commit(t.Context()))

			bodies, _ := entries(t, buf.Bytes())
			var got []entry
			must(t, json.Unmarshal([]byte(bodies["manifest.json"]), &got))
			if want := []entry{entryOf(good, "good:1")}; !reflect.DeepEqual(got, want) {
				t.Errorf("manifest.json = %+v\nwant %+v", got, want)
			}
			a, err := archive.Read(t.Context(), &buf, archive.Options{TempDir: t.TempDir()})
			closed(t, a, err)
			for ref, want := range map[string]content.Manifest{"good:1": good, "bad:1": bad} {
				g, err := load(t, a, ref)
				if err != nil || g.Root != want.Digest() {
					t.Errorf("%s: %v", ref, err)
				}
			}
		})
	}
}

func TestABrokenImageLeavesTheOthersOfItsArchiveAlone(t *testing.T) {
	list := marshal(t, []map[string]any{
		{"Config": "bad.json", "RepoTags": []string{"bad:1"}, "Layers": []string{"1", "2"}},
		{"Config": "good.json", "RepoTags": []string{"good:1"}, "Layers": []string{"2"}},
	})
	for _, compress := range []archive.Compression{archive.None, archive.Gzip} {
		a := openTar(t, archive.Options{Compress: compress},
			file{name: "bad.json", body: configOf(t, "one")}, file{name: "good.json", body: configOf(t, "two")},
			file{name: "1", body: "one"}, file{name: "2", body: "two"}, file{name: "manifest.json", body: list})
		g, err := load(t, a, "good:1")
		must(t, err)
		if _, err := a.Manifest(t.Context(), string(g.Root)); err != nil {
			t.Errorf("the good image by digest: %v", err)
		}
		for _, ref := range []string{"bad:1", digest.FromString("which?").String()} {
			_, err := a.Manifest(t.Context(), ref)
			if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), `image "bad:1": config "bad.json" has 1 diff IDs for 2 layers`) {
				t.Errorf("%s: %v", ref, err)
			}
		}
		var roots []digest.Digest
		var broken error
		for d, err := range a.Roots(t.Context()) {
			broken = err
			roots = append(roots, d.Digest)
		}
		if !reflect.DeepEqual(roots, []digest.Digest{g.Root, ""}) || !errors.Is(broken, content.ErrInvalid) {
			t.Errorf("roots %q, %v", roots, broken)
		}
	}
}

// An index.json and a manifest.json that agree about an image may both be right
// although docker could not load it.
func TestALayoutWithAnImageThatDockerCannotLoadIsRead(t *testing.T) {
	config := configOf(t, "one")
	manifest := manifestOf(t, config, "one", "two")
	a := openTar(t, archive.Options{}, layoutMark, blob(config), blob("one"), blob("two"), blob(manifest),
		file{name: "config.json", body: config}, saved("config.json", []string{"bad:1"}, blobName("one"), blobName("two")),
		indexJSON(t, called(describe(ocispec.MediaTypeImageManifest, manifest), "docker.io/library/bad:1", "")))
	_, err := load(t, a, "bad:1")
	must(t, err)
}

// A blob that two images give two sizes made the archive of both unreadable.
func TestWhatGivesABlobAnotherSizeIsRefusedAlone(t *testing.T) {
	config := configOf(t, "layer")
	absent := describe(ocispec.MediaTypeImageManifest, "{}")
	tests := map[string]func(good content.Manifest) string{
		"a layer": func(content.Manifest) string {
			m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: describe(ocispec.MediaTypeImageConfig, config)}
			m.SchemaVersion, m.Layers = 2, []ocispec.Descriptor{larger(describe(ocispec.MediaTypeImageLayer, "a layer"))}
			return marshal(t, m)
		},
		"a config": func(content.Manifest) string {
			m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: larger(describe(ocispec.MediaTypeImageConfig, config))}
			m.SchemaVersion, m.Layers = 2, []ocispec.Descriptor{}
			return marshal(t, m)
		},
		"a child":                   func(good content.Manifest) string { return indexOf(t, larger(good.Descriptor())) },
		"a child that is not there": func(content.Manifest) string { return indexOf(t, larger(absent)) },
	}
	for name, bad := range tests {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			w := archive.NewWriter(&buf)
			putImage(t, w, "good:1", config, "layer")
			good := putImage(t, w, "good:2", configOf(t, "a layer"), "a layer")
			putManifest(t, w, indexOf(t, good.Descriptor(), absent), "good:3")
			m, err := content.ParseManifest("", []byte(bad(good)), content.Limits{})
			must(t, err)
			if err := w.PutManifest(t.Context(), m, "bad:1"); !errors.Is(err, content.ErrCorrupt) {
				t.Errorf("error = %v, want one of class %v", err, content.ErrCorrupt)
			}
			must(t, w.Commit(t.Context()))
			a, err := archive.Read(t.Context(), &buf, archive.Options{TempDir: t.TempDir()})
			closed(t, a, err)
			if got := tagsOf(t, a); !reflect.DeepEqual(got, []string{"good:1", "good:2", "good:3"}) {
				t.Errorf("the archive has %q", got)
			}
			_, err = load(t, a, "good:1")
			must(t, err)
		})
	}
}

// larger returns d with another size.
func larger(d ocispec.Descriptor) ocispec.Descriptor {
	d.Size += 5
	return d
}
