package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ulikunitz/xz"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

func xzipped(w io.Writer) io.WriteCloser {
	z, err := xz.NewWriter(w)
	must(err)
	return z
}

func bzipped(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "rootfs.tar.bz2"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestImportMakesTheSameImageHoweverTheTarIsCompressed(t *testing.T) {
	raw := tarOf(folder("etc"), file("etc/os-release", "ID=example\n"))
	o := image.ImportOptions{Platform: content.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, Created: time.Unix(1e9, 0), TempDir: t.TempDir()}
	var first content.Manifest
	for name, in := range map[string][]byte{
		"plain": raw, "gzip": packed(gzipped, raw), "zstd": packed(zstandard, raw), "xz": packed(xzipped, raw), "bzip2": bzipped(t),
	} {
		t.Run(name, func(t *testing.T) {
			m := importAs(t, in, o)
			if first.IsZero() {
				first = m
			}
			if m.Digest() != first.Digest() {
				t.Errorf("digest %s, want %s", m.Digest(), first.Digest())
			}
		})
	}
	left, err := os.ReadDir(o.TempDir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// importAs imports in under a name, and finds what it has there again.
func importAs(t *testing.T, in []byte, o image.ImportOptions) content.Manifest {
	t.Helper()
	var place content.Memory
	m, err := image.Import(t.Context(), iotest.OneByteReader(bytes.NewReader(in)), &place, o, "rootfs")
	if err != nil {
		t.Fatal(err)
	}
	named, err := place.Manifest(t.Context(), "rootfs")
	if err != nil || named.Digest() != m.Digest() {
		t.Errorf("under its name there is %s, %v", named.Digest(), err)
	}
	var out bytes.Buffer
	if err := image.Export(t.Context(), &out, &place, m, image.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	if f := readExport(t, out.Bytes())["etc/os-release"]; f == nil || f.body != "ID=example\n" {
		t.Errorf("got %+v", f)
	}
	return m
}

func TestImportWritesWhatDockerReads(t *testing.T) {
	var place content.Memory
	o := image.ImportOptions{
		Platform: content.Platform{OS: "linux", Architecture: "amd64"},
		Created:  time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC),
		Message:  "from a build",
		Config: dockerspec.DockerOCIImageConfig{
			ImageConfig:             ocispec.ImageConfig{Cmd: []string{"sh"}},
			DockerOCIImageConfigExt: dockerspec.DockerOCIImageConfigExt{OnBuild: []string{"RUN x"}},
		},
	}
	m, err := image.Import(t.Context(), bytes.NewReader(tarOf()), &place, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := place.Manifest(t.Context(), m.Digest().String()); err != nil {
		t.Errorf("without a name: %v", err)
	}
	raw, err := content.ReadConfig(t.Context(), &place, m, content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"created": "2024-05-06T07:08:09Z", "architecture": "amd64", "os": "linux",
		"config":  map[string]any{"Cmd": []any{"sh"}, "OnBuild": []any{"RUN x"}},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []any{"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"}},
		"history": []any{map[string]any{"created": "2024-05-06T07:08:09Z", "comment": "from a build"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if m.MediaType() != ocispec.MediaTypeImageManifest || len(m.Layers()) != 1 || m.Layers()[0].MediaType != ocispec.MediaTypeImageLayerGzip {
		t.Errorf("manifest %s", m.Raw())
	}
}

func TestImportRefusesWhatIsNoRootFileSystem(t *testing.T) {
	raw := tarOf(file("f", "f"))
	broken := errors.New("the pipe broke")
	tests := []struct {
		name string
		in   io.Reader
		want error
	}{
		{"nothing", bytes.NewReader(nil), content.ErrInvalid},
		{"text", bytes.NewReader(bytes.Repeat([]byte("text "), 200)), content.ErrInvalid},
		{"a short text", bytes.NewReader([]byte("<html>")), content.ErrInvalid},
		{"compressed text", bytes.NewReader(packed(gzipped, []byte("text"))), content.ErrInvalid},
		{"a tar that is cut off", bytes.NewReader(raw[:700]), content.ErrInvalid},
		{"gzip that is cut off", bytes.NewReader(packed(gzipped, raw)[:60]), content.ErrCorrupt},
		{"an entry that leads out", bytes.NewReader(tarOf(file("../f", ""))), content.ErrInvalid},
		{"a pipe that breaks", io.MultiReader(bytes.NewReader(raw[:700]), iotest.ErrReader(broken)), broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var place content.Memory
			if _, err := image.Import(t.Context(), tt.in, &place, image.ImportOptions{TempDir: t.TempDir()}); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	gone := errors.New("nobody waits")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := image.Import(ctx, bytes.NewReader(raw), &content.Memory{}, image.ImportOptions{}); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

// shelfless is a place that takes no manifest.
type shelfless struct{ *content.Memory }

func (shelfless) PutManifest(context.Context, content.Manifest, ...string) error { return errFull }

func TestImportTellsWhatThePlaceRefuses(t *testing.T) {
	_, err := image.Import(t.Context(), bytes.NewReader(tarOf()), shelfless{&content.Memory{}}, image.ImportOptions{TempDir: t.TempDir()})
	if !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}
