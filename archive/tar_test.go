package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

// onlyReader hides that a reader can seek.
type onlyReader struct{ io.Reader }

// someTar has entries of many kinds.
func someTar(tb testing.TB) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeReg, Name: "a", Size: 3},
		{Typeflag: tar.TypeDir, Name: "d/"},
		{Typeflag: tar.TypeSymlink, Name: "d/link", Linkname: "../a"},
		{Typeflag: tar.TypeReg, Name: "long/" + string(bytes.Repeat([]byte("n"), 200)), Size: 3, Format: tar.FormatPAX},
		{Typeflag: tar.TypeReg, Name: "gnu/" + string(bytes.Repeat([]byte("n"), 200)), Size: 3, Format: tar.FormatGNU},
	} {
		if err := w.WriteHeader(&h); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte("abc")[:h.Size]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

// FuzzTarIndex indexes anything, by seeking and by reading: both find the same
// files, within the bytes there are, and archive/tar reads the same from them.
func FuzzTarIndex(f *testing.F) {
	raw := someTar(f)
	f.Add(raw)
	f.Add(raw[:len(raw)-1024])
	f.Fuzz(func(t *testing.T, raw []byte) {
		sought, err := indexTar(bytes.NewReader(raw))
		read, rerr := indexTar(onlyReader{bytes.NewReader(raw)})
		if (err == nil) != (rerr == nil) {
			t.Fatalf("seeking: %v; reading: %v", err, rerr)
		}
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrCorrupt) {
				t.Errorf("an error without a class: %v", err)
			}
			return
		}
		for name, file := range sought.files {
			if read.files[name] != file {
				t.Errorf("%q: %+v by seeking, %+v by reading", name, file, read.files[name])
			}
			checkFile(t, sought, name, int64(len(raw)))
		}
	})
}

func checkFile(t *testing.T, index *tarIndex, name string, size int64) {
	t.Helper()
	file := index.files[name]
	if file.kind == tarRegular && (file.off < 0 || file.size < 0 || file.off+file.size > size) {
		t.Errorf("%q is outside: %+v", name, file)
	}
	if at, err := index.follow(name); err == nil && at.kind != tarRegular {
		t.Errorf("%q leads to %+v", name, at)
	}
}

func TestNamesStayWithinTheArchive(t *testing.T) {
	tests := []struct {
		name, want string
		ok         bool
	}{
		{"a/b", "a/b", true},
		{"./a", "a", true},
		{"/a", "a", true},
		{"//a//b/", "a/b", true},
		{"a/../b", "b", true},
		{"", ".", true},
		{"..", "..", false},
		{"../a", "../a", false},
		{"/..", "..", false},
		{"a/../../b", "../b", false},
		{"..a", "..a", true},
	}
	for _, tt := range tests {
		got, ok := clean(tt.name)
		if got != tt.want || ok != tt.ok {
			t.Errorf("clean(%q) = %q, %t; want %q, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}
