package archive_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
)

// source returns a place with the given blobs, for a sink to pull from.
func source(t *testing.T, blobs ...string) *content.Memory {
	t.Helper()
	src := &content.Memory{}
	for _, b := range blobs {
		_, err := src.PutBlob(t.Context(), contenttest.NewBlob("application/octet-stream", []byte(b)))
		must(t, err)
	}
	return src
}

// put stores an image with one layer in w and returns its manifest.
func put(t *testing.T, w content.Sink, arch, layer string, names ...string) content.Manifest {
	t.Helper()
	config := strings.Replace(configOf(t, layer), "amd64", arch, 1)
	for _, b := range []string{config, layer} {
		_, err := w.PutBlob(t.Context(), contenttest.NewBlob("application/octet-stream", []byte(b)))
		must(t, err)
	}
	return putManifest(t, w, manifestOf(t, config, layer), names...)
}

func putManifest(t *testing.T, w content.Sink, raw string, names ...string) content.Manifest {
	t.Helper()
	m, err := content.ParseManifest("", []byte(raw), content.Limits{})
	must(t, err)
	must(t, w.PutManifest(t.Context(), m, names...))
	return m
}

// entries reads a tar whole.
func entries(t *testing.T, raw []byte) (map[string]string, []*tar.Header) {
	t.Helper()
	bodies := map[string]string{}
	var headers []*tar.Header
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return bodies, headers
		}
		must(t, err)
		body, err := io.ReadAll(r)
		must(t, err)
		if _, twice := bodies[h.Name]; twice {
			t.Errorf("%s stands there twice", h.Name)
		}
		bodies[h.Name] = string(body)
		headers = append(headers, h)
	}
}

// An entry is one of manifest.json, as docker reads it.
type entry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func TestDockerFindsTheImagesItCanLoad(t *testing.T) {
	host := content.HostPlatform().Architecture
	var buf bytes.Buffer
	w := archive.NewWriter(&buf)
	named := put(t, w, "amd64", "named", "nginx:latest", "docker.io/library/nginx:latest", "localhost:5000/a/b:v1", "localhost/no-tag", "v1")
	short := put(t, w, "amd64", "short", "v2")
	rooted := put(t, w, "amd64", "rooted")
	must(t, w.PutManifest(t.Context(), rooted, rooted.Digest().String()))
	put(t, w, "amd64", "part of nothing")
	other, above, mine := put(t, w, "mips", "other"), put(t, w, host, "above"), put(t, w, host, "mine")
	newer := platform(above, host)
	newer.Platform.Variant = "v9"
	index := indexOf(t,
		platform(other, "mips"), newer, platform(mine, host),
		ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("not here"), Size: 8})
	putManifest(t, w, index, "example.test/multi:1")
	foreign := indexOf(t, platform(other, "mips"))
	putManifest(t, w, foreign, "example.test/foreign:1", "example.test/foreign@"+digest.FromString(foreign).String())
	artifact(t, w, ocispec.DescriptorEmptyJSON.MediaType, "{}", "example.test/artifact:1")
	artifact(t, w, ocispec.MediaTypeImageConfig, "{}", "example.test/app:sha256-"+strings.Repeat("0", 64)+".sig")
	must(t, w.Commit(t.Context()))

	bodies, _ := entries(t, buf.Bytes())
	var got []entry
	must(t, json.Unmarshal([]byte(bodies["manifest.json"]), &got))
	want := []entry{
		entryOf(other, "example.test/foreign:1"),
		entryOf(mine, "example.test/multi:1"),
		entryOf(named, "localhost/no-tag:latest", "localhost:5000/a/b:v1", "nginx:latest"),
		entryOf(short), entryOf(rooted),
	}
	slices.SortFunc(want[3:], func(x, y entry) int { return strings.Compare(x.Config, y.Config) })
	if !reflect.DeepEqual(got, want) {
		t.Errorf("manifest.json = %+v\nwant %+v", got, want)
	}
	for _, e := range got {
		for _, name := range append(e.Layers, e.Config) {
			if _, ok := bodies[name]; !ok {
				t.Errorf("%s is not in the archive", name)
			}
		}
	}
	var root ocispec.Index
	must(t, json.Unmarshal([]byte(bodies["index.json"]), &root))
	var names []string
	for _, d := range root.Manifests {
		names = append(names, d.Annotations[content.AnnotationContainerdName]+" "+d.Annotations[ocispec.AnnotationRefName])
	}
	wantNames := []string{
		"docker.io/library/nginx:latest docker.io/library/nginx:latest",
		"example.test/app:sha256-" + strings.Repeat("0", 64) + ".sig example.test/app:sha256-" + strings.Repeat("0", 64) + ".sig",
		"example.test/artifact:1 example.test/artifact:1",
		"example.test/foreign:1 example.test/foreign:1",
		"example.test/foreign@" + digest.FromString(foreign).String() + " example.test/foreign@" + digest.FromString(foreign).String(),
		"example.test/multi:1 example.test/multi:1",
		"localhost/no-tag:latest localhost/no-tag",
		"localhost:5000/a/b:v1 localhost:5000/a/b:v1",
		" v1", " v2", " ",
	}
	if !slices.Equal(names, wantNames) {
		t.Errorf("index.json names %q\nwant %q", names, wantNames)
	}
	a, err := archive.Read(t.Context(), &buf, archive.Options{TempDir: t.TempDir()})
	closed(t, a, err)
	if got := tagsOf(t, a); len(got) != 10 || got[0] != "docker.io/library/nginx:latest" || got[6] != "localhost/no-tag" {
		t.Errorf("Tags = %q", got)
	}
}

