package image_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

// compared compares two images of one place.
func compared(t *testing.T, src content.Source, a, b content.Manifest, r image.Reader, o image.CompareOptions) *image.Comparison {
	t.Helper()
	c, err := r.Compare(t.Context(), image.Side{Source: src, Manifest: a}, image.Side{Source: src, Manifest: b}, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// changed describes the files that differ, a line each.
func changed(c *image.Comparison) []string {
	var lines []string
	for _, f := range c.Files {
		line := f.String() + " " + f.Path
		if names := f.Aspects.Names(); len(names) > 0 {
			line += " (" + strings.Join(names, " ") + ")"
		}
		if f.By != "" {
			line += " by " + f.By
		}
		if f.Unsettled {
			line += "?"
		}
		lines = append(lines, line)
	}
	return lines
}

func at(seconds int64, e entry) entry {
	e.ModTime = time.Unix(seconds, 0)
	return e
}

func TestFilesAreCompared(t *testing.T) {
	long := strings.Repeat("long", 10)
	setuid := file("f", "f")
	setuid.Mode = 0o4644
	capable := file("f", "f")
	capable.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01"}
	tests := []struct {
		name     string
		a, b     layers
		semantic bool
		full     bool
		want     []string
	}{
		{name: "nothing differs though layers do", a: layers{{file("a", "1"), file("b", "2")}}, b: layers{{file("b", "2"), file("a", "1")}}},
		{name: "bytes, size", a: layers{{file("f", "f")}}, b: layers{{file("f", long)}}, want: []string{"changed f (content size)"}},
		{name: "mode", a: layers{{file("f", "f")}}, b: layers{{setuid}}, want: []string{"changed f (mode)"}},
		{name: "owner", a: layers{{file("f", "f")}}, b: layers{{owned(file("f", "f"), 5, 6, 0o644)}}, want: []string{"changed f (owner)"}},
		{name: "attributes", a: layers{{file("f", "f")}}, b: layers{{capable}}, want: []string{"changed f (xattrs)"}},
		{name: "where a link leads", a: layers{{symlink("l", "a")}}, b: layers{{symlink("l", "b")}}, want: []string{"changed l (target)"}},
		{name: "what it is", a: layers{{symlink("l", "a")}}, b: layers{{folder("l")}}, want: []string{"changed l (type mode)"}},
		{name: "time", a: layers{{at(1, file("f", "f"))}}, b: layers{{at(2, file("f", "f"))}}, want: []string{"changed f (time)"}},
		{name: "no time", a: layers{{at(1, file("f", "f"))}}, b: layers{{at(2, file("f", "f"))}}, semantic: true},
		{
			name: "folders come before what is in them", a: layers{{file("a-b", "")}}, b: layers{{file("a/b/c", ""), file("a.b", "")}},
			want: []string{"added a", "added a/b", "added a/b/c", "removed a-b", "added a.b"},
		},
		{
			name: "layers of their own cover each other", a: layers{{file("a", "1"), file("b", "1")}, {file("a", "2"), file(".wh.b", "")}}, b: layers{{file("a", "2")}},
		},
		{
			name: "both write over what they share", a: layers{{file("f", "0")}, {file("f", "1")}}, b: layers{{file("f", "0")}, {file("f", "2")}},
			want: []string{"changed f (content)"},
		},
		{
			name: "one removes what the other one writes", a: layers{{file("d/f", "0")}, {file(".wh.d", "")}}, b: layers{{file("d/f", "0")}, {file("d/f", "2")}},
			want: []string{"added d", "added d/f"},
		},
		{
			name: "what one alone has to say takes what they share", a: layers{{file("f", "0")}, {file("a", "1")}}, b: layers{{file("f", "0")}, {file("f", "0"), file(".wh.g", "")}},
			want: []string{"touched a by A?", "touched f by B?", "touched g by B?"},
		},
		{
			name: "which is read where it is asked for", a: layers{{file("f", "0")}, {file("a", "1")}}, b: layers{{file("f", "0")}, {file("f", "0"), file(".wh.g", "")}},
			full: true, want: []string{"removed a"},
		},
		{
			name: "a shared layer above may cover all", a: layers{{file("f", "0"), file("g", "0")}, {file("f", "2")}}, b: layers{{file("f", "1"), file("g", "1")}, {file("f", "2")}},
			want: []string{"changed f (content)?", "changed g (content)?"},
		},
		{
			name: "and does", a: layers{{file("f", "0"), file("g", "0")}, {file("f", "2")}}, b: layers{{file("f", "1"), file("g", "1")}, {file("f", "2")}},
			full: true, want: []string{"changed g (content)"},
		},
		{
			name: "a folder is emptied on one side", a: layers{{file("d/f", "0")}, {folder("d"), file("d/.wh..wh..opq", ""), file("d/g", "1")}}, b: layers{{file("d/f", "0")}, {file("d/f", "0"), file("d/g", "1")}},
			want: []string{"touched d by AB?", "added d/f"},
		},
		{
			name: "the root", a: layers{{file("f", "0")}, {owned(folder("."), 0, 0, 0o700)}}, b: layers{{file("f", "0")}, {owned(folder("."), 0, 0, 0o755)}},
			want: []string{"changed  (mode)"},
		},
		{
			name: "a name more of a file that they share", a: layers{{file("f", "0")}, {hardlink("g", "f")}}, b: layers{{file("f", "0")}, {file("g", "0")}},
			want: []string{"touched g by AB?"},
		},
		{
			name: "which is the same file", a: layers{{file("f", "0")}, {hardlink("g", "f")}}, b: layers{{file("f", "0")}, {file("g", "0")}}, full: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b builder
			c := compared(t, &b.place, b.of(tt.a...), b.of(tt.b...), image.Reader{}, image.CompareOptions{Full: tt.full, Semantic: tt.semantic, Parts: image.PartFiles})
			if diff := cmp.Diff(tt.want, changed(c)); diff != "" {
				t.Errorf("%s", diff)
			}
			if c.Same() != (len(tt.want) == 0) {
				t.Errorf("same is %v", c.Same())
			}
			if unsettled := strings.Contains(strings.Join(tt.want, ""), "?"); unsettled != (len(c.Unread) > 0) {
				t.Errorf("unread are %v", c.Unread)
			}
		})
	}
}

func TestOnlyLayersThatAreNotSharedAreRead(t *testing.T) {
	var b builder
	shared := []ocispec.Descriptor{b.layer(file("a", "a")), b.layer(file("b", "b")), b.layer(file("var/lib/dpkg/status", dpkg("x 1", "y 1"))), b.layer(file("d", "d"))}
	one, two := b.layer(file("app", "1"), file("var/lib/dpkg/status", dpkg("x 1", "y 2"))), b.layer(file("app", "2"), file("var/lib/dpkg/status", dpkg("x 1", "y 1", "z 1")))
	of := func(all ...ocispec.Descriptor) content.Manifest {
		var config ocispec.Image
		for _, d := range all {
			c, err := image.Reader{}.Contents(t.Context(), &b.place, d)
			must(err)
			config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, c.DiffID)
		}
		return b.image(config, all...)
	}
	first, second := of(append(slices.Clone(shared), one)...), of(append(slices.Clone(shared), two)...)
	src := &counted{Source: &b.place}
	cache := &memoryCache{}
	c := compared(t, src, first, second, image.Reader{Cache: cache}, image.CompareOptions{})
	if want := map[digest.Digest]int{one.Digest: 1, two.Digest: 1}; !maps.Equal(src.opened, want) || src.bytes != one.Size+two.Size {
		t.Errorf("read %v, %d bytes of %d", src.opened, src.bytes, one.Size+two.Size)
	}
	if diff := cmp.Diff([]string{"changed app (content)", "changed var/lib/dpkg/status (content size)"}, changed(c)); diff != "" {
		t.Errorf("%s", diff)
	}
	want := []image.PackageChange{
		{Manager: "dpkg", Name: "y", Arch: "all", Was: "2", Now: "1", Change: "downgraded"},
		{Manager: "dpkg", Name: "z", Arch: "all", Now: "1", Change: "added"},
	}
	if diff := cmp.Diff(want, c.Packages); diff != "" {
		t.Errorf("%s", diff)
	}
	// The second time nothing is read, packages neither.
	again := &counted{Source: &b.place}
	if diff := cmp.Diff(want, compared(t, again, first, second, image.Reader{Cache: cache}, image.CompareOptions{}).Packages); diff != "" || len(again.opened) > 0 {
		t.Errorf("read %v again: %s", again.opened, diff)
	}
	// What is in the cache of shared layers settles what they have.
	app := of(append(slices.Clone(shared), b.layer(file("a", "a"), file("e", "e")))...)
	reader := image.Reader{Cache: cache}
	for _, d := range shared {
		_, err := reader.Contents(t.Context(), &b.place, d)
		must(err)
	}
	c = compared(t, &b.place, first, app, reader, image.CompareOptions{})
	if diff := cmp.Diff([]string{"removed app", "added e", "changed var/lib/dpkg/status (content)"}, changed(c)); diff != "" || len(c.Unread) > 0 || len(c.Packages) != 1 {
		t.Errorf("%s, unread %v, packages %v", diff, c.Unread, c.Packages)
	}
	// One image is the same as itself, for no byte.
	src = &counted{Source: &b.place}
	if c := compared(t, src, first, first, image.Reader{}, image.CompareOptions{}); !c.Same() || len(src.opened) > 0 || len(c.Layers) != 5 {
		t.Errorf("got %+v, read %v", c, src.opened)
	}
}

