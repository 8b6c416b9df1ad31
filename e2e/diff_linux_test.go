package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A diffPair is two images that are compared, each put into a layout under the name it is given.
type diffPair struct {
	name string
	a, b func(t *testing.T, b *box, to string)
	same bool // their files are
}

// diffPairs are real images, and what real tools make of them.
var diffPairs = []diffPair{
	{name: "nothing shared", a: copiedTo("alpine-3.20.tar"), b: copiedTo("docker-busybox-layers.tar")},
	{name: "one on top of the other", a: copiedTo("alpine-3.20.tar"), b: topped("alpine-3.20.tar", topOne)},
	{name: "two on one base", a: topped("alpine-3.20.tar", topOne), b: topped("alpine-3.20.tar", topTwo)},
	{name: "an upper layer on two bases", a: topped("alpine-3.20.tar", topOne, topThree), b: topped("alpine-3.20.tar", topTwo, topThree)},
	{name: "another compression", a: copiedTo("alpine-3.20.tar"), b: recompressed("alpine-3.20.tar"), same: true},
	{name: "13 layers and one more", a: copiedTo("docker-busybox-layers.tar"), b: topped("docker-busybox-layers.tar", topThree)},
	{name: "whiteouts", a: copiedTo("whiteout.tar"), b: topped("whiteout.tar", topOne)},
	{name: "estargz and gzip", a: copiedTo("oci-estargz.tar"), b: copiedTo("oci-gzip.tar"), same: true},
	{name: "zstd and none", a: copiedTo("oci-zstd.tar"), b: copiedTo("oci-uncompressed.tar"), same: true},
	{name: "a layer more on hello-world", a: copiedTo("docker25-hello-world.tar"), b: topped("docker25-hello-world.tar", topTwo, topThree)},
}

func copiedTo(file string) func(t *testing.T, b *box, to string) {
	return func(t *testing.T, b *box, to string) {
		t.Helper()
		b.wherry("copy", "-q", sample(t, file), "oci:layout:"+to)
	}
}

func recompressed(file string) func(t *testing.T, b *box, to string) {
	return func(t *testing.T, b *box, to string) {
		t.Helper()
		b.wherry("copy", "-q", "--compress", "zstd", sample(t, file), "oci:layout:"+to)
	}
}

// topped is copiedTo with layers on top, which umoci puts there.
func topped(file string, tops ...func(w *tar.Writer) error) func(t *testing.T, b *box, to string) {
	return func(t *testing.T, b *box, to string) {
		t.Helper()
		copiedTo(file)(t, b, to)
		for _, top := range tops {
			var layer bytes.Buffer
			w := tar.NewWriter(&layer)
			if err := top(w); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			b.write(b.path("layer.tar"), layer.String())
			b.umoci("raw", "add-layer", "--image", "layout:"+to, b.path("layer.tar"))
		}
	}
}

func entries(w *tar.Writer, all ...tar.Header) error {
	for _, h := range all {
		body := h.Linkname
		if h.Typeflag == tar.TypeReg {
			h.Size, h.Linkname = int64(len(body)), ""
		}
		h.ModTime = time.Unix(1e9, 0)
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, body); err != nil {
				return err
			}
		}
	}
	return nil
}

// A regular file has its bytes as the name it links to.
func topOne(w *tar.Writer) error {
	return entries(w,
		tar.Header{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755},
		tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o600, Linkname: "root:x:0:0\n"},
		tar.Header{Typeflag: tar.TypeReg, Name: "etc/.wh.group"},
		tar.Header{Typeflag: tar.TypeDir, Name: "app/", Mode: 0o700, Uid: 7},
		tar.Header{Typeflag: tar.TypeReg, Name: "app/one", Mode: 0o4755, Linkname: "one"},
		tar.Header{Typeflag: tar.TypeLink, Name: "app/same", Linkname: "app/one", Mode: 0o4755},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "app/link", Linkname: "one"},
		tar.Header{Typeflag: tar.TypeReg, Name: "app/covered", Mode: 0o644, Linkname: "1"},
	)
}

func topTwo(w *tar.Writer) error {
	return entries(w,
		tar.Header{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755},
		tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o600, Linkname: "root:x:0:0\nme:x:1:1\n"},
		tar.Header{Typeflag: tar.TypeDir, Name: "app/", Mode: 0o755, Uid: 7},
		tar.Header{Typeflag: tar.TypeReg, Name: "app/one", Mode: 0o4755, Linkname: "one"},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "app/link", Linkname: "two"},
		tar.Header{Typeflag: tar.TypeReg, Name: "app/covered", Mode: 0o644, Linkname: "2"},
	)
}