func platform(m content.Manifest, arch string) ocispec.Descriptor {
	d := m.Descriptor()
	d.ArtifactType = ""
	d.Platform = &ocispec.Platform{OS: content.HostPlatform().OS, Architecture: arch}
	return d
}

func entryOf(m content.Manifest, tags ...string) entry {
	c, _ := m.Config()
	e := entry{Config: "blobs/sha256/" + c.Digest.Encoded(), RepoTags: tags, Layers: []string{}}
	for _, d := range m.Layers() {
		e.Layers = append(e.Layers, "blobs/sha256/"+d.Digest.Encoded())
	}
	return e
}

// artifact stores what docker cannot load.
func artifact(t *testing.T, w content.Sink, configType, layer, name string) {
	t.Helper()
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: describe(configType, "{}"), Layers: []ocispec.Descriptor{describe("application/vnd.example.signature", layer)}}
	m.SchemaVersion = 2
	_, err := w.PutBlob(t.Context(), contenttest.NewBlob("application/octet-stream", []byte("{}")))
	must(t, err)
	putManifest(t, w, marshal(t, m), name)
}

func TestTheSameContentGivesTheSameBytes(t *testing.T) {
	archiveOf := func(names ...string) []byte {
		var buf bytes.Buffer
		w := archive.NewWriter(&buf)
		one, two := put(t, w, "amd64", "one"), put(t, w, "arm64", "two")
		for _, name := range names {
			m := one
			if strings.HasPrefix(name, "b") {
				m = two
			}
			must(t, w.PutManifest(t.Context(), m, name))
		}
		must(t, w.Commit(t.Context()))
		return buf.Bytes()
	}
	want := archiveOf("a:1", "a:2", "b:1", "b")
	for _, names := range [][]string{{"a:1", "a:2", "b:1", "b"}, {"b", "b:1", "a:2", "a:1"}, {"a:2", "b:1", "b", "a:1", "a:1"}} {
		if !bytes.Equal(archiveOf(names...), want) {
			t.Errorf("named in the order %q the bytes differ", names)
		}
	}
	path := filepath.Join(t.TempDir(), "out.tar")
	w := create(t, path)
	put(t, w, "amd64", "one", "a:1", "a:2")
	put(t, w, "arm64", "two", "b", "b:1")
	must(t, w.Commit(t.Context()))
	if got, err := os.ReadFile(path); err != nil || len(got) != len(want) {
		t.Errorf("the file has %d bytes, the stream %d (%v)", len(got), len(want), err)
	}
	_, headers := entries(t, want)
	for _, h := range headers {
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 0 || h.Format == tar.FormatPAX || h.Mode&^0o755 != 0 {
			t.Errorf("header of %s: %+v", h.Name, h)
		}
	}
}

func TestWhatIsNotCommittedLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.tar")
	w := create(t, path)
	put(t, w, "amd64", "one", "a:1")
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there before Commit")
	}
	must(t, w.Close())
	if left := beside(t, path); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := w.Commit(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Commit after Close = %v", err)
	}
}

