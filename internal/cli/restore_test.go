package cli

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

// A forged backup is a tar whose files anybody can have made.
type forged struct {
	manifest, layer, config string
	index, description      string
	base                    digest.Digest
	blobs                   []string // of the description
	extra                   string   // the name of another entry
}

func blobLine(d digest.Digest, size int) string {
	return fmt.Sprintf(`{"digest":%q,"size":%d}`, d, size)
}

func lineOf(text string) string { return blobLine(digest.FromString(text), len(text)) }

// newForged returns a backup of one image that is right.
func newForged() *forged {
	b := &forged{layer: "a layer", config: "{}"}
	b.manifest = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, digest.FromString(b.config), len(b.config),
		ocispec.MediaTypeImageLayer, digest.FromString(b.layer), len(b.layer))
	b.index = b.indexOf("docker.io/library/app:1", len(b.manifest))
	return b
}

func (b *forged) indexOf(name string, size int) string {
	return fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":{%q:%q}}]}`,
		ocispec.MediaTypeImageManifest, digest.FromString(b.manifest), size, content.AnnotationContainerdName, name)
}

// lines returns the list of blobs as it should be.
func (b *forged) lines() []string {
	all := []string{lineOf(b.manifest), lineOf(b.layer), lineOf(b.config)}
	slices.Sort(all)
	return all
}

