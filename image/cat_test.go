package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

// cat returns what Cat writes.
func cat(r image.Reader, src content.Source, m content.Manifest, name string) (string, error) {
	var out bytes.Buffer
	_, err := r.Cat(context.Background(), &out, src, m, name)
	return out.String(), err
}

// follow returns the file that a path leads to in a model, nil where there is none.
func (m model) followed(name string) (*modelFile, error) {
	for range 41 {
		dir, base := path.Split(name)
		if base == ".." || base == "." || base == "" {
			dir, base = name, ""
		}
		at, err := m.follow(strings.Trim(dir, "/"), nil)
		if err != nil {
			return nil, err
		}
		at = join(at, base)
		f := m[strings.TrimSuffix(at, "/")]
		if f == nil || f.kind != tar.TypeSymlink {
			return f, nil
		}
		name = f.link
		if !strings.HasPrefix(f.link, "/") {
			name = path.Dir(at) + "/" + f.link
		}
	}
	return nil, errModel
}

// checkCat compares what Cat says of paths with what the model does.
func checkCat(tb testing.TB, src content.Source, m content.Manifest, want model) {
	tb.Helper()
	names := []string{"a", "b", "l", "a/b", "a/c", "b/a", "b/c", "l/a", "l/b", "a/b/c", "b/a/c", "l/b/c", "a/l", "a/l/b", "a/l/c", "c/d", "usr/lib/x"}
	for p := range want {
		names = append(names, p)
	}
	cache := &memoryCache{}
	for _, name := range names {
		f, err := want.followed(name)
		for how, r := range map[string]image.Reader{"": {}, " again": {Cache: cache}} {
			got, caterr := cat(r, src, m, name)
			switch {
			case f == nil || err != nil:
				if !errors.Is(caterr, content.ErrNotFound) && !errors.Is(caterr, content.ErrInvalid) {
					tb.Fatalf("%q%s is nowhere, and Cat gives %q, %v", name, how, got, caterr)
				}
			case f.kind != tar.TypeReg:
				if !errors.Is(caterr, image.ErrNotFile) {
					tb.Fatalf("%q%s is a %q, and Cat gives %q, %v", name, how, f.kind, got, caterr)
				}
			case caterr != nil || got != f.body:
				tb.Fatalf("%q%s has %q, and Cat gives %q, %v", name, how, f.body, got, caterr)
			}
		}
	}
}

func TestCatGivesWhatIsInTheMergedFile(t *testing.T) {
	for _, tt := range merges {
		t.Run(tt.name, func(t *testing.T) {
			want := newModel()
			for _, layer := range tt.layers {
				must(want.unpack(layer))
			}
			var b builder
			checkCat(t, &b.place, b.of(tt.layers...), want)
		})
	}
}

