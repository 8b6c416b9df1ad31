package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

func gzipped(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

// layered adds an image of one layer, whose tar is raw and whose blob is stored.
func (b *builder) layered(mediaType string, raw, stored []byte) content.Manifest {
	config := ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(raw)}}}
	return b.image(config, b.blob(mediaType, stored))
}

func TestExportReadsLayersHoweverTheyAreCompressed(t *testing.T) {
	raw := tarOf(file("f", "f"))
	want := newModel()
	want["f"] = new(fileOf(file("f", "f")))
	tests := []struct {
		mediaType string
		stored    []byte
	}{
		{ocispec.MediaTypeImageLayer, raw},
		{ocispec.MediaTypeImageLayerGzip, packed(gzipped, raw)},
		{ocispec.MediaTypeImageLayerZstd, packed(zstandard, raw)},
		{content.DockerLayer, raw},
		{content.DockerLayerGzip, packed(gzipped, raw)},
		{content.DockerForeignLayer, packed(gzipped, raw)},
		{ocispec.MediaTypeImageLayerGzip, packed(zstandard, raw)}, // the bytes tell
		{ocispec.MediaTypeImageLayerGzip, append(packed(gzipped, raw[:512]), packed(gzipped, raw[512:])...)},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprint(i, " ", tt.mediaType), func(t *testing.T) {
			var b builder
			got, err := export(t, &b, b.layered(tt.mediaType, raw, tt.stored))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.lines(), readExport(t, got).lines()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A meddler is a place that changes what it gives of large blobs: layers.
type meddler struct {
	content.Source

	change func([]byte) []byte
}

func (m meddler) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	rc, err := m.Source.Open(ctx, d, r)
	if err != nil || d.MediaType == ocispec.MediaTypeImageConfig {
		return rc, err
	}
	raw, err := io.ReadAll(rc)
	return io.NopCloser(bytes.NewReader(m.change(raw))), err
}

func TestExportVerifiesEveryLayer(t *testing.T) {
	raw := tarOf(file("f", strings.Repeat("some text ", 200)), file("../evil", ""))
	for name, stored := range map[string][]byte{"raw": raw, "gzip": packed(gzipped, raw), "zstd": packed(zstandard, raw)} {
		changes := map[string]func([]byte) []byte{
			"cut off": func(p []byte) []byte { return p[:len(p)-1] },
			"longer":  func(p []byte) []byte { return append(p, 0) },
			"empty":   func([]byte) []byte { return nil },
		}
		for _, at := range []int{0, 3, 20, len(stored) / 2, len(stored) - 1} {
			changes[fmt.Sprint("flipped at ", at)] = func(p []byte) []byte {
				p = bytes.Clone(p)
				p[at] ^= 0x55
				return p
			}
		}
		for how, change := range changes {
			t.Run(name+" "+how, func(t *testing.T) {
				var b builder
				m := b.layered(ocispec.MediaTypeImageLayer, raw, stored)
				err := image.Export(t.Context(), io.Discard, meddler{&b.place, change}, m, image.ExportOptions{})
				if !errors.Is(err, content.ErrCorrupt) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func TestExportRefusesLayersThatAreNotWhatTheImageSays(t *testing.T) {
	raw := tarOf(file("f", strings.Repeat("x", 1000)))
	zipped := packed(gzipped, raw)
	bomb := tarOf(file("f", strings.Repeat("\x00", 1<<20)))
	tests := []struct {
		name string
		m    func(b *builder) content.Manifest
		most int64
		want error
	}{
		{"another diff ID", func(b *builder) content.Manifest {
			return b.layered(ocispec.MediaTypeImageLayerGzip, []byte("other"), zipped)
		}, 0, content.ErrCorrupt},
		{"no diff ID", func(b *builder) content.Manifest { return b.image(ocispec.Image{}, b.layer()) }, 0, content.ErrInvalid},
		{"a diff ID that is none", func(b *builder) content.Manifest {
			return b.image(map[string]any{"rootfs": map[string]any{"diff_ids": []string{"sha256:x"}}}, b.layer())
		}, 0, content.ErrInvalid},
		{"no layer by its type", func(b *builder) content.Manifest { return b.layered("text/plain", raw, raw) }, 0, content.ErrInvalid},
		{"no tar", func(b *builder) content.Manifest {
			return b.layered(ocispec.MediaTypeImageLayer, raw, bytes.Repeat([]byte("no tar "), 100))
		}, 0, content.ErrInvalid},
		{"a tar that is cut off", func(b *builder) content.Manifest {
			return b.layered(ocispec.MediaTypeImageLayer, raw[:700], raw[:700])
		}, 0, content.ErrInvalid},
		{"gzip that is cut off", func(b *builder) content.Manifest {
			return b.layered(ocispec.MediaTypeImageLayerGzip, raw, zipped[:len(zipped)-10])
		}, 0, content.ErrCorrupt},
		{"compressed twice", func(b *builder) content.Manifest {
			return b.layered(ocispec.MediaTypeImageLayerGzip, raw, packed(gzipped, zipped))
		}, 0, content.ErrInvalid},
		{"more than may come out of it", func(b *builder) content.Manifest {
			return b.layered(ocispec.MediaTypeImageLayerGzip, bomb, packed(gzipped, bomb))
		}, 1 << 19, content.ErrInvalid},
		{"a sparse file of more than may be written", func(b *builder) content.Manifest {
			return b.layered(ocispec.MediaTypeImageLayer, sparse(1<<40), sparse(1<<40))
		}, 0, content.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b builder
			m := tt.m(&b)
			err := image.Export(t.Context(), io.Discard, &b.place, m, image.ExportOptions{MaxUnpacked: tt.most})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// sparse returns the tar of a file "sparse" of size bytes, all of them holes but
// the "data" at 512, in the form of old GNU tars.
func sparse(size int64) []byte {
	raw := tarOf(entry{tar.Header{Typeflag: tar.TypeReg, Name: "sparse", Mode: 0o600, Format: tar.FormatGNU}, "data"})
	const kind, checksum, mapAt, sizeAt = 156, 148, 386, 483
	raw[kind] = tar.TypeGNUSparse
	copy(raw[mapAt:], fmt.Sprintf("%011o\x00%011o\x00%011o\x00%011o\x00", 512, 4, size, 0))
	copy(raw[sizeAt:], "\x80\x00\x00\x00")
	for i := range 8 {
		raw[sizeAt+4+i] = byte(size >> (8 * (7 - i)))
	}
	copy(raw[checksum:], "        ")
	var sum int
	for _, c := range raw[:512] {
		sum += int(c)
	}
	copy(raw[checksum:], fmt.Sprintf("%06o\x00 ", sum))
	return raw
}

func TestExportWritesSparseFilesOut(t *testing.T) {
	var b builder
	raw := sparse(2000)
	got, err := export(t, &b, b.layered(ocispec.MediaTypeImageLayer, raw, raw))
	if err != nil {
		t.Fatal(err)
	}
	f := readExport(t, got)["sparse"]
	if want := strings.Repeat("\x00", 512) + "data" + strings.Repeat("\x00", 2000-516); f == nil || f.kind != tar.TypeReg || f.body != want {
		t.Errorf("got %+v", f)
	}
}

// full is a writer that takes so many bytes.
type full int

var errFull = errors.New("no room")

func (f *full) Write(p []byte) (int, error) {
	if *f -= full(len(p)); *f < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestExportStopsWhereNothingCanBeWrittenOrNobodyWaits(t *testing.T) {
	var b builder
	m := b.of([]entry{file("f", strings.Repeat("x", 1<<20))})
	w := full(300_000)
	if err := image.Export(t.Context(), &w, &b.place, m, image.ExportOptions{}); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
	gone := errors.New("nobody waits")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if err := image.Export(ctx, io.Discard, &b.place, m, image.ExportOptions{}); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

// A remote is a registry for Export: its layers are to be asked for once.
type remote struct {
	content.Source

	opened map[digest.Digest]int
	bad    int // times that what it gives is wrong
}

func (*remote) Origin() (host, repository string) { return "r.example", "app" }

func (r *remote) Open(ctx context.Context, d ocispec.Descriptor, span content.Range) (io.ReadCloser, error) {
	r.opened[d.Digest]++
	if d.MediaType != ocispec.MediaTypeImageConfig && r.bad > 0 {
		r.bad--
		return io.NopCloser(strings.NewReader("wrong")), nil
	}
	return r.Source.Open(ctx, d, span)
}

func TestExportAsksARegistryForEachLayerOnce(t *testing.T) {
	var b builder
	same := []entry{file("f", "x")}
	m := b.of(same, []entry{file("g", "y")}, same)
	for bad := range 2 {
		r := &remote{&b.place, map[digest.Digest]int{}, bad}
		var out bytes.Buffer
		if err := image.Export(t.Context(), &out, r, m, image.ExportOptions{TempDir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		if got := readExport(t, out.Bytes()); got["f"] == nil || got["g"] == nil {
			t.Errorf("got %v", got.lines())
		}
		total := 0
		for _, n := range r.opened {
			total += n
		}
		if want := 3 + bad; total != want { // config and two layers
			t.Errorf("%d blobs were opened, want %d", total, want)
		}
	}
}

// What is in files passes through, however large they are.
func TestExportHoldsNoFileInMemory(t *testing.T) {
	const size, most = 16 << 20, 4 << 20
	var b builder
	m := b.of([]entry{file("large", strings.Repeat("x", size))})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := image.Export(t.Context(), io.Discard, &b.place, m, image.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > most {
		t.Errorf("%d bytes were allocated for a file of %d, want %d at most", got, size, most)
	}
}
