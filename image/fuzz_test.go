package image_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"
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
	f.Add([]byte("\xff0\xff02y00A0"))                                 // a folder that is removed and there for what comes by way of a link
	f.Add([]byte("2g\xcd\xff\xa0F\xff\x13\xbf\x19\x81S\xec\x13\xad")) // a link is taken away after something was put where it leads
	// A layer tells of a folder after it has something in it, where a lower one has a link.
	f.Add([]byte("\x94m\x9es\f\xe4\x82\v\xc0t\x85\xe5\xff\xf3\xa6\xb1RG\xff1\xf0\xff\x91%\xff\xb5\xe5"))
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

// FuzzTable has a layer carry any table of contents: it is relied on within its
// limits, or passed over.
func FuzzTable(f *testing.F) {
	sum := sumOf("f").String()
	f.Add(`{"version":1,"entries":[{"type":"reg","name":"f","size":1,"offset":1,"endOffset":9,"digest":"` + sum + `"},{"type":"chunk","name":"f","offset":5}]}`)
	f.Add(`{"tarSplitDigest":"x","entries":[{"type":"dir","name":"../d/","xattrs":{"user.x":"eA=="},"modtime":"2024-01-02T03:04:05.6Z"}]}`)
	f.Add(`{"entries":[{"type":"hardlink","name":"a","linkName":"b"},{"type":"char","devMajor":-1,"uid":-1,"mode":-1}`)
	f.Fuzz(func(t *testing.T, json string) {
		var b builder
		d := lying(&b, json)
		cache := &memoryCache{}
		r := image.Reader{Cache: cache, MaxUnpacked: 1 << 20}
		first, err := r.Contents(t.Context(), &b.place, d)
		if err != nil {
			t.Fatal(err) // the layer itself is sound
		}
		if first.Size() > 1<<20 {
			t.Errorf("files of %d bytes", first.Size())
		}
		again, err := r.Contents(t.Context(), new(content.Memory), d) // an empty place
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again, cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateApproxTime(0)); diff != "" {
			t.Error(diff)
		}
		_, err = r.Cat(t.Context(), io.Discard, &b.place, b.image(ocispec.Image{}, d), "f")
		if err != nil && !errors.Is(err, content.ErrCorrupt) && !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrNotFound) && !errors.Is(err, image.ErrNotFile) {
			t.Errorf("no class: %v", err)
		}
	})
}

// FuzzFooter has any bytes be an eStargz layer: they are a layer, or refused.
func FuzzFooter(f *testing.F) {
	var b builder
	d := stargz(f, &b, tarOf(file("f", "f")))
	rc, err := b.place.Open(f.Context(), d, content.Range{})
	must(err)
	raw, err := io.ReadAll(rc)
	must(err)
	f.Add(raw, d.Annotations[stargzAnnotation])
	f.Add(raw[:len(raw)-4], d.Annotations[stargzAnnotation])
	f.Fuzz(func(t *testing.T, raw []byte, sum string) {
		var b builder
		d := b.blob(ocispec.MediaTypeImageLayerGzip, raw)
		d.Annotations = map[string]string{stargzAnnotation: sum}
		_, err := image.Reader{MaxUnpacked: 1 << 20}.Contents(t.Context(), &b.place, d)
		if err != nil && !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("no class: %v", err)
		}
	})
}

// FuzzRemembered has anything be what is remembered of a layer.
func FuzzRemembered(f *testing.F) {
	var b builder
	d := b.layer(allKinds()...)
	cache := &memoryCache{}
	want, err := image.Reader{Cache: cache}.Contents(f.Context(), &b.place, d)
	must(err)
	key, raw := cache.only()
	z, err := zstd.NewReader(nil)
	must(err)
	plain, err := z.DecodeAll(raw, nil)
	must(err)
	f.Add(plain)
	f.Add(plain[:len(plain)/2])
	f.Fuzz(func(t *testing.T, plain []byte) {
		cache := &memoryCache{}
		cache.Store(key, packed(zstandard, plain))
		got, err := image.Reader{Cache: cache}.Contents(t.Context(), &b.place, d)
		if err != nil || got.Layer != want.Layer {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