// said returns what Cat wrote, or the class of its error.
func said(got string, err error) string {
	for _, class := range []error{content.ErrNotFound, image.ErrNotFile} {
		if errors.Is(err, class) {
			return class.Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return got
}

// layersOpened says which layers of m were opened, the lowest first.
func layersOpened(m content.Manifest, opened map[digest.Digest]int) []int {
	var counts []int
	for _, d := range m.Layers() {
		counts = append(counts, opened[d.Digest])
	}
	return counts
}

func TestCatReadsNoLayerBelowTheOneWithTheFile(t *testing.T) {
	base := []entry{
		folder("usr"), folder("usr/bin"), file("usr/bin/dash", "dash"), symlink("usr/bin/sh", "dash"), symlink("bin", "usr/bin"),
		folder("etc"), file("etc/os-release", "base"), file("etc/gone", "x"), hardlink("usr/bin/ash", "usr/bin/dash"),
	}
	middle := []entry{folder("etc"), file("etc/hosts", "middle"), file("etc/.wh.gone", ""), symlink("etc/alias", "../etc/app.conf"), symlink("etc/os", "/etc/os-release"), folder("var"), file("var/.wh..wh..opq", "")}
	top := []entry{folder("etc"), file("etc/app.conf", "top"), folder("app"), symlink("app/conf", "../etc/app.conf"), hardlink("app/again", "etc/app.conf")}
	tests := []struct {
		name, body string
		opened     []int
	}{
		{"etc/app.conf", "top", []int{0, 0, 1}},
		{"/app/conf", "top", []int{0, 0, 2}}, // it was passed before it was known to be wanted
		{"app/again", "top", []int{0, 0, 2}},
		{"etc/hosts", "middle", []int{0, 1, 1}},
		{"etc/alias", "top", []int{0, 1, 2}},
		{"etc/os-release", "base", []int{1, 1, 1}},
		{"etc/os", "base", []int{1, 1, 1}},
		{"etc/gone", "not found", []int{0, 1, 1}},
		{"var/x/y", "not found", []int{0, 1, 1}},
		{"etc/app.conf/x", "not found", []int{0, 0, 1}},
		{"etc", "not a regular file", []int{0, 0, 1}},
		{"bin/sh", "dash", []int{2, 1, 1}},
		{"nowhere", "not found", []int{1, 1, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b builder
			m := b.of(base, middle, top)
			src := &counted{Source: &b.place}
			cache := &memoryCache{}
			if got := said(cat(image.Reader{Cache: cache}, src, m, tt.name)); got != tt.body {
				t.Errorf("got %q", got)
			}
			if opened := layersOpened(m, src.opened); !slices.Equal(opened, tt.opened) {
				t.Errorf("layers were opened %v times, want %v", opened, tt.opened)
			}
			// What is known by now tells which layer has it: only that is read.
			src = &counted{Source: &b.place}
			if again := said(cat(image.Reader{Cache: cache}, src, m, tt.name)); again != tt.body {
				t.Errorf("again: got %q", again)
			}
			if total := len(src.opened); total > 1 {
				t.Errorf("again: %d layers were opened", total)
			}
		})
	}
}

// Of a layer that is known no more is read than up to the end of the file.
func TestCatStopsAtTheEndOfTheFileWhereItsDigestIsKnown(t *testing.T) {
	var b builder
	entries := append([]entry{file("first", "1st")}, incompressible(20, 50_000)...)
	m := b.of(entries)
	cache := &memoryCache{}
	for _, most := range []int64{2_000_000, 100_000} {
		src := &counted{Source: &b.place}
		got, err := cat(image.Reader{Cache: cache}, src, m, "first")
		if err != nil || got != "1st" || src.bytes > most {
			t.Errorf("got %q, %v, from %d bytes", got, err, src.bytes)
		}
	}
}

func TestCatReadsOnlyTheFileWhereATableTellsWhereItIs(t *testing.T) {
	entries := append(allKinds(), incompressible(8, 30_000)...)
	entries = append(entries, file("inner.gz", string(packed(gzipped, []byte("compressed once more")))))
	for name, pack := range packers {
		t.Run(name, func(t *testing.T) {
			var b builder
			d := pack(t, &b, tarOf(entries...))
			m := b.image(ocispec.Image{RootFS: ocispec.RootFS{DiffIDs: []digest.Digest{sumOf("any")}}}, d)
			cache := &memoryCache{}
			for _, e := range entries {
				if e.Typeflag != tar.TypeReg || strings.Contains(e.Name, ".wh.") {
					continue
				}
				src := &counted{Source: &b.place}
				got, err := cat(image.Reader{Cache: cache}, src, m, e.Name)
				if err != nil || got != e.body {
					t.Fatalf("%s: got %d bytes, %v", e.Name, len(got), err)
				}
				if table := int64(12_000); src.bytes > table+int64(len(e.body))+20_000 {
					t.Errorf("%s of %d bytes: %d of %d bytes were read", e.Name, len(e.body), src.bytes, d.Size)
				}
			}
		})
	}
}

// noRanges is a place that cannot seek.
type noRanges struct{ content.Source }

func (n noRanges) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	if r != (content.Range{}) {
		return nil, errors.ErrUnsupported
	}
	return n.Source.Open(ctx, d, r)
}

func TestCatDoesWithoutRanges(t *testing.T) {
	for name, pack := range packers {
		t.Run(name, func(t *testing.T) {
			var b builder
			d := pack(t, &b, tarOf(allKinds()...))
			m := b.image(ocispec.Image{}, d)
			cache := &memoryCache{}
			if _, err := (image.Reader{Cache: cache}).Contents(t.Context(), &b.place, d); err != nil {
				t.Fatal(err)
			}
			for _, r := range []image.Reader{{}, {Cache: cache}} {
				if got, err := cat(r, noRanges{&b.place}, m, "usr/bin/ping6"); got != "ping" || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
}

// A file of bytes that are not those of its digest is not written, however it is
// read.
func TestCatWritesNothingThatIsNotVerified(t *testing.T) {
	var b builder
	body := strings.Repeat("body ", 1000)
	plain := b.of([]entry{file("f", body), file("g", "g")})
	d := plain.Layers()[0]
	star := zstdChunked(t, &b, tarOf(file("f", body)))
	starred := b.image(ocispec.Image{}, star)
	full, ranged := &memoryCache{}, &memoryCache{}
	if _, err := (image.Reader{Cache: full}).Contents(t.Context(), &b.place, d); err != nil {
		t.Fatal(err)
	}
	if _, err := (image.Reader{Cache: ranged}).Contents(t.Context(), &b.place, star); err != nil {
		t.Fatal(err)
	}
	flip := func(p []byte) []byte {
		p = bytes.Clone(p)
		p[min(600, len(p)-1)] ^= 1
		return p
	}
	for name, tt := range map[string]struct {
		m     content.Manifest
		cache image.Cache
	}{"never read": {plain, nil}, "read before": {plain, full}, "by a table": {starred, ranged}} {
		t.Run(name, func(t *testing.T) {
			if got, err := cat(image.Reader{Cache: tt.cache}, &b.place, tt.m, "f"); got != body || err != nil {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
			got, err := cat(image.Reader{Cache: tt.cache}, meddler{&b.place, flip}, tt.m, "f")
			if got != "" || !errors.Is(err, content.ErrCorrupt) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestCatHoldsLargeFilesOnDisk(t *testing.T) {
	dir := t.TempDir()
	var b builder
	body := strings.Repeat("0123456789abcdef", 3<<16)
	m := b.of([]entry{file("f", body)})
	for range 2 {
		if got, err := cat(image.Reader{TempDir: dir}, &b.place, m, "f"); got != body || err != nil {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := cat(image.Reader{TempDir: dir + "/none"}, &b.place, m, "f"); err == nil {
		t.Error("there is nowhere to hold it, and it was written")
	}
	w := full(100_000)
	if _, err := (image.Reader{TempDir: dir}).Cat(t.Context(), &w, &b.place, m, "f"); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

func TestCatFollowsLinksSoFarOnly(t *testing.T) {
	var b builder
	var links []entry
	for i := range 50 {
		links = append(links, symlink(fmt.Sprint("l", i), fmt.Sprint("/l", i+1)))
	}
	m := b.of([]entry{file("f", "x")}, append(links, symlink("loop", "loop"), symlink("out", "../../f")))
	for name, want := range map[string]error{"l0": content.ErrInvalid, "loop": content.ErrInvalid, "l20": content.ErrNotFound, "out": nil} {
		if got, err := cat(image.Reader{}, &b.place, m, name); !errors.Is(err, want) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestCatOfAFileThatIsCalledAFolder(t *testing.T) {
	var b builder
	m := b.of([]entry{folder("d"), file("d/f", "text"), symlink("l", "d/f"), symlink("e", "d")})
	cache := &memoryCache{}
	for name, want := range map[string]error{
		"d/f/": image.ErrNoSuchFile, "d/f/.": image.ErrNoSuchFile, "d/f//": image.ErrNoSuchFile, "d/f/..": image.ErrNoSuchFile, "l/": image.ErrNoSuchFile,
		"d/": image.ErrNotFile, "e/": image.ErrNotFile, "/": image.ErrNotFile, "d/f": nil, "d/./f": nil, "d/../l": nil,
	} {
		for how, r := range map[string]image.Reader{"": {}, " where nothing is verified": {Unverified: true}, " again": {Cache: cache}} {
			got, err := cat(r, &b.place, m, name)
			if !errors.Is(err, want) || (got == "text") != (want == nil) {
				t.Errorf("%q%s: %q, %v, want %v", name, how, got, err, want)
			}
		}
	}
}

func TestCatRefusesWhatIsNoImage(t *testing.T) {
	var b builder
	layer := b.layer(file("f", "x"))
	thing := b.manifest(b.blob("application/vnd.example", []byte("{}")), layer)
	odd := b.image(ocispec.Image{}, b.blob("text/plain", []byte("f")))
	for _, m := range []content.Manifest{thing, odd} {
		if _, err := cat(image.Reader{}, &b.place, m, "f"); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("got %v", err)
		}
	}
}

// Who does without verification gets the file as soon as it is met with, and no
// more is read.
func TestCatStopsAtTheFileWhereNothingIsToBeVerified(t *testing.T) {
	var b builder
	entries := append([]entry{file("first", "1st"), symlink("link", "first")}, incompressible(20, 50_000)...)
	m := b.of(entries, []entry{folder("d"), file("d/f", "f")})
	for _, tt := range []struct{ name, body string }{{"first", "1st"}, {"link", "1st"}, {"d/f", "f"}} {
		src := &counted{Source: &b.place}
		got, err := cat(image.Reader{Unverified: true}, src, m, tt.name)
		if got != tt.body || err != nil {
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		}
		if all := m.Layers()[0].Size; tt.name != "link" && src.bytes > all/4 {
			t.Errorf("%s: %d of %d bytes were read", tt.name, src.bytes, all)
		}
	}
	gone := b.of([]entry{file("f", "x")}, []entry{file(".wh.f", "")})
	if got, err := cat(image.Reader{Unverified: true}, &b.place, gone, "f"); !errors.Is(err, image.ErrNoSuchFile) {
		t.Errorf("got %q, %v", got, err)
	}
	body := packed(gzipped, tarOf(incompressible(1, 300_000)...))
	broken := b.image(ocispec.Image{}, b.blob(ocispec.MediaTypeImageLayerGzip, body))
	half := func(p []byte) []byte { return p[:len(p)/2] }
	if _, err := cat(image.Reader{Unverified: true}, meddler{&b.place, half}, broken, "usr/lib/f0"); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}
