package image_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

type layers = [][]entry

// dIsOpaque marks folder d.
func dIsOpaque() entry { return file("d/.wh..wh..opq", "") }

func owned(e entry, uid, gid int, mode int64) entry {
	e.Uid, e.Gid, e.Mode = uid, gid, mode
	return e
}

func device(name string, kind byte, major, minor int64) entry {
	return entry{tar.Header{Typeflag: kind, Name: name, Mode: 0o600, Devmajor: major, Devminor: minor}, ""}
}

func withXattr(e entry, name, value string) entry {
	e.PAXRecords = map[string]string{"SCHILY.xattr." + name: value}
	return e
}

// merges are images whose merged file system is known to the model.
var merges = []struct {
	name   string
	layers layers
}{
	{"one layer", layers{{folder("etc"), file("etc/passwd", "root"), symlink("bin", "usr/bin")}}},
	{"no entry at all", layers{{}}},
	{"no layer at all", nil},
	{"folders that no entry tells of", layers{{file("usr/share/doc/x", "x")}}},
	{"the last writer wins", layers{{file("f", "old")}, {file("f", "new")}, {owned(file("g", "g"), 1, 2, 0o4755)}}},
	{"twice in one layer", layers{{file("f", "first"), file("f", "second")}}},
	{"a folder keeps what it has and gets other settings", layers{{folder("d"), file("d/f", "f")}, {owned(folder("d"), 5, 6, 0o1777)}}},
	{"a folder's settings come from above what is in it", layers{{file("d/e/f", "f")}, {owned(folder("d/e"), 1, 1, 0o700), owned(folder("d"), 2, 2, 0o711)}}},
	{"a file over a folder removes the subtree", layers{{file("d/e/f", "f")}, {file("d", "now a file")}}},
	{"a folder over a file", layers{{file("d", "a file")}, {folder("d"), file("d/f", "f")}}},
	{"a link over a folder and a folder over a link", layers{{file("d/f", "f"), symlink("l", "d")}, {symlink("d", "elsewhere"), folder("l")}}},
	{"a whiteout", layers{{file("d/f", "f"), file("d/g", "g")}, {file("d/.wh.f", "")}}},
	{"a whiteout of a folder", layers{{file("d/e/f", "f")}, {file("d/.wh.e", "")}}},
	{"a whiteout of nothing", layers{{file("f", "f")}, {file(".wh.g", ""), file("no/such/.wh.g", "")}}},
	{"a whiteout of its own layer's file", layers{{file("f", "old")}, {file("f", "new"), file(".wh.f", "")}}},
	{"a whiteout before its own layer's file", layers{{file("f", "old")}, {file(".wh.f", ""), file("f", "new")}}},
	{"a whiteout of a folder with something new in it", layers{{owned(folder("d"), 7, 7, 0o700), file("d/f", "old")}, {file("d/g", "new"), file(".wh.d", "")}}},
	{"an opaque folder", layers{{file("d/f", "f"), file("d/e/g", "g")}, {folder("d"), dIsOpaque(), file("d/h", "h")}}},
	{"an opaque folder whose mark comes last", layers{{file("d/f", "f"), owned(folder("d/e"), 3, 3, 0o700), file("d/e/g", "g")}, {file("d/e/h", "h"), dIsOpaque(), dIsOpaque()}}},
	{"an opaque root", layers{{file("f", "f")}, {file("g", "g"), file(".wh..wh..opq", "")}}},
	{"an opaque folder that is not there", layers{{}, {dIsOpaque()}}},
	{"removed and made again", layers{{file("d/f", "f")}, {file(".wh.d", "")}, {file("d/g", "g")}}},
	{"hard links", layers{{file("a", "x"), hardlink("b", "a"), hardlink("c/d", "b"), hardlink("e", "/a")}}},
	{"a hard link to a lower layer", layers{{file("a", "x")}, {hardlink("b", "a")}}},
	{"a hard link whose target is replaced", layers{{file("a", "x")}, {hardlink("b", "a")}, {file("a", "y")}}},
	{"a hard link whose target is whited out", layers{{file("d/a", "x")}, {hardlink("b", "d/a"), file(".wh.d", "")}}},
	{"hard links whose first name is whited out", layers{{file("a", "x"), hardlink("b", "a"), hardlink("c", "a")}, {file(".wh.a", "")}}},
	{"a hard link over a folder with the target in it", layers{{file("a/f", "x")}, {hardlink("a", "a/f")}}},
	{"a hard link to a link and to a device", layers{{symlink("l", "nowhere"), hardlink("m", "l"), device("null", tar.TypeChar, 1, 3), hardlink("zero", "null")}}},
	{"a hard link by way of a link", layers{{file("usr/bin/sh", "sh"), symlink("bin", "usr/bin"), hardlink("bash", "bin/sh")}}},
	{"an entry below a link", layers{{folder("usr/lib"), symlink("lib", "usr/lib")}, {file("lib/x.so", "x")}}},
	{"an entry below an absolute link", layers{{symlink("lib", "/usr/lib"), file("lib/x.so", "x")}}},
	{"an entry below a link that leads out", layers{{symlink("up", "../../../../etc"), file("up/passwd", "evil")}}},
	{"entries below chains of links", layers{{symlink("a", ".."), symlink("b", "a/.."), symlink("c", "b/d"), file("c/f", "f")}}},
	{"a whiteout below a file", layers{{file("f", "f")}, {file("f/.wh.g", ""), file("f/g/.wh.h", "")}}},
	{"a whiteout below a link", layers{{file("usr/lib/x", "x"), symlink("lib", "usr/lib")}, {file("lib/.wh.x", "")}}},
	{"a link becomes a folder and a link again", layers{{symlink("l", "/etc")}, {folder("l"), file("l/f", "f")}, {symlink("l", "/proc/self/cwd")}}},
	{"names that need cleaning", layers{{folder("./"), file("/abs", "a"), file("./d//e/./f", "f"), hardlink("/g", "./abs"), folder("."), folder("/")}}},
	{"the root has settings", layers{{owned(folder("./"), 1, 2, 0o700)}, {owned(folder(""), 3, 4, 0o711)}}},
	{"kinds of files", layers{{device("null", tar.TypeChar, 1, 3), device("sda", tar.TypeBlock, 8, 0), device("pipe", tar.TypeFifo, 0, 0)}}},
	{"extended attributes", layers{{withXattr(file("ping", "p"), "security.capability", "\x01\x00\x00\x02"), withXattr(folder("d"), "user.x", "y")}}},
	{"odd names", layers{{file("C:\\x", "x"), file("\\\\host\\x", "x"), file("caf\xe9", "latin"), file("-rf", "x"), file("a\nb", "x"), file("... /..x", "x")}}},
}