// dpkg returns a file of dpkg with those packages, each a name and a version.
func dpkg(packages ...string) string {
	var text strings.Builder
	for _, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		fmt.Fprintf(&text, "Package: %s\nStatus: install ok installed\nArchitecture: all\nVersion: %s\nDescription: x\n Package: no\n\n", name, version)
	}
	return text.String()
}

func TestPackagesOfEachManagerAreCompared(t *testing.T) {
	apk := func(version string) string { return "C:x\nP:musl\nV:" + version + "\nA:x86_64\n\n" }
	tests := []struct {
		name     string
		a, b     layers
		want     []string
		unlisted []string
	}{
		{name: "apk, wherever it is", a: layers{{file("lib/apk/db/installed", apk("1.2.5-r0"))}}, b: layers{{symlink("lib", "usr/lib"), file("usr/lib/apk/db/installed", apk("1.2.5-r10"))}}, want: []string{"upgraded musl 1.2.5-r0 1.2.5-r10"}},
		{name: "the same in another place", a: layers{{file("lib/apk/db/installed", apk("1"))}}, b: layers{{symlink("lib", "usr/lib"), file("usr/lib/apk/db/installed", apk("1"))}}},
		{name: "distroless", a: layers{{file("var/lib/dpkg/status.d/base", "Package: base\nVersion: 1:1~rc\n")}}, b: layers{{file("var/lib/dpkg/status.d/base", "Package: base\nVersion: 1:1\n"), file("var/lib/dpkg/status.d/base.md5sums", "x"), file("var/lib/dpkg/status.d/tz", "Package: tz\nVersion: 2\n")}}, want: []string{"upgraded base 1:1~rc 1:1", "added tz  2"}},
		{name: "removed, with its settings left", a: layers{{file("var/lib/dpkg/status", dpkg("a 1"))}}, b: layers{{file("var/lib/dpkg/status", strings.ReplaceAll(dpkg("a 1"), "install ok installed", "deinstall ok config-files"))}}, want: []string{"removed a 1 "}},
		{name: "one of a kind that nobody compares", a: layers{{file("var/lib/dpkg/status", dpkg("a one"))}}, b: layers{{file("var/lib/dpkg/status", dpkg("a two"))}}, want: []string{"changed a one two"}},
		{name: "rpm", a: layers{{file("var/lib/rpm/rpmdb.sqlite", "1")}}, b: layers{{file("var/lib/rpm/rpmdb.sqlite", "2"), file("var/lib/dpkg/status", dpkg("a 1"))}}, want: []string{"added a  1"}, unlisted: []string{"var/lib/rpm/rpmdb.sqlite"}},
		{name: "one that a shared layer has", a: layers{{file("var/lib/dpkg/status", dpkg("a 1"))}, {file("f", "")}}, b: layers{{file("var/lib/dpkg/status", dpkg("a 1"))}, {file("var/lib/dpkg/status", dpkg("a 2"))}}, unlisted: []string{"var/lib/dpkg/status"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b builder
			c := compared(t, &b.place, b.of(tt.a...), b.of(tt.b...), image.Reader{}, image.CompareOptions{Parts: image.PartPackages})
			var got, unlisted []string
			for _, p := range c.Packages {
				got = append(got, strings.Join([]string{p.Change, p.Name, p.Was, p.Now}, " "))
			}
			for _, u := range c.Unlisted {
				unlisted = append(unlisted, u.Path)
			}
			if diff := cmp.Diff(tt.want, got) + cmp.Diff(slices.Compact(unlisted), tt.unlisted); diff != "" {
				t.Errorf("%s", diff)
			}
		})
	}
}

