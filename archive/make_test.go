package archive_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ulikunitz/xz"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
)

// A file is an entry of a tar that a test makes.
type file struct {
	name string
	body string
	head tar.Header // what differs from a regular file
}

func link(name, to string) file {
	return file{name: name, head: tar.Header{Typeflag: tar.TypeSymlink, Linkname: to}}
}

func hardlink(name, to string) file {
	return file{name: name, head: tar.Header{Typeflag: tar.TypeLink, Linkname: to}}
}

// blob is the file of a blob in a layout.
func blob(body string) file { return file{name: blobName(body), body: body} }

func blobName(body string) string {
	return "blobs/sha256/" + digest.FromString(body).Encoded()
}

// makeTar returns a whole tar.
func makeTar(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := f.head
		if h.Typeflag != tar.TypeXGlobalHeader {
			h.Name, h.Mode = f.name, 0o644
		}
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(f.body))
		}
		must(t, w.WriteHeader(&h))
		_, err := io.WriteString(w, f.body)
		must(t, err)
	}
	must(t, w.Close())
	return buf.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	must(t, err)
	return string(raw)
}

// configOf returns the config of an image with the given raw layers.
func configOf(t testing.TB, layers ...string) string {
	t.Helper()
	img := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	img.RootFS.Type = "layers"
	img.RootFS.DiffIDs = []digest.Digest{}
	for _, l := range layers {
		img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, digest.FromString(l))
	}
	return marshal(t, img)
}

// layerTar returns a layer with one file.
func layerTar(t testing.TB, name, body string) string {
	t.Helper()
	return string(makeTar(t, file{name: name, body: body}))
}

// saved returns manifest.json for one image.
func saved(config string, tags []string, layers ...string) file {
	raw, _ := json.Marshal([]map[string]any{{"Config": config, "RepoTags": tags, "Layers": layers}}) //nolint:errchkjson // strings only
	return file{name: "manifest.json", body: string(raw)}
}

var layoutMark = file{name: "oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`}

// describe returns the descriptor of body.
func describe(mediaType, body string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(body), Size: int64(len(body))}
}

// called returns d with the annotations that name it.
func called(d ocispec.Descriptor, full, ref string) ocispec.Descriptor {
	d.Annotations = map[string]string{}
	if full != "" {
		d.Annotations[content.AnnotationContainerdName] = full
	}
	if ref != "" {
		d.Annotations[ocispec.AnnotationRefName] = ref
	}
	return d
}

// manifestOf returns an OCI image manifest.
func manifestOf(t testing.TB, config string, layers ...string) string {
	t.Helper()
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: describe(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{}}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, describe(ocispec.MediaTypeImageLayer, l))
	}
	return marshal(t, m)
}

// indexOf returns an OCI index.
func indexOf(t testing.TB, ds ...ocispec.Descriptor) string {
	t.Helper()
	x := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: ds}
	x.SchemaVersion = 2
	return marshal(t, x)
}

func indexJSON(t testing.TB, ds ...ocispec.Descriptor) file {
	t.Helper()
	return file{name: "index.json", body: indexOf(t, ds...)}
}

// write puts raw into a file of its own.
func write(t testing.TB, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.tar")
	must(t, os.WriteFile(path, raw, 0o600))
	return path
}

// openTar opens an archive that must be a good one.
func openTar(t *testing.T, o archive.Options, files ...file) *archive.Archive {
	t.Helper()
	if o.TempDir == "" {
		o.TempDir = t.TempDir()
	}
	a, err := archive.Open(t.Context(), write(t, makeTar(t, files...)), o)
	return closed(t, a, err)
}

// packers compress a whole file. bzip2 has no Go writer.
var packers = map[string]func(t testing.TB, raw []byte) []byte{
	"plain": func(_ testing.TB, raw []byte) []byte { return raw },
	"gzip": func(t testing.TB, raw []byte) []byte {
		t.Helper()
		return pack(t, raw, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	},
	"two gzip members": func(t testing.TB, raw []byte) []byte {
		t.Helper()
		half := len(raw) / 2
		maker := func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }
		return append(pack(t, raw[:half], maker), pack(t, raw[half:], maker)...)
	},
	"zstd": func(t testing.TB, raw []byte) []byte {
		t.Helper()
		return pack(t, raw, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
	},
	"zstd after a skippable frame": func(t testing.TB, raw []byte) []byte {
		t.Helper()
		packed := pack(t, raw, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
		return append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}, packed...)
	},
	"xz": func(t testing.TB, raw []byte) []byte {
		t.Helper()
		return pack(t, raw, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
	},
	"xz of many blocks and two streams": func(t testing.TB, raw []byte) []byte {
		t.Helper()
		maker := func(w io.Writer) (io.WriteCloser, error) { return xz.WriterConfig{BlockSize: 4000}.NewWriter(w) }
		half := len(raw) / 2
		packed := append(pack(t, raw[:half], maker), make([]byte, 8)...) // padding between streams
		return append(packed, pack(t, raw[half:], maker)...)
	},
}

func pack(t testing.TB, raw []byte, to func(w io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := to(&buf)
	must(t, err)
	_, err = w.Write(raw)
	must(t, err)
	must(t, w.Close())
	return buf.Bytes()
}

// load reads the whole image ref and verifies every blob of it.
func load(t testing.TB, src content.Source, ref string) (*content.Graph, error) {
	t.Helper()
	root, err := src.Manifest(t.Context(), ref)
	if err != nil {
		return nil, err
	}
	g, err := content.Loader{}.Load(t.Context(), src, root)
	if err != nil {
		return nil, err
	}
	for _, d := range g.Blobs() {
		if content.IsForeign(d.MediaType) {
			continue
		}
		if _, err := readAll(t, src, d); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func readAll(t testing.TB, src content.Source, d ocispec.Descriptor) ([]byte, error) {
	t.Helper()
	rc, err := src.Open(t.Context(), d, content.Range{})
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	r, err := content.VerifyReader(rc, d)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// tagsOf lists the names in a.
func tagsOf(t testing.TB, a *archive.Archive) []string {
	t.Helper()
	var names []string
	for name, err := range a.Tags(t.Context()) {
		must(t, err)
		names = append(names, name)
	}
	return names
}

// move copies image ref of src into w as names.
func move(t testing.TB, w content.Sink, src content.Source, ref string, names ...string) content.Manifest {
	t.Helper()
	g, err := load(t, src, ref)
	must(t, err)
	for _, d := range g.Blobs() {
		_, err := w.PutBlob(t.Context(), content.NewBlob(src, d))
		must(t, err)
	}
	for _, d := range g.Order {
		if d != g.Root {
			must(t, w.PutManifest(t.Context(), g.Manifests[d]))
		}
	}
	root := g.Manifests[g.Root]
	must(t, w.PutManifest(t.Context(), root, names...))
	return root
}