func TestAFileIsReplacedAtOnce(t *testing.T) {
	dir := t.TempDir()
	path, at := filepath.Join(dir, "out.tar"), filepath.Join(dir, "link")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	must(t, os.Symlink("out.tar", at))
	w := create(t, at)
	put(t, w, "amd64", "one", "a:1")
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "old" {
		t.Errorf("before Commit it is %q, %v", raw, err)
	}
	must(t, w.Commit(t.Context()))
	a, err := archive.Open(t.Context(), path, archive.Options{})
	closed(t, a, err)
	if got := tagsOf(t, a); !slices.Equal(got, []string{"a:1"}) {
		t.Errorf("Tags = %q", got)
	}
	if info, err := os.Lstat(at); err != nil || info.Mode().IsRegular() {
		t.Errorf("the link was replaced (%v)", err)
	}
	if _, err := archive.Create(dir); !errors.Is(err, content.ErrConflict) {
		t.Errorf("Create of a folder = %v", err)
	}
	if _, err := archive.Create(filepath.Join(dir, "no", "out.tar")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Create in no folder = %v", err)
	}
}

func TestOnAPipeABrokenBlobIsTheEnd(t *testing.T) {
	w := archive.NewWriter(io.Discard)
	d := describe("application/octet-stream", "right")
	bad := &contenttest.Blob{Desc: d, Data: []byte("wrong")}
	if _, err := w.PutBlob(t.Context(), bad); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("PutBlob = %v, want corrupt content", err)
	}
	if _, err := w.PutBlob(t.Context(), content.NewBlob(source(t, "right"), d)); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("second PutBlob = %v, want what broke the archive", err)
	}
	if err := w.Commit(t.Context()); err == nil {
		t.Error("Commit works")
	}
	must(t, w.Close())
}

func TestABlobThatIsMissingAtTheSourceSpoilsNothing(t *testing.T) {
	var buf bytes.Buffer
	w := archive.NewWriter(&buf)
	d := describe("application/octet-stream", "gone")
	if _, err := w.PutBlob(t.Context(), content.NewBlob(source(t), d)); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("PutBlob = %v, want not found", err)
	}
	put(t, w, "amd64", "one", "a:1")
	must(t, w.Commit(t.Context()))
	entries(t, buf.Bytes())
}

type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, &os.PathError{Op: "write", Path: "out.tar", Err: syscall.ENOSPC}
	}
	return len(p), nil
}

func TestAFullDiskHasItsClass(t *testing.T) {
	for room := 0; ; room += 512 {
		w := archive.NewWriter(&full{room})
		_, err := w.PutBlob(t.Context(), contenttest.NewBlob("application/octet-stream", []byte("one")))
		if err == nil {
			err = w.Commit(t.Context())
		}
		if err == nil {
			return
		}
		if !errors.Is(err, content.ErrNoSpace) {
			t.Fatalf("with room for %d bytes: %v, want no space left", room, err)
		}
	}
}

func TestNamesThatCannotBeNamesAreRefused(t *testing.T) {
	w := archive.NewWriter(io.Discard)
	m := put(t, w, "amd64", "one")
	for _, name := range []string{"", "a\nb", "a\x1b[31m", "\xff", strings.Repeat("a", 5000)} {
		if err := w.PutManifest(t.Context(), m, name); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("PutManifest(%q) = %v, want invalid content", name, err)
		}
	}
}

// What a manifest says of itself in annotations named it in index.json.
func TestAnnotationsOfAReferrerNameNothing(t *testing.T) {
	var buf bytes.Buffer
	w := archive.NewWriter(&buf)
	image := put(t, w, "amd64", "image", "image:1")
	to := image.Descriptor()
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example", Config: describe(ocispec.MediaTypeEmptyJSON, "{}"), Layers: []ocispec.Descriptor{}, Subject: &to}
	m.SchemaVersion = 2
	m.Annotations = map[string]string{ocispec.AnnotationRefName: "docker.io/library/image:2", content.AnnotationContainerdName: "docker.io/library/image:3", "sbom": strings.Repeat("x", 1<<20)}
	_, err := w.PutBlob(t.Context(), contenttest.NewBlob(ocispec.MediaTypeEmptyJSON, []byte("{}")))
	must(t, err)
	referrer := putManifest(t, w, marshal(t, m))
	must(t, w.Commit(t.Context()))
	a, err := archive.Read(t.Context(), &buf, archive.Options{TempDir: t.TempDir()})
	closed(t, a, err)
	if got := tagsOf(t, a); !slices.Equal(got, []string{"image:1"}) {
		t.Errorf("the names are %q", got)
	}
	for d, err := range a.Referrers(t.Context(), image.Digest(), "") {
		if err != nil || d.Digest != referrer.Digest() || d.Annotations["sbom"] == "" {
			t.Errorf("a referrer %s with %d annotations, %v", d.Digest, len(d.Annotations), err)
		}
	}
}