// What is met with of lists of packages is kept up to a size for all layers together:
// what has no room is read again where it counts.
func TestListsOfPackagesAreKeptWhileThereIsRoom(t *testing.T) {
	var b builder
	var config ocispec.Image
	var layers []ocispec.Descriptor
	for _, body := range []string{dpkg("x 1") + strings.Repeat(" ", 31<<20), dpkg("x 2") + strings.Repeat(" ", 1<<20)} {
		raw := tarOf(file("var/lib/dpkg/status", body))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(raw))
		layers = append(layers, b.blob(ocispec.MediaTypeImageLayerZstd, packed(zstandard, raw)))
	}
	src := &counted{Source: &b.place}
	got := compared(t, src, b.of([]entry{file("f", "f")}), b.image(config, layers...), image.Reader{Jobs: 1, MaxUnpacked: 1 << 30}, image.CompareOptions{Parts: image.PartPackages})
	if len(got.Packages) != 1 || got.Packages[0].Now != "2" || len(got.Unlisted) > 0 {
		t.Errorf("got %v, not listed %v", got.Packages, got.Unlisted)
	}
	if n := src.opened[layers[1].Digest]; n != 2 {
		t.Errorf("the upper layer was read %d times: what is kept has no bound", n)
	}
}

func TestListsOfPackagesThatAreTooLargeTogetherAreNotCompared(t *testing.T) {
	of := func(mib int, sum digest.Digest) string {
		return fmt.Sprintf(`{"version":1,"entries":[{"type":"reg","name":"var/lib/dpkg/status","size":%d,"offset":1,"digest":%q}]}`, mib<<20, sum)
	}
	var b builder
	config := ocispec.Image{RootFS: ocispec.RootFS{DiffIDs: []digest.Digest{sumOf("one")}}}
	one := b.image(config, lying(&b, of(17, sumOf("1"))))
	config.RootFS.DiffIDs = []digest.Digest{sumOf("two")}
	two := b.image(config, lying(&b, of(16, sumOf("2"))))
	got := compared(t, &b.place, one, two, image.Reader{MaxUnpacked: 1 << 30}, image.CompareOptions{Parts: image.PartPackages})
	if len(got.Packages) > 0 || len(got.Unlisted) != 1 || got.Unlisted[0].Err == nil {
		t.Errorf("got %v, not listed %v", got.Packages, got.Unlisted)
	}
}

