package archive_test

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
)

func gz(tb testing.TB, s string) string {
	tb.Helper()
	return string(pack(tb, []byte(s), func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }))
}

func TestDockerArchivesOfAllKindsAreRead(t *testing.T) {
	one, two := layerTar(t, "one", "1"), layerTar(t, "two", "2")
	tests := []struct {
		name   string
		files  []file
		o      archive.Options
		layers []string // as they must come out
		types  []string
	}{
		{
			name:   "with a layer that is a symlink to another image's",
			files:  []file{{name: "c.json", body: configOf(t, one, two)}, {name: "a/layer.tar", body: one}, {name: "b/layer.tar", body: two}, link("d/layer.tar", "../a/layer.tar"), saved("c.json", nil, "d/layer.tar", "b/layer.tar")},
			layers: []string{one, two}, types: raw(2),
		},
		{
			name:   "with links to links and hard links",
			files:  []file{{name: "c.json", body: configOf(t, one)}, {name: "a/layer.tar", body: one}, link("b", "/c"), hardlink("c", "a/layer.tar"), saved("c.json", nil, "b")},
			layers: []string{one}, types: raw(1),
		},
		{
			name:   "with a layer listed twice",
			files:  []file{{name: "c.json", body: configOf(t, one, two, one)}, {name: "1", body: one}, {name: "2", body: two}, saved("c.json", nil, "1", "2", "1")},
			layers: []string{one, two, one}, types: raw(3),
		},
		{
			name:  "without layers",
			files: []file{{name: "c.json", body: configOf(t)}, saved("c.json", nil)},
		},
		{
			name:   "with an empty layer",
			files:  []file{{name: "c.json", body: configOf(t, "")}, {name: "1"}, saved("c.json", nil, "1")},
			layers: []string{""}, types: raw(1),
		},
		{
			name:   "with an empty layer that is compressed",
			files:  []file{{name: "c.json", body: configOf(t, "")}, {name: "1"}, saved("c.json", nil, "1")},
			o:      archive.Options{Compress: archive.Gzip},
			layers: []string{gz(t, "")}, types: []string{ocispec.MediaTypeImageLayerGzip},
		},
		{
			name:   "with gzip layers, which stay as they are",
			files:  []file{{name: "c.json", body: configOf(t, one)}, {name: "1.tar.gz", body: gz(t, one)}, saved("c.json", nil, "1.tar.gz")},
			o:      archive.Options{Compress: archive.Zstd},
			layers: []string{gz(t, one)}, types: []string{ocispec.MediaTypeImageLayerGzip},
		},
		{
			name:   "with an xz layer, which registries do not know",
			files:  []file{{name: "c.json", body: configOf(t, one)}, {name: "1", body: string(packers["xz"](t, []byte(one)))}, saved("c.json", nil, "1")},
			layers: []string{one}, types: raw(1),
		},
		{
			name:   "with names that begin with ./",
			files:  []file{{name: "./c.json", body: configOf(t, one)}, {name: "./1", body: one}, {name: "./manifest.json", body: saved("c.json", nil, "./1").body}},
			layers: []string{one}, types: raw(1),
		},
		{
			name:   "with a layer that stands there twice",
			files:  []file{{name: "c.json", body: configOf(t, one)}, {name: "1", body: one}, {name: "1", body: one}, {name: "c.json", body: configOf(t, one)}, saved("c.json", nil, "1")},
			layers: []string{one}, types: raw(1),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := openTar(t, tt.o, tt.files...)
			g, err := load(t, a, "")
			must(t, err)
			m := g.Manifests[g.Root]
			if got := mediaTypes(m); !slices.Equal(got, tt.types) {
				t.Errorf("layers are %q, want %q", got, tt.types)
			}
			for i, d := range m.Layers() {
				if got, err := readAll(t, a, d); err != nil || string(got) != tt.layers[i] {
					t.Errorf("layer %d has other bytes (%v)", i, err)
				}
			}
		})
	}
}