func topThree(w *tar.Writer) error {
	return entries(w,
		tar.Header{Typeflag: tar.TypeDir, Name: "app/", Mode: 0o711},
		tar.Header{Typeflag: tar.TypeReg, Name: "app/covered", Mode: 0o644, Linkname: "3"},
		tar.Header{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o755},
		tar.Header{Typeflag: tar.TypeReg, Name: "usr/.wh..wh..opq"},
		tar.Header{Typeflag: tar.TypeReg, Name: "usr/all", Mode: 0o644, Linkname: "there is"},
	)
}

// TestDiffIsThatOfTheUnpackedImages compares what `wherry diff` says of pairs of images with the folders that umoci
// unpacks of them, in full; with shared layers left unread, and with those known.
func TestDiffIsThatOfTheUnpackedImages(t *testing.T) {
	if os.Getuid() != 0 {
		missing.skip(t, "root (owners of what umoci unpacks)")
	}
	for _, pair := range diffPairs {
		t.Run(pair.name, func(t *testing.T) {
			b := newBox(t)
			pair.a(t, b, "a")
			pair.b(t, b, "b")
			var folders [2]map[string]string
			for i, name := range []string{"a", "b"} {
				folders[i] = unpacked(t, b, name)
			}
			want := folderChanges(folders[0], folders[1])
			if pair.same != (len(want) == 0) {
				t.Fatalf("as unpacked %d files differ", len(want))
			}
			part, full, known := diffOf(t, b), diffOf(t, b, "--full"), diffOf(t, b)
			for what, d := range map[string]diffed{"in full": full, "with what is known": known} {
				if got := d.changes("touched"); !maps.Equal(got, want) || d.Same != pair.same {
					t.Errorf("%s, the same %v: %v", what, d.Same, distinct(got, want))
				}
			}
			if part.Same != pair.same {
				t.Errorf("without the shared layers, the same %v", part.Same)
			}
			part.check(t, want)
		})
	}
}

// check reports what is settled and wrong, or left out.
func (d diffed) check(t *testing.T, want map[string]string) {
	t.Helper()
	for path, change := range d.changes("unsettled") {
		if want[path] != change {
			t.Errorf("%s is settled as %s, and is %q", path, change, want[path])
		}
	}
	all := d.changes()
	for path := range want {
		if !nameOrFolder(all, path) {
			t.Errorf("%s is left out", path)
		}
	}
}

// unpacked describes what umoci unpacks of an image. It reads no zstd: of that it is what `wherry export` writes.
func unpacked(t *testing.T, b *box, name string) map[string]string {
	t.Helper()
	if strings.Contains(b.wherry("manifest", "oci:layout:"+name), "tar+zstd") {
		b.wherry("export", "-o", name+".tar", "oci:layout:"+name)
		return describeTar(t, b.path(name+".tar"))
	}
	b.umoci("raw", "unpack", "--image", "layout:"+name, name)
	all := describeFolder(t, b.path(name))
	delete(all, "config.json") // umoci's own
	return all
}

type diffed struct {
	Same  bool
	Files []struct {
		Change    string
		Path      string
		Unsettled bool
	}
}

// diffOf compares the files of a and b.
func diffOf(t *testing.T, b *box, flags ...string) diffed {
	t.Helper()
	var d diffed
	out := b.wherry(append([]string{"diff", "--json", "--only", "files", "oci:layout:a", "oci:layout:b"}, flags...)...)
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// changes returns what became of each path but the root, without those that are left out.
func (d diffed) changes(leaveOut ...string) map[string]string {
	all := map[string]string{}
	for _, f := range d.Files {
		unsettled := f.Unsettled && slices.Contains(leaveOut, "unsettled")
		if path := strings.TrimSuffix(f.Path, "/"); path != "" && !unsettled && !slices.Contains(leaveOut, f.Change) {
			all[path] = f.Change
		}
	}
	return all
}

// folderChanges is changes of two folders. Which names are of one file is left out.
func folderChanges(a, b map[string]string) map[string]string {
	own := func(line string) string {
		line, _, _ = strings.Cut(line, " also [")
		return line
	}
	all := map[string]string{}
	for path, was := range a {
		now, ok := b[path]
		switch {
		case !ok:
			all[path] = "removed"
		case own(was) != own(now):
			all[path] = "changed"
		}
	}
	for path := range b {
		if _, ok := a[path]; !ok {
			all[path] = "added"
		}
	}
	return all
}

// nameOrFolder reports whether path is among all, or a folder that it is in.
func nameOrFolder(all map[string]string, path string) bool {
	for path != "" {
		if _, ok := all[path]; ok {
			return true
		}
		path = path[:max(0, strings.LastIndexByte(path, '/'))]
	}
	return false
}

// distinct returns the entries of one map that the other one does not have.
func distinct(got, want map[string]string) []string {
	var all []string
	for path, change := range got {
		if want[path] != change {
			all = append(all, path+" is not "+change+" but "+want[path])
		}
	}
	for path, change := range want {
		if _, ok := got[path]; !ok {
			all = append(all, path+" is "+change+", which is not said")
		}
	}
	slices.Sort(all)
	return all
}