func TestPathsThatNeitherImageHasAreNotFound(t *testing.T) {
	var b builder
	one, two := b.of([]entry{file("f", "1")}), b.of([]entry{file("f", "2"), symlink("l", "nowhere")})
	for path, want := range map[string]error{"f": nil, "l": nil, "": nil, "g": content.ErrNotFound, "f/g": content.ErrNotFound} {
		_, err := image.Reader{}.Compare(t.Context(), image.Side{Source: &b.place, Manifest: one}, image.Side{Source: &b.place, Manifest: two}, image.CompareOptions{Paths: []string{path}})
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v", path, err)
		}
	}
}

func TestSettingsAreCompared(t *testing.T) {
	var b builder
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	later := at.Add(time.Hour)
	config := func(created *time.Time, c ocispec.ImageConfig, steps ...string) content.Manifest {
		i := ocispec.Image{Created: created, Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, Config: c}
		for _, s := range steps {
			i.History = append(i.History, ocispec.History{Created: created, CreatedBy: s, EmptyLayer: true})
		}
		return b.image(i)
	}
	one := config(&at, ocispec.ImageConfig{
		Env: []string{"PATH=/bin", "A=1", "B=2"}, Labels: map[string]string{"l": "1"}, Entrypoint: []string{"/app", "<x>"}, ExposedPorts: map[string]struct{}{"80/tcp": {}},
	}, "FROM x", "ENV A=1")
	two := config(&later, ocispec.ImageConfig{
		Env: []string{"B=2", "PATH=/bin", "C="}, Labels: map[string]string{"l": "2"}, User: "app", Volumes: map[string]struct{}{"/data": {}},
	}, "FROM x", "ENV C=", "USER app")
	want := []image.SettingChange{
		{image.OnlyB, "user", "", "", "app"},
		{image.OnlyA, "entrypoint", "", `["/app","<x>"]`, ""},
		{image.OnlyA, "env", "A", "1", ""},
		{image.OnlyB, "env", "C", "", ""},
		{image.Differs, "label", "l", "1", "2"},
		{image.OnlyA, "port", "80/tcp", "", ""},
		{image.OnlyB, "volume", "/data", "", ""},
		{image.Differs, "history", "2", "ENV A=1", "ENV C="},
		{image.OnlyB, "history", "3", "", "USER app"},
	}
	c := compared(t, &b.place, one, two, image.Reader{}, image.CompareOptions{Semantic: true})
	if diff := cmp.Diff(want, c.Settings); diff != "" {
		t.Errorf("%s", diff)
	}
	// Times and the order of variables count unless they are left out.
	moved := config(&later, ocispec.ImageConfig{
		Env: []string{"A=1", "PATH=/bin", "B=2"}, Labels: map[string]string{"l": "1"}, Entrypoint: []string{"/app", "<x>"}, ExposedPorts: map[string]struct{}{"80/tcp": {}},
	}, "FROM x", "ENV A=1")
	if c := compared(t, &b.place, one, moved, image.Reader{}, image.CompareOptions{Semantic: true}); !c.Same() {
		t.Errorf("got %v", c.Settings)
	}
	var names []string
	for _, s := range compared(t, &b.place, one, moved, image.Reader{}, image.CompareOptions{}).Settings {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"envOrder", "created", "history", "history"}, names); diff != "" {
		t.Errorf("%s", diff)
	}
}

