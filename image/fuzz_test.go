package image_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

// FuzzMerge makes layers of few names, so that they often meet, and compares what
// Export, Merge and Cat make of them with what the model does.
func FuzzMerge(f *testing.F) {
	f.Add([]byte("0a1b2c"))
	f.Add([]byte{0, 1, 0, 2, 33, 1, 1, 64, 20, 0, 97, 5, 130, 3, 255, 4, 4, 4, 200, 9, 31, 66, 7, 8})
	f.Add([]byte{1, 10, 3, 2, 10, 3, 255, 255, 0, 5, 7, 3, 10, 1, 255, 255, 0, 9, 60, 0, 200, 5})
	f.Add([]byte("\xff0\xff02y00A0")) // a folder that is removed and there for what comes by way of a link
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 300 {
			return
		}
		all := layersFrom(raw)
		want := newModel()
		var refused error
		for _, layer := range all {
			if refused = want.unpack(layer); refused != nil {
				break
			}
		}
		checkMerge(t, all, refused, want)
		var b builder
		got, err := export(t, &b, b.of(all...))
		switch {
		case refused != nil && !errors.Is(err, content.ErrInvalid):
			t.Fatalf("the model refuses %v, export says %v", all, err)
		case refused != nil:
		case err != nil:
			t.Fatalf("the model takes %v, export says %v", all, err)
		default:
			checkCat(t, &b.place, b.of(all...), want)
			if diff := cmp.Diff(want.lines(), readExport(t, got).lines()); diff != "" {
				t.Errorf("%v\n%s", all, diff)
			}
		}
	})
}

// layersFrom makes layers of raw: three bytes an entry, 255 begins a layer.
func layersFrom(raw []byte) layers {
	names := []string{
		"a", "b", "a/b", "a/c", "b/a", "b/c", "a/b/c", "b/a/c", "l", "l/a", "l/b/c", "a/l", "a/l/b", "./a/", "/b",
		".wh.a", ".wh.b", ".wh.l", "a/.wh.b", "a/.wh.l", "b/.wh.a", "l/.wh.a", "l/.wh.b", ".wh..wh..opq", "a/.wh..wh..opq", "l/.wh..wh..opq", "b/a/.wh..wh..opq", ".", "a/..", ".wh.",
	}
	links := []string{"a", "b", "/a", "../b", "a/b", "l", "/", "..", "a/l", "b/../a", "a//b/.", "c/d"}
	all := layers{nil}
	for len(raw) >= 3 {
		if raw[0] == 255 {
			all, raw = append(all, nil), raw[1:]
			continue
		}
		name, to := names[int(raw[1])%len(names)], links[int(raw[2])%len(links)]
		e := file(name, string(rune('a'+raw[2]%26)))
		switch raw[0] % 6 {
		case 0, 1:
			e = owned(folder(name), int(raw[2]), 0, 0o755)
		case 2:
			e = symlink(name, to)
		case 3:
			e = hardlink(name, to)
		}
		if e.Typeflag == tar.TypeReg && name[len(name)-1] == '/' {
			e = folder(name)
		}
		last := len(all) - 1
		all[last], raw = append(all[last], e), raw[3:]
	}
	return all
}

// FuzzExport exports anything as a layer: there is no panic, every failure has a
// class, and what comes out can be unpacked.
func FuzzExport(f *testing.F) {
	for _, tt := range merges {
		for _, layer := range tt.layers {
			f.Add(tarOf(layer...))
		}
	}
	f.Add(sparse(5000))
	f.Add(packed(gzipped, tarOf(file("f", "f"))))
	f.Add(packed(zstandard, tarOf(file("f", "f"))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var b builder
		var out bytes.Buffer
		m := b.layered(ocispec.MediaTypeImageLayer, raw, raw)
		err := image.Export(t.Context(), &out, &b.place, m, image.ExportOptions{MaxUnpacked: 1 << 20})
		if err == nil {
			readExport(t, out.Bytes())
			return
		}
		if !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("no class: %v", err)
		}
	})
}