func TestLayersThatAreNotThoseOfTheConfigAreCorrupt(t *testing.T) {
	one, two := layerTar(t, "one", "1"), layerTar(t, "two", "2")
	for _, c := range []archive.Compression{archive.None, archive.Gzip, archive.Zstd} {
		a := openTar(t, archive.Options{Compress: c}, file{name: "c", body: configOf(t, one)}, file{name: "1", body: two}, saved("c", nil, "1"))
		if _, err := load(t, a, ""); !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("compression %d: %v, want corrupt content", c, err)
		}
	}
}

func TestForeignLayersNeedNotBeInTheFile(t *testing.T) {
	one := layerTar(t, "one", "1")
	id := digest.FromString(one).String()
	foreign := ocispec.Descriptor{MediaType: content.DockerForeignLayer, Digest: digest.FromString("elsewhere"), Size: 9, URLs: []string{"https://example.test/layer"}}
	entry := marshal(t, []map[string]any{{"Config": "c", "Layers": []string{"gone"}, "LayerSources": map[string]any{id: foreign}}})
	a := openTar(t, archive.Options{}, file{name: "c", body: configOf(t, one)}, file{name: "manifest.json", body: entry})
	g, err := load(t, a, "")
	must(t, err)
	layers := g.Manifests[g.Root].Layers()
	if len(layers) != 1 || layers[0].Digest != foreign.Digest || len(layers[0].URLs) != 1 {
		t.Errorf("layers = %+v", layers)
	}
}

func TestIndexAndManifestMustAgree(t *testing.T) {
	one, two := layerTar(t, "one", "1"), layerTar(t, "two", "2")
	c1, c2 := configOf(t, one), configOf(t, two)
	m1, m2 := manifestOf(t, c1, one), manifestOf(t, c2, two)
	d1, d2 := describe(ocispec.MediaTypeImageManifest, m1), describe(ocispec.MediaTypeImageManifest, m2)
	both := []file{layoutMark, blob(one), blob(two), blob(c1), blob(c2), blob(m1), blob(m2)}
	tests := []struct {
		name  string
		files []file
		want  error
		root  string // of the only image, or of "a"
	}{
		{"both name the same", []file{indexJSON(t, called(d1, "docker.io/library/a:latest", "latest")), saved(blobName(c1), []string{"a:latest"}, blobName(one))}, nil, m1},
		{"an empty index leaves it to manifest.json", []file{{name: "index.json", body: `{"schemaVersion":2,"manifests":null}`}, saved(blobName(c1), []string{"a"}, blobName(one))}, nil, ""},
		{"manifest.json knows fewer", []file{indexJSON(t, called(d1, "", "a"), called(d2, "", "b")), saved(blobName(c1), []string{"a:latest"}, blobName(one))}, nil, m1},
		{"manifest.json has one of an index's images", []file{
			blob(indexOf(t, d2, d1)),
			indexJSON(t, called(describe(ocispec.MediaTypeImageIndex, indexOf(t, d2, d1)), "", "a:latest")), saved(blobName(c1), []string{"a:latest"}, blobName(one)),
		}, nil, indexOf(t, d2, d1)},
		{"one name, two images", []file{indexJSON(t, called(d1, "", "a:latest"), called(d2, "", "b:latest")), saved(blobName(c2), []string{"a:latest"}, blobName(two))}, content.ErrInvalid, ""},
		{"manifest.json names what the index does not", []file{indexJSON(t, called(d1, "", "a")), saved(blobName(c2), []string{"b:latest"}, blobName(two))}, content.ErrInvalid, ""},
		{"a config is not what its path says", []file{indexJSON(t, called(d1, "", "a")), {name: "blobs/sha256/" + strings.Repeat("0", 64), body: c2}, saved("blobs/sha256/"+strings.Repeat("0", 64), nil, blobName(two))}, content.ErrCorrupt, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := archive.Open(t.Context(), write(t, makeTar(t, append(slices.Clone(both), tt.files...)...)), archive.Options{})
			if tt.want != nil {
				if !errors.Is(err, tt.want) {
					t.Errorf("error = %v, want %v", err, tt.want)
				}
				return
			}
			closed(t, a, err)
			m, err := a.Manifest(t.Context(), "a")
			must(t, err)
			if tt.root != "" && string(m.Raw()) != tt.root {
				t.Errorf("manifest = %s", m.Raw())
			}
		})
	}
}