func (b *forged) write(t *testing.T, path string) {
	t.Helper()
	if b.blobs == nil {
		b.blobs = b.lines()
	}
	if b.description == "" {
		base := ""
		if b.base != "" {
			base = fmt.Sprintf(`"base":%q,`, b.base)
		}
		b.description = fmt.Sprintf(`{"format":1,%s"index":%q,"blobs":[%s]}`, base, digest.FromString(b.index), strings.Join(b.blobs, ","))
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	entry := func(name, body string) {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	entry("oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	for _, blob := range []string{b.manifest, b.config, b.layer} {
		entry("blobs/sha256/"+digest.FromString(blob).Encoded(), blob)
	}
	if b.extra != "" {
		entry(b.extra, "other bytes")
	}
	entry(".wherry/backup.json", b.description)
	entry("index.json", b.index)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestABackupThatAnybodyMadeRestoresWhatItSaysOrNothing(t *testing.T) {
	manifest := digest.FromString(newForged().manifest)
	tests := []struct {
		name  string
		forge func(b *forged)
		code  int
		want  string // on standard error
	}{
		{"one that is right", func(*forged) {}, 0, ""},
		{"a name that looks like a path", func(b *forged) { b.index = b.indexOf("../../../outside", len(b.manifest)) }, 0, ""},
		{"a name with a control character", func(b *forged) { b.index = b.indexOf("a\tb", len(b.manifest)) }, 6, "invalid"},
		{"an entry that leads out", func(b *forged) { b.extra = "../outside" }, 6, "leads out of the archive"},
		{"another size in index.json", func(b *forged) { b.index = b.indexOf("app:1", len(b.manifest)+1) }, 6, manifest.String()},
		{"another size in the list", func(b *forged) {
			b.blobs = []string{blobLine(digest.FromString(b.layer), 1)}
		}, 6, digest.FromString("a layer").String()},
		{"a size below nothing", func(b *forged) { b.blobs = []string{blobLine(manifest, -1)} }, 6, "-1 bytes"},
		{"a digest twice", func(b *forged) { b.blobs = []string{lineOf(b.layer), lineOf(b.layer)} }, 6, "stands behind"},
		{"a digest that is a path", func(b *forged) { b.blobs = []string{blobLine("sha256:../../../outside", 1)} }, 6, "digest"},
		{"a blob that is nowhere", func(b *forged) { b.blobs = []string{lineOf("nothing")} }, 6, "1 blobs are neither"},
		{"a blob twice, with other bytes", func(b *forged) {
			b.extra = "blobs/sha256/" + digest.FromString(b.layer).Encoded()
		}, 6, digest.FromString("a layer").String()},
		{"a base that nobody has", func(b *forged) {
			b.base, b.blobs = digest.FromString("base"), []string{lineOf("nothing")}
		}, 6, "builds on backup " + digest.FromString("base").String()},
		{"another index.json than it says", func(b *forged) {
			b.description = fmt.Sprintf(`{"format":1,"index":%q,"blobs":[]}`, manifest)
		}, 6, "index.json"},
		{"a later format", func(b *forged) { b.description = `{"format":2}` }, 6, "format 2"},
		{"bytes behind the description", func(b *forged) {
			b.description = fmt.Sprintf(`{"format":1,"index":%q}{}`, digest.FromString(b.index))
		}, 6, "after its end"},
		{"no JSON", func(b *forged) { b.description = "no" }, 6, "backup.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := t.TempDir()
			store, file := filepath.Join(at, "below", "store"), filepath.Join(at, "below", "x.tar")
			if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			b := newForged()
			tt.forge(b)
			b.write(t, file)
			got := run(t, "--store", store, "restore", file)
			if got.code != tt.code || !strings.Contains(got.errors, tt.want) {
				t.Errorf("exit code %d, want %d\n%s", got.code, tt.code, got.errors)
			}
			if names := said(t, store); (len(names) == 1) != (tt.code == 0) {
				t.Errorf("the store has %q", names)
			}
			if outside, err := filepath.Glob(filepath.Join(at, "*")); err != nil || len(outside) != 1 {
				t.Errorf("there is %q, %v", outside, err)
			}
		})
	}
}

func TestAFullDiskIsToldOnceForAllImages(t *testing.T) {
	full := fmt.Errorf("the disk of /store has 1kB free, and 2kB more are needed: %w", content.ErrNoSpace)
	failed := func(name string, err error) *transfer.ImageResult {
		return &transfer.ImageResult{Name: name, Targets: []*transfer.TargetResult{{Name: "the store", Err: err}}}
	}
	tests := []struct {
		name   string
		images []*transfer.ImageResult
		want   []string // lines
	}{
		{"all went well", []*transfer.ImageResult{failed("a", nil), failed("b", nil)}, nil},
		{"one", []*transfer.ImageResult{failed("a", full), failed("b", nil)}, []string{"a to the store: " + full.Error()}},
		{"several", []*transfer.ImageResult{failed("a", nil), failed("b", full), failed("c", full)}, []string{"2 of 3 images: " + full.Error()}},
		{
			"several, and something else",
			[]*transfer.ImageResult{failed("a", full), failed("b", content.ErrCorrupt), failed("c", full)},
			[]string{"2 of 3 images: " + full.Error(), "b to the store: " + content.ErrCorrupt.Error()},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := failedAsOne(&transfer.Result{Images: tt.images})
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if !slices.Equal(got, tt.want) || err != nil && codeOf(t.Context(), err) != exitNoSpace {
				t.Errorf("got %q with exit code %d, want %q", got, codeOf(t.Context(), err), tt.want)
			}
		})
	}
}

// Images are named in one step: until then none is done, and when something is wrong with one, no other is.
func TestAFailedRestoreCallsNoImageDone(t *testing.T) {
	at := t.TempDir()
	file, folder := filepath.Join(at, "x.tar"), filepath.Join(at, "folder")
	b := newForged()
	b.write(t, file)
	if got := run(t, "--store", folder, "restore", file); got.code != exitDone || strings.Contains(got.errors, ": done") {
		t.Fatalf("exit code %d\n%s", got.code, got.errors)
	}
	other := newForged()
	other.layer = "another layer"
	other.manifest = strings.ReplaceAll(other.manifest, string(digest.FromString("a layer")), string(digest.FromString(other.layer)))
	other.manifest = strings.ReplaceAll(other.manifest, `"size":7`, fmt.Sprintf(`"size":%d`, len(other.layer)))
	other.index = other.indexOf("docker.io/library/other:1", len(other.manifest))
	other.write(t, file)
	if got := run(t, "--store", folder, "restore", file); got.code != exitDone {
		t.Fatalf("exit code %d\n%s", got.code, got.errors)
	}
	damaged := filepath.Join(folder, "blobs", "sha256", digest.FromString(other.layer).Encoded())
	if err := os.WriteFile(damaged, []byte("ANOTHER LAYER"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := run(t, "--store", filepath.Join(at, "store"), "restore", "--progress", "plain", folder)
	if got.code != exitRefused || strings.Contains(got.errors, ": done") || !strings.Contains(got.errors, "other:1") {
		t.Errorf("exit code %d, want %d without anything done\n%s", got.code, exitRefused, got.errors)
	}
}