func TestExportMakesTheFileSystemThatUnpackingMakes(t *testing.T) {
	for _, tt := range merges {
		t.Run(tt.name, func(t *testing.T) {
			want := newModel()
			for _, layer := range tt.layers {
				if err := want.unpack(layer); err != nil {
					t.Fatal(err)
				}
			}
			var b builder
			got, err := export(t, &b, b.of(tt.layers...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.lines(), readExport(t, got).lines()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func export(tb testing.TB, b *builder, m content.Manifest) ([]byte, error) {
	tb.Helper()
	var out bytes.Buffer
	err := image.Export(tb.Context(), &out, &b.place, m, image.ExportOptions{})
	return out.Bytes(), err
}

func TestExportKeepsTheOrderOfLayersAndWholeTimes(t *testing.T) {
	at := time.Date(2024, 1, 2, 3, 4, 5, 600, time.UTC)
	fine := file("z", "z")
	fine.ModTime, fine.Format = at, tar.FormatPAX
	var b builder
	raw, err := export(t, &b, b.of([]entry{fine, folder("b"), file("b/c", "")}, []entry{file("a", ""), folder("b")}))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		names = append(names, h.Name)
		if h.Name == "z" && !h.ModTime.Equal(at) {
			t.Errorf("time %s, want %s", h.ModTime, at)
		}
	}
	if diff := cmp.Diff([]string{"z", "b/", "b/c", "a"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestExportRefusesWhatCannotBeUnpackedSafely(t *testing.T) {
	global := entry{tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "g", PAXRecords: map[string]string{"path": "evil"}}, ""}
	tests := []struct {
		name   string
		layers layers
	}{
		{"../x", layers{{file("../x", "")}}},
		{"a/../../x", layers{{file("a/../../x", "")}}},
		{"a/..", layers{{folder("a/..")}}},
		{"..", layers{{symlink("..", "x")}}},
		{"hard link out", layers{{file("f", ""), hardlink("l", "../f")}}},
		{"hard link to nothing", layers{{hardlink("l", "f")}}},
		{"hard link into nothing", layers{{hardlink("l", "d/f")}}},
		{"hard link to itself", layers{{file("f", ""), hardlink("f", "f")}}},
		{"hard link to a folder", layers{{folder("d"), hardlink("l", "d")}}},
		{"hard link to the root", layers{{hardlink("l", "/")}}},
		{"root as a link", layers{{symlink("/.", "/etc")}}},
		{"root as a file", layers{{file(".", "")}}},
		{"links in a circle", layers{{symlink("a", "b"), symlink("b", "a"), file("a/f", "")}}},
		{"a link to itself", layers{{symlink("a", "a"), file("a/f", "")}}},
		{"below a file", layers{{file("f", "")}, {file("f/x", "")}}},
		{"below a device", layers{{device("d", tar.TypeChar, 1, 3), file("d/x", "")}}},
		{".wh.", layers{{file(".wh.", "")}}},
		{".wh..", layers{{file("d/.wh..", "")}}},
		{".wh...", layers{{file("d/.wh...", "")}}},
		{"below a whiteout", layers{{file(".wh.d/f", "")}}},
		{"below a whiteout by way of a link", layers{{symlink("l", ".wh.d"), file("l/f", "")}}},
		{"a name of 5 KiB", layers{{file(long(5<<10), "")}}},
		{"a link of 5 KiB", layers{{symlink("l", long(5<<10))}}},
		{"a name that is long by way of links", layers{{symlink("l", long(3<<10)), file("l"+long(3<<10), "")}}},
		{"a header that is global", layers{{global}}},
		{"a volume's name", layers{{entry{tar.Header{Typeflag: 'V', Name: "v", Format: tar.FormatGNU}, ""}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b builder
			if _, err := export(t, &b, b.of(tt.layers...)); !errors.Is(err, content.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// long returns a name of that many bytes, of folders within folders.
func long(n int) string { return string(bytes.Repeat([]byte("/abcdefg"), n/8)) }

// AUFS left folders and links of its own in the layers that docker saved then.
func TestExportPassesOverWhatAUFSLeft(t *testing.T) {
	var b builder
	raw, err := export(t, &b, b.of([]entry{
		folder(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "linked"), file(".wh..wh.aufs", ""), folder(".wh..wh.orph"), file("x/.wh..wh.plnk/y", ""),
		hardlink("a", ".wh..wh.plnk/1.2"), hardlink("b", "/.wh..wh.plnk/1.2"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := newModel()
	if err := want.unpack([]entry{file("a", "linked"), hardlink("b", "a")}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.lines(), readExport(t, raw).lines()); diff != "" {
		t.Error(diff)
	}
}