func TestNamesAreFoundTheWayDockerMeansThem(t *testing.T) {
	var files []file
	var roots []ocispec.Descriptor
	add := func(body, full, ref string) digest.Digest {
		c := configOf(t, body)
		m := manifestOf(t, c, body)
		files = append(files, blob(body), blob(c), blob(m))
		d := describe(ocispec.MediaTypeImageManifest, m)
		roots = append(roots, called(d, full, ref))
		return d.Digest
	}
	nginx := add("nginx", "docker.io/library/nginx:1.27", "1.27")
	app := add("app", "", "localhost:5000/team/app:v1")
	other := add("other", "", "localhost:5000/team/other:v1")
	bare := add("bare", "", "stable")
	unnamed := add("unnamed", "", "")
	roots = append(roots, called(roots[1], "", "twice"), called(roots[2], "", "twice"), called(roots[1], "", "same"), called(roots[1], "", "same"))
	a := openTar(t, archive.Options{}, append(files, layoutMark, indexJSON(t, roots...))...)
	tests := []struct {
		ref  string
		want digest.Digest
		err  error
	}{
		{"docker.io/library/nginx:1.27", nginx, nil},
		{"nginx:1.27", nginx, nil},
		{"library/nginx:1.27", nginx, nil},
		{"1.27", nginx, nil},
		{"nginx", "", content.ErrNotFound},
		{"localhost:5000/team/app:v1", app, nil},
		{"v1", "", content.ErrInvalid}, // of app and of other
		{"stable", bare, nil},
		{"same", app, nil},
		{"twice", "", content.ErrInvalid},
		{string(unnamed), unnamed, nil},
		{"nginx@" + string(nginx), nginx, nil},
		{string(other), other, nil},
		{"", "", content.ErrInvalid},
		{"sha256:" + strings.Repeat("0", 64), "", content.ErrNotFound},
		{digest.FromString("nginx").String(), "", content.ErrNotFound}, // a layer is no manifest
		{"../x", "", content.ErrNotFound},
		{"NGINX", "", content.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.ref, func(t *testing.T) {
			m, err := a.Manifest(t.Context(), tt.ref)
			if !errors.Is(err, tt.err) || m.Digest() != tt.want {
				t.Errorf("Manifest(%q) = %s, %v; want %s, %v", tt.ref, m.Digest(), err, tt.want, tt.err)
			}
		})
	}
	want := []string{"docker.io/library/nginx:1.27", "localhost:5000/team/app:v1", "localhost:5000/team/other:v1", "stable", "twice", "same"}
	if got := tagsOf(t, a); !slices.Equal(got, want) {
		t.Errorf("Tags = %q, want %q", got, want)
	}
	_, err := a.Manifest(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), `"docker.io/library/nginx:1.27"`) {
		t.Errorf("the error does not name the images: %v", err)
	}
}

func TestWhatRefersToTheOnlyImageIsNotAnImage(t *testing.T) {
	config := configOf(t, "x")
	image := manifestOf(t, config, "x")
	subject := describe(ocispec.MediaTypeImageManifest, image)
	signature := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.example", Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{}, Subject: &subject}
	signature.SchemaVersion = 2
	listed := marshal(t, signature)
	signature.Annotations = map[string]string{"second": "yes"}
	rooted := marshal(t, signature)
	fallback := indexOf(t, describe(ocispec.MediaTypeImageManifest, listed), describe(ocispec.MediaTypeImageManifest, "gone"))
	a := openTar(t, archive.Options{}, layoutMark, blob("x"), blob(config), blob(image), blob("{}"), blob(listed), blob(rooted), blob(fallback),
		indexJSON(t, subject, describe(ocispec.MediaTypeImageManifest, rooted),
			called(describe(ocispec.MediaTypeImageIndex, fallback), "", strings.Replace(subject.Digest.String(), ":", "-", 1))))
	m, err := a.Manifest(t.Context(), "")
	if err != nil || m.Digest() != subject.Digest {
		t.Errorf("the only image is %s, %v; want %s", m.Digest(), err, subject.Digest)
	}
	var got []digest.Digest
	for d, err := range a.Referrers(t.Context(), subject.Digest, "application/vnd.example") {
		must(t, err)
		got = append(got, d.Digest)
	}
	want := []digest.Digest{digest.FromString(listed), digest.FromString(rooted)}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("referrers = %s, want %s", got, want)
	}
}

