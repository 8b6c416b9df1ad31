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
func makeTar(tb testing.TB, files ...file) []byte {
	tb.Helper()
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
		must(tb, w.WriteHeader(&h))
		_, err := io.WriteString(w, f.body)
		must(tb, err)
	}
	must(tb, w.Close())
	return buf.Bytes()
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func marshal(tb testing.TB, v any) string {
	tb.Helper()
	raw, err := json.Marshal(v)
	must(tb, err)
	return string(raw)
}

// configOf returns the config of an image with the given raw layers.
func configOf(tb testing.TB, layers ...string) string {
	tb.Helper()
	img := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	img.RootFS.Type = "layers"
	img.RootFS.DiffIDs = []digest.Digest{}
	for _, l := range layers {
		img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, digest.FromString(l))
	}
	return marshal(tb, img)
}

// layerTar returns a layer with one file.
func layerTar(tb testing.TB, name, body string) string {
	tb.Helper()
	return string(makeTar(tb, file{name: name, body: body}))
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
func manifestOf(tb testing.TB, config string, layers ...string) string {
	tb.Helper()
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: describe(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{}}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, describe(ocispec.MediaTypeImageLayer, l))
	}
	return marshal(tb, m)
}

// indexOf returns an OCI index.
func indexOf(tb testing.TB, ds ...ocispec.Descriptor) string {
	tb.Helper()
	x := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: ds}
	x.SchemaVersion = 2
	return marshal(tb, x)
}

func indexJSON(tb testing.TB, ds ...ocispec.Descriptor) file {
	tb.Helper()
	return file{name: "index.json", body: indexOf(tb, ds...)}
}

// write puts raw into a file of its own.
func write(tb testing.TB, raw []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "in.tar")
	must(tb, os.WriteFile(path, raw, 0o600))
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
var packers = map[string]func(tb testing.TB, raw []byte) []byte{
	"plain": func(_ testing.TB, raw []byte) []byte { return raw },
	"gzip": func(tb testing.TB, raw []byte) []byte {
		tb.Helper()
		return pack(tb, raw, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	},
	"two gzip members": func(tb testing.TB, raw []byte) []byte {
		tb.Helper()
		half := len(raw) / 2
		maker := func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }
		return append(pack(tb, raw[:half], maker), pack(tb, raw[half:], maker)...)
	},
	"zstd": func(tb testing.TB, raw []byte) []byte {
		tb.Helper()
		return pack(tb, raw, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
	},
	"zstd after a skippable frame": func(tb testing.TB, raw []byte) []byte {
		tb.Helper()
		packed := pack(tb, raw, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
		return append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}, packed...)
	},
	"xz": func(tb testing.TB, raw []byte) []byte {
		tb.Helper()
		return pack(tb, raw, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
	},
	"xz of many blocks and two streams": func(tb testing.TB, raw []byte) []byte {
		tb.Helper()
		maker := func(w io.Writer) (io.WriteCloser, error) {
			return xz.WriterConfig{DictCap: 64 << 10, BlockSize: 4000}.NewWriter(w)
		}
		half := len(raw) / 2
		packed := append(pack(tb, raw[:half], maker), make([]byte, 8)...) // padding between streams
		return append(packed, pack(tb, raw[half:], maker)...)
	},
}

func pack(tb testing.TB, raw []byte, to func(w io.Writer) (io.WriteCloser, error)) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w, err := to(&buf)
	must(tb, err)
	_, err = w.Write(raw)
	must(tb, err)
	must(tb, w.Close())
	return buf.Bytes()
}

// load reads the whole image ref and verifies every blob of it.
func load(tb testing.TB, src content.Source, ref string) (*content.Graph, error) {
	tb.Helper()
	root, err := src.Manifest(tb.Context(), ref)
	if err != nil {
		return nil, err
	}
	g, err := content.Loader{}.Load(tb.Context(), src, root)
	if err != nil {
		return nil, err
	}
	for _, d := range g.Blobs() {
		if content.IsForeign(d.MediaType) {
			continue
		}
		if _, err := readAll(tb, src, d); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func readAll(tb testing.TB, src content.Source, d ocispec.Descriptor) ([]byte, error) {
	tb.Helper()
	rc, err := src.Open(tb.Context(), d, content.Range{})
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
func tagsOf(tb testing.TB, a *archive.Archive) []string {
	tb.Helper()
	var names []string
	for name, err := range a.Tags(tb.Context()) {
		must(tb, err)
		names = append(names, name)
	}
	return names
}

// move copies image ref of src into w as names.
func move(tb testing.TB, w content.Sink, src content.Source, ref string, names ...string) content.Manifest {
	tb.Helper()
	g, err := load(tb, src, ref)
	must(tb, err)
	for _, d := range g.Blobs() {
		_, err := w.PutBlob(tb.Context(), content.NewBlob(src, d))
		must(tb, err)
	}
	for _, d := range g.Order {
		if d != g.Root {
			must(tb, w.PutManifest(tb.Context(), g.Manifests[d]))
		}
	}
	root := g.Manifests[g.Root]
	must(tb, w.PutManifest(tb.Context(), root, names...))
	return root
}