func TestSmallTextsArePatched(t *testing.T) {
	var b builder
	one := b.of(layers{{file("f", "a\nb\n"), file("bin", "\x00a"), file("same", "x"), file("large", strings.Repeat("x", 300<<10)), file("old", "o\n")}}...)
	two := b.of(layers{{file("f", "a\nc\n"), file("bin", "\x00b"), file("same", "x"), file("large", strings.Repeat("y", 300<<10)), file("new", "n\n")}}...)
	c := compared(t, &b.place, one, two, image.Reader{}, image.CompareOptions{Patch: true})
	got := map[string]string{}
	for _, f := range c.Files {
		got[f.Path] = f.Patch
	}
	want := map[string]string{
		"f": "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n", "new": "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+n\n", "old": "--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-o\n", "bin": "", "large": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s", diff)
	}
}

func TestLayersAreAlignedWhereverTheyDiffer(t *testing.T) {
	l := func(name string) []entry { return []entry{file(name, name)} }
	var b builder
	a, z := b.of(l("1"), l("2"), l("x"), l("3"), l("4"), l("5")), b.of(l("1"), l("y"), l("2"), l("4"), l("3"), l("5"))
	c := compared(t, &b.place, a, z, image.Reader{}, image.CompareOptions{Parts: image.PartSettings})
	shared := 0
	var one, two []digest.Digest
	for _, p := range c.Layers {
		if p.Shared() {
			shared++
		}
		if p.A.Digest != "" {
			one = append(one, p.A.Digest)
		}
		if p.B.Digest != "" {
			two = append(two, p.B.Digest)
		}
	}
	of := func(m content.Manifest) (all []digest.Digest) {
		for _, d := range m.Layers() {
			all = append(all, d.Digest)
		}
		return all
	}
	if shared != 4 || !slices.Equal(one, of(a)) || !slices.Equal(two, of(z)) {
		t.Errorf("%d are shared of %v and %v", shared, one, two)
	}
}

func TestCompareRefusesWhatIsNoImage(t *testing.T) {
	var b builder
	good := b.of([]entry{file("f", "f")})
	bad := []content.Manifest{
		b.manifest(b.blob("application/vnd.example.config", []byte("{}"))),
		b.of([]entry{file("../f", "f")}),
		b.of([]entry{{tar.Header{Typeflag: tar.TypeLink, Name: "f", Linkname: "nowhere"}, ""}}),
	}
	for _, m := range bad {
		_, err := image.Reader{}.Compare(t.Context(), image.Side{Source: &b.place, Manifest: good}, image.Side{Source: &b.place, Manifest: m}, image.CompareOptions{})
		if !errors.Is(err, content.ErrInvalid) {
			t.Errorf("got %v", err)
		}
	}
}

// A path is one of the image, as it is for files and cat: /bin may be a link.
func TestPathsAreFollowedInEachImage(t *testing.T) {
	var b builder
	shared := []entry{file("shared", "s")}
	linked := func(text string) []entry {
		return []entry{folder("usr/bin"), file("usr/bin/sh", text), file("usr/lib", text), symlink("bin", "usr/bin"), symlink("sh", "/bin/sh")}
	}
	one, two := b.of(shared, linked("1")), b.of(shared, linked("22"))
	for _, full := range []bool{true, false} {
		for _, path := range []string{"bin", "bin/sh", "usr/bin/sh", "sh", "bin/../bin/sh"} {
			c, err := image.Reader{}.Compare(t.Context(), image.Side{Source: &b.place, Manifest: one}, image.Side{Source: &b.place, Manifest: two},
				image.CompareOptions{Paths: []string{path}, Parts: image.PartFiles, Full: full})
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if len(c.Files) != 1 || c.Files[0].Path != "usr/bin/sh" {
				t.Errorf("%s, full %v: got %+v", path, full, c.Files)
			}
		}
	}
}