func TestEntriesThatDoNotMatterArePassedOver(t *testing.T) {
	one := layerTar(t, "one", "1")
	a := openTar(t, archive.Options{},
		file{name: "pax_global_header", head: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "by git archive"}}},
		file{name: "fifo", head: tar.Header{Typeflag: tar.TypeFifo}},
		file{name: "dev/null", head: tar.Header{Typeflag: tar.TypeChar}},
		link("out", "/../../../etc/passwd"),
		file{name: "d/", head: tar.Header{Typeflag: tar.TypeDir}}, file{name: "d/", head: tar.Header{Typeflag: tar.TypeDir}},
		file{name: "c", body: configOf(t, one)}, file{name: "1", body: one}, saved("c", []string{"<none>:<none>", "a:1"}, "1"))
	if _, err := load(t, a, "a:1"); err != nil {
		t.Error(err)
	}
	if got := tagsOf(t, a); !slices.Equal(got, []string{"a:1"}) {
		t.Errorf("Tags = %q", got)
	}
}

func TestClosedArchivesAreNotRead(t *testing.T) {
	a, err := archive.Open(t.Context(), images+"/oci-gzip.tar", archive.Options{})
	must(t, err)
	must(t, a.Close())
	if _, err := a.Manifest(t.Context(), ""); err == nil {
		t.Error("Manifest of a closed archive works")
	}
	must(t, a.Close())
}

func TestManyReadersOfOneArchiveGetTheSame(t *testing.T) {
	for _, c := range []archive.Compression{archive.None, archive.Gzip} {
		a, err := archive.Open(t.Context(), images+"/docker-busybox-layers.tar", archive.Options{Compress: c, TempDir: t.TempDir()})
		closed(t, a, err)
		var g errgroup.Group
		roots := make([]digest.Digest, 8)
		for i := range roots {
			g.Go(func() error {
				m, err := a.Manifest(t.Context(), []string{"", "latest"}[i%2])
				if err != nil {
					return err
				}
				roots[i] = m.Digest()
				for _, d := range m.Layers() {
					if _, err := readAll(t, a, d); err != nil {
						return err
					}
				}
				return nil
			})
		}
		must(t, g.Wait())
		if len(slices.Compact(roots)) != 1 {
			t.Errorf("different manifests: %s", roots)
		}
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a, err := archive.Open(ctx, images+"/docker-busybox-layers.tar", archive.Options{Compress: archive.Gzip, TempDir: t.TempDir()})
	closed(t, a, err)
	m, err := a.Manifest(ctx, "")
	must(t, err)
	rc, err := a.Open(ctx, m.Layers()[0], content.Range{})
	must(t, err)
	defer rc.Close()
	cancel()
	if _, err := io.ReadAll(rc); !errors.Is(err, context.Canceled) {
		t.Errorf("reading a layer: %v", err)
	}
	for _, open := range []opener{archive.Open, readFile} {
		if a, err := open(ctx, images+"/alpine-3.20.tar", archive.Options{TempDir: t.TempDir()}); !errors.Is(err, context.Canceled) {
			t.Errorf("opening: %v, %v", a, err)
		}
	}
	fresh, err := archive.Open(t.Context(), images+"/alpine-3.20.tar", archive.Options{Compress: archive.Gzip, TempDir: t.TempDir()})
	closed(t, fresh, err)
	if _, err := fresh.Manifest(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("making a manifest up: %v", err)
	}
	_, err = load(t, fresh, "")
	must(t, err)
}
