package badinput

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// layers are tars that somebody who unpacks them had better be careful with. A copy does not unpack them.
func layers(tb testing.TB) map[string][]byte {
	tb.Helper()
	return map[string][]byte{
		"names out of the root": packed(tb, file("/abs", "x"), file("../x", "x"), file("a/../../x", "x"), special(tar.TypeDir, "./"), special(tar.TypeDir, "."),
			file("/.", "x"), file(`C:\x`, "x"), file(`\\host\x`, "x"), file(strings.Repeat("n/", 2500)+"x", "x"), file("\xff\xfe", "x")),
		"links out of the root and through them": packed(tb, symlink("out", "/"), file("out/x", "x"), symlink("a", ".."), symlink("a/b", ".."), file("a/b/c", "x"),
			special(tar.TypeDir, "a"), symlink("self", "/proc/self/cwd"), file("self/x", "x")),
		"hard links to what is not there": packed(tb, hardlink("a", "../../etc/passwd"), hardlink("b", "missing"), hardlink("c", "c"), symlink("s", "/etc"), hardlink("d", "s")),
		"devices, pipes and privileges":   packed(tb, special(tar.TypeChar, "null"), special(tar.TypeBlock, "sda"), special(tar.TypeFifo, "pipe"), privileged()),
		"whiteouts of all kinds": packed(tb, file(".wh.", ""), file(".wh..", ""), file(".wh.../x", ""), file("d/x", "x"), file("d/.wh..wh..opq", ""), file("d/.wh..wh..opq", ""),
			file("f", "x"), file(".wh.f", ""), symlink("l", "/"), file("l/.wh.etc", ""), special(tar.TypeDir, ".wh..wh.plnk")),
		"names that stand there twice": packed(tb, file("a", "1"), file("a", "2"), special(tar.TypeDir, "b"), file("b", "x"), special(tar.TypeDir, "b"), file("C", "x"), file("c", "x")),
		"sparse files and headers two readers read apart": packed(tb, testimage.Entry{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"size": "1"}}},
			testimage.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: "pax", PAXRecords: map[string]string{"WHERRY.x": strings.Repeat("x", 900<<10)}}}),
		"no end":                      packed(tb, file("a", "x"))[:1024],
		"bytes after the end":         append(packed(tb, file("a", "x")), "junk"...),
		"no tar":                      []byte("no tar at all"),
		"a size of 8 EiB":             sized(tb, base256(1<<63-1)),
		"a checksum off by one":       spoilt(packed(tb, file("a", "x")), 0),
		"gzip, two members":           append(gzipped(tb, packed(tb, file("a", "x"))), gzipped(tb, packed(tb, file("b", "x")))...),
		"gzip, cut off":               gzipped(tb, packed(tb, file("a", "x")))[:20],
		"10 GiB of zeros in gzip":     tenGiB(),
		"gzip in gzip in gzip":        gzipped(tb, gzipped(tb, gzipped(tb, make([]byte, 1<<20)))),
		"zstd, a frame to skip":       append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}, zstandard(tb, []byte("x"))...),
		"zstd, a window of 2 GiB":     wideWindow(tb),
		"xz, a dictionary of 1.5 GiB": xzBomb(),
	}
}

// privileged is a file that would run as root.
func privileged() testimage.Entry {
	return testimage.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: "su", Mode: 0o6755, PAXRecords: map[string]string{
		"SCHILY.xattr.security.capability": "\x01", "SCHILY.xattr.trusted.overlay.opaque": "y",
	}}}
}

// TestLayersAreCopiedAsTheyAre wants the bytes of a layer to arrive, whatever is in it.
func TestLayersAreCopiedAsTheyAre(t *testing.T) {
	for name, raw := range layers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			var b testimage.Builder
			layer := testimage.Layer{Descriptor: b.Blob(ocispec.MediaTypeImageLayerGzip, raw), DiffID: "sha256:" + testDigest}
			root := s.give(&b, b.Image("linux/amd64", layer))
			for _, to := range []string{"TO/app:v1", "oci:layout:v1", "docker-archive:image.tar:app:v1"} {
				s.arrives(root, "copy", "FROM/app:v1", to)
			}
			if got, ok := s.to.Blob(repo, layer.Descriptor.Digest); !ok || !bytes.Equal(got, raw) {
				t.Errorf("the layer has other bytes")
			}
			if o := s.run(nil, "validate", "image.tar"); o.Code != 0 {
				t.Errorf("the archive is not valid: exit code %d\n%s%s", o.Code, o.stdout, o.stderr)
			}
		})
	}
}

const testDigest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func gzipped(tb testing.TB, raw []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(raw)
	must(tb, err)
	must(tb, w.Close())
	return out.Bytes()
}

// tenGiB is 10 GiB of zeros in gzip, which are 10 MiB: a member that stands there 160 times.
var tenGiB = sync.OnceValue(func() []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(make([]byte, 64<<20)) // a buffer takes everything
	_ = w.Close()
	return bytes.Repeat(out.Bytes(), 160)
})

func zstandard(tb testing.TB, raw []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	must(tb, err)
	_, err = io.Copy(w, bytes.NewReader(raw))
	must(tb, err)
	must(tb, w.Close())
	return out.Bytes()
}

// wideWindow is a zstd frame whose window descriptor (RFC 8878, 3.1.1.1) asks for 2 GiB: exponent 21.
func wideWindow(tb testing.TB) []byte {
	tb.Helper()
	return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3}, zstandard(tb, make([]byte, 1<<20))[6:]...)
}

// spoilt has one byte changed.
func spoilt(raw []byte, at int) []byte {
	raw[at]++
	return raw
}

// sized is a tar whose only entry says it has another size.
func sized(tb testing.TB, field string) []byte {
	tb.Helper()
	return patched(packed(tb, file("a", "x")), func(header []byte) { copy(header[124:136], field) })
}

// patched changes a tar's first header and mends its checksum.
func patched(raw []byte, change func(header []byte)) []byte {
	header := raw[:512]
	change(header)
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:156], octal(sum))
	return raw
}

// octal is n in six digits, as a header's checksum has it.
func octal(n int) string {
	digits := []byte("000000\x00 ")
	for i := 5; i >= 0; i-- {
		digits[i] = byte('0' + n&7)
		n >>= 3
	}
	return string(digits)
}

// base256 is how tar writes numbers that octal digits cannot say.
func base256(n uint64) string {
	field := make([]byte, 12)
	binary.BigEndian.PutUint64(field[4:], n)
	field[0] |= 0x80
	return string(field)
}
