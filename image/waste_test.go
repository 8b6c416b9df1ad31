package image_test

import (
	"archive/tar"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

func analyze(t *testing.T, b *builder, m content.Manifest) *image.Analysis {
	t.Helper()
	a, err := image.Reader{}.Analyze(t.Context(), &b.place, m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func shownLayers(layers []int) string { return fmt.Sprint(layers) }

func bytesLong(n int) string { return strings.Repeat("x", n) }

func TestWasteIsCountedByPath(t *testing.T) {
	tests := []struct {
		name       string
		layers     [][]entry
		bytes      int64
		efficiency float64
		paths      []image.WastedPath
		losses     []image.Loss
	}{
		{"one layer", [][]entry{{file("a", bytesLong(10))}}, 0, 1, nil, nil},
		{"nothing at all", [][]entry{{}}, 0, 1, nil, nil},
		{
			"a file that is overwritten",
			[][]entry{{file("a", bytesLong(10))}, {file("a", bytesLong(30))}},
			40, 0.25,
			[]image.WastedPath{{Path: "a", Layers: []int{0, 1}, Bytes: 40}},
			[]image.Loss{{From: 0, By: 1, Files: 1, Bytes: 10}},
		},
		{
			"the same bytes once more",
			[][]entry{{file("a", bytesLong(10))}, {file("a", bytesLong(10))}},
			20, 0.5,
			[]image.WastedPath{{Path: "a", Layers: []int{0, 1}, Bytes: 20}},
			[]image.Loss{{From: 0, By: 1, Files: 1, Bytes: 10, Again: 10}},
		},
		{
			"a file that is removed",
			[][]entry{{file("d/a", bytesLong(10)), file("d/b", bytesLong(10))}, {file("d/.wh.a", "")}},
			10, 0.5,
			[]image.WastedPath{{Path: "d/a", Layers: []int{0, 1}, Bytes: 10}},
			[]image.Loss{{From: 0, By: 1, Files: 1, Bytes: 10}},
		},
		{
			"a folder that is removed at once",
			[][]entry{{folder("d/"), file("d/a", bytesLong(10))}, {file(".wh.d", "")}},
			0, 1, nil,
			[]image.Loss{{From: 0, By: 1, Files: 1, Bytes: 10}},
		},
		{
			"a folder that is removed twice",
			[][]entry{{folder("d/"), file("d/a", bytesLong(10))}, {file(".wh.d", "")}, {folder("d/"), file("d/a", bytesLong(20))}, {file(".wh.d", "")}},
			60, 1.0 / 3,
			[]image.WastedPath{{Path: "d", Layers: []int{1, 3}, Bytes: 30}, {Path: "d/a", Layers: []int{0, 2}, Bytes: 30}},
			[]image.Loss{{From: 0, By: 1, Files: 1, Bytes: 10}, {From: 2, By: 3, Files: 1, Bytes: 20}},
		},
		{
			"a folder that is emptied",
			[][]entry{{file("d/a", bytesLong(10))}, {file("d/.wh..wh..opq", ""), file("d/b", bytesLong(10))}},
			0, 1, nil,
			[]image.Loss{{From: 0, By: 1, Files: 1, Bytes: 10}},
		},
		{"a whiteout of nothing", [][]entry{{file("a", bytesLong(10))}, {file(".wh.b", ""), file("c", bytesLong(5))}}, 0, 1, nil, nil},
		{
			"a file that keeps another name",
			[][]entry{{file("a", bytesLong(10)), hardlink("b", "a")}, {file(".wh.a", "")}, {file(".wh.b", "")}},
			10, 0,
			[]image.WastedPath{{Path: "a", Layers: []int{0, 1}, Bytes: 10}, {Path: "b", Layers: []int{0, 2}}},
			[]image.Loss{{From: 0, By: 2, Files: 1, Bytes: 10}},
		},
		{
			"an entry that stands there twice",
			[][]entry{{file("a", bytesLong(10)), file("a", bytesLong(30))}, {file("a", bytesLong(30))}},
			60, 0.5,
			[]image.WastedPath{{Path: "a", Layers: []int{0, 1}, Bytes: 60}},
			[]image.Loss{{From: 0, By: 1, Files: 1, Bytes: 30, Again: 30}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b builder
			a := analyze(t, &b, b.of(tt.layers...))
			if a.Waste.Bytes != tt.bytes || a.Waste.Efficiency != tt.efficiency {
				t.Errorf("waste = %d bytes, %g efficient, want %d, %g", a.Waste.Bytes, a.Waste.Efficiency, tt.bytes, tt.efficiency)
			}
			if diff := cmp.Diff(tt.paths, a.Waste.Paths); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.losses, a.Losses); diff != "" {
				t.Errorf("losses (-want +got):\n%s", diff)
			}
		})
	}
}

// A path of the lowest layer only is none of the user's, so that there can be more
// waste than there are bytes of the user.
func TestUserWasteIsOfWhatIsAboveTheLowestLayer(t *testing.T) {
	for _, tt := range []struct {
		w    image.Waste
		want float64
	}{{image.Waste{}, 0}, {image.Waste{Bytes: 5}, 1}, {image.Waste{Bytes: 5, UserSize: 20}, 0.25}, {image.Waste{UserSize: 20}, 0}} {
		if got := tt.w.UserWasted(); got != tt.want {
			t.Errorf("%+v.UserWasted() = %g, want %g", tt.w, got, tt.want)
		}
	}
}

// A layer may remove folders that are in one another, each of which has all that
// is below it: that is added up once.
func TestNestedWhiteoutsAreCheap(t *testing.T) {
	const deep, many = 200, 500
	var below, above []image.Entry
	path := "a"
	for range deep {
		below = append(below, image.Entry{Path: path, Type: tar.TypeDir})
		above = append(above, image.Entry{Path: path + "/.wh.a", Type: tar.TypeReg})
		path += "/a"
	}
	for i := range many {
		below = append(below, image.Entry{Path: fmt.Sprint(path, "/", i), Type: tar.TypeReg, Size: 1})
	}
	layers := []*image.Contents{image.NewContents(below...), image.NewContents(above...)}
	if n := testing.AllocsPerRun(1, func() { image.WasteOf(layers) }); n > 20*(deep+many) {
		t.Errorf("%.0f allocations for %d entries", n, 2*deep+many)
	}
}

func TestFilesWhoseDigestIsNotKnownAreNoCopies(t *testing.T) {
	for _, tt := range []struct {
		name         string
		digest, want digest.Digest
		again        int64
	}{
		{"a sha256", sumOf("x"), sumOf("x"), 1},
		{"no digest", "", "", 0},
		{"another algorithm", digest.SHA512.FromString("x"), "", 0},
		{"too many digits", sumOf("x") + "00", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := image.NewContents(image.Entry{Path: "a", Type: tar.TypeReg, Size: 1, Digest: tt.digest})
			if got := c.Entry(0).Digest; got != tt.want {
				t.Errorf("its digest is %q, want %q", got, tt.want)
			}
			tree, err := image.Merge([]*image.Contents{c, c})
			if err != nil {
				t.Fatal(err)
			}
			losses := tree.Losses()
			if len(losses) != 1 || losses[0].Bytes != 1 || losses[0].Again != tt.again {
				t.Errorf("losses are %+v, want %d bytes again", losses, tt.again)
			}
		})
	}
}

func TestWalkHasWhatIsInAFolderFirst(t *testing.T) {
	c := image.NewContents([]image.Entry{
		{Path: "b/c", Type: tar.TypeReg},
		{Path: "a", Type: tar.TypeReg, Size: 1},
		{Path: "b/.wh..wh..opq", Type: tar.TypeReg},
		{Path: "a", Type: tar.TypeReg, Size: 2},
		{Path: "", Type: tar.TypeDir},
	}...)
	var got []string
	c.Walk(func(path string, e *image.Entry) {
		if e == nil {
			path += " (none)"
		} else if e.Size != 0 {
			path += " " + string('0'+byte(e.Size))
		}
		got = append(got, path)
	})
	if want := []string{"a 2", "b/c", "b (none)"}; !slices.Equal(got, want) {
		t.Errorf("Walk = %q, want %q", got, want)
	}
}

// large is a file that is worth an advice.
func large(name string, n int) entry {
	return file(name, strings.Repeat(name+"\n", n/(len(name)+1)))
}

func program(name string, n int) entry {
	e := large(name, n)
	e.Mode = 0o755
	return e
}

func TestAdviceIsAboutWhatCouldBeSmaller(t *testing.T) {
	const some, many = 200_000, 6_000_000
	debian := []entry{file("var/lib/dpkg/status", "Package: dash"), program("bin/sh", 120_000)}
	config := func(command ...string) ocispec.Image {
		return ocispec.Image{Config: ocispec.ImageConfig{Entrypoint: command}}
	}
	tests := []struct {
		name   string
		config ocispec.Image
		layers [][]entry
		want   []string // id, layers
		about  string
	}{
		{name: "nothing", layers: [][]entry{{large("a", some)}}},
		{
			name:   "what one layer adds and another removes",
			layers: [][]entry{{file("a", "")}, {large("src.tar", some)}, {file(".wh.src.tar", "")}},
			want:   []string{"merge-layers [1 2]"},
		},
		{
			name:   "what the lowest layer has for nothing",
			layers: [][]entry{{large("usr/bin/perl", some)}, {file("usr/bin/.wh.perl", "")}},
			want:   []string{"newer-base [0 1]"},
		},
		{
			name:   "another owner",
			layers: [][]entry{{}, {large("app/data", some)}, {large("app/data", some)}},
			want:   []string{"copy-with-owner [1 2]"},
		},
		{
			name: "caches",
			layers: [][]entry{{large("var/lib/apt/lists/deb.debian.org_Packages", some)}, {
				large("root/.cache/pip/http/1", some*2), large("home/app/.npm/_cacache/2", some*3), large("opt/app/m.pyc", some*4),
				large("root/go/pkg/mod/x", some*5), large("home/.npm", some),
			}},
			want: []string{"cache-go [1]", "cache-bytecode [1]", "cache-npm [1]", "cache-pip [1]", "cache-apt-lists [0]"}, about: "var/lib/apt/lists []",
		},
		{
			name:   "a build environment",
			layers: [][]entry{{large("usr/lib/gcc/x86_64-linux-gnu/12/cc1", many), large("usr/include/stdio.h", some)}, {program("usr/bin/x86_64-linux-gnu-gcc-12", some), large("usr/lib/libz.a", some)}},
			want:   []string{"multi-stage [0 1]"}, about: "[{compilers 5999976} {build-programs 200000} {headers 200000} {static-libraries 199995}]",
		},
		{name: "a few headers", layers: [][]entry{{large("usr/include/stdio.h", some)}}},
		{
			name:   "copies of a file",
			layers: [][]entry{{large("a", many)}, {{tar.Header{Typeflag: tar.TypeReg, Name: "b"}, large("a", many).body}}},
			want:   []string{"duplicate-files [0 1]"},
		},
		{name: "hard links of a file", layers: [][]entry{{large("a", many), hardlink("b", "a")}}},
		{
			name: "one program on a distribution", config: config("/app"), layers: [][]entry{debian, {program("app", many)}},
			want: []string{"distroless [0]"}, about: "app []",
		},
		{
			name: "one program that is found by PATH", config: config("app"), layers: [][]entry{debian, {program("usr/local/bin/app", many)}},
			want: []string{"distroless [0]"},
		},
		{name: "a program with libraries", config: config("/app"), layers: [][]entry{debian, {program("app", many), large("lib/libx.so.1", some)}}},
		{name: "a script", config: config("/app"), layers: [][]entry{debian, {program("app", 1000)}}},
		{name: "a program of the distribution", config: config("sh", "-c", "x"), layers: [][]entry{debian, {large("data", some)}}},
		{name: "a program that is not there", config: config("/app"), layers: [][]entry{debian}},
		{name: "one program on nothing", config: config("/app"), layers: [][]entry{{program("app", many)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b builder
			a := analyze(t, &b, b.withConfig(tt.config, tt.layers...))
			var got, about []string
			for _, d := range a.Advice() {
				got = append(got, d.ID+" "+shownLayers(d.Layers))
				about = append(about, fmt.Sprint(d.Path, " ", d.Parts))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("advice (-want +got):\n%s%s", diff, strings.Join(about, "\n"))
			}
			if all := strings.Join(about, "\n"); !strings.Contains(all, tt.about) {
				t.Errorf("no advice is about %q:\n%s", tt.about, all)
			}
		})
	}
}
