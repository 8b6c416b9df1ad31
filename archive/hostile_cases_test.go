package archive_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A hostile is an archive that must be refused.
type hostile struct {
	name string
	raw  func(tb testing.TB) io.Reader
	want error
	says string
}

// bytesOf makes a case of whole bytes.
func bytesOf(raw func(tb testing.TB) []byte) func(tb testing.TB) io.Reader {
	return func(tb testing.TB) io.Reader { tb.Helper(); return bytes.NewReader(raw(tb)) }
}

// streamed makes a case that is read without a path only, for one that costs seconds each time.
func streamed(raw func(tb testing.TB) io.Reader) func(tb testing.TB) io.Reader {
	return func(tb testing.TB) io.Reader { tb.Helper(); return io.MultiReader(raw(tb)) }
}

// tarOf makes a case of entries.
func tarOf(files ...file) func(tb testing.TB) io.Reader {
	return bytesOf(func(tb testing.TB) []byte { tb.Helper(); return makeTar(tb, files...) })
}

// imageWith is a good docker archive with other entries added, after it.
func imageWith(files ...file) func(tb testing.TB) io.Reader {
	return tarOf(append(good(), files...)...)
}

func good() []file {
	return []file{{name: "c", body: `{"rootfs":{"diff_ids":["` + digest.FromString("layer").String() + `"]}}`}, {name: "1", body: "layer"}, saved("c", []string{"a:1"}, "1")}
}

// docker is a docker archive with the given manifest.json entry.
func docker(config string, layers ...string) func(tb testing.TB) io.Reader {
	return tarOf(append(good()[:2], link("link-out", "../../etc/passwd"), link("abs", "/etc/passwd"), hardlink("hard-out", "../x"),
		link("circle", "d/circle"), link("d/circle", "../circle"), link("self", "self"), hardlink("hard", "hard"),
		file{name: "fifo", head: tar.Header{Typeflag: tar.TypeFifo}}, file{name: "dir/", head: tar.Header{Typeflag: tar.TypeDir}},
		saved(config, nil, layers...))...)
}

func layout(files ...file) func(tb testing.TB) io.Reader {
	return tarOf(append([]file{layoutMark}, files...)...)
}

// patched changes the header block at offset at and mends its checksum.
func patched(tb testing.TB, raw []byte, at int, change func(block []byte)) []byte {
	tb.Helper()
	block := raw[at : at+512]
	change(block)
	copy(block[148:156], "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return raw
}

// sized is a tar whose first entry says it has another size.
func sized(field string) func(tb testing.TB) io.Reader {
	return bytesOf(func(tb testing.TB) []byte {
		tb.Helper()
		return patched(tb, makeTar(tb, good()...), 0, func(b []byte) { copy(b[124:136], field) })
	})
}

// base256 is how tar writes numbers that octal digits cannot say.
func base256(n uint64) string {
	field := make([]byte, 12)
	binary.BigEndian.PutUint64(field[4:], n)
	field[0] |= 0x80
	return string(field)
}

// zeroes is n zeros, packed.
func zeroes(n int64, to func(w io.Writer) (io.WriteCloser, error)) func(tb testing.TB) io.Reader {
	return func(testing.TB) io.Reader {
		r, w := io.Pipe()
		go func() {
			z, err := to(w)
			if err == nil {
				_, err = io.CopyN(z, endless{}, n)
			}
			if err == nil {
				err = z.Close()
			}
			_ = w.CloseWithError(err) // it never fails
		}()
		return r
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func toGzip(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestSpeed) }

// xzBomb begins an xz file whose block asks for a dictionary of 1.5 GiB.
func xzBomb(testing.TB) []byte {
	b := []byte{0xfd, '7', 'z', 'X', 'Z', 0, 0, 1}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b[6:8]))
	header := []byte{2, 0, 0x21, 1, 37, 0, 0, 0}
	b = append(b, header...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(header))
	return append(b, 1, 0, 0, 'x', 0)
}

// hostiles returns the cases: the rows are those of the catalogue of bad input for archives.
func hostiles(tb testing.TB) []hostile {
	tb.Helper()
	manyLayers := strings.Repeat(`"1",`, 1100)
	return slices.Concat(hostileNames(), hostileTars(), hostileCompression(), []hostile{
		{"an empty file", tarOf(), content.ErrInvalid, "empty"},
		{"no bytes at all", bytesOf(func(testing.TB) []byte { return nil }), content.ErrInvalid, "empty"},
		{"text", bytesOf(func(testing.TB) []byte { return []byte(strings.Repeat("<html>no tar</html>\n", 100)) }), content.ErrInvalid, "not a tar"},
		{"a short text", bytesOf(func(testing.TB) []byte { return []byte("404 page not found\n") }), content.ErrInvalid, "not a tar"},
		{"a tar of something else", tarOf(file{name: "etc/passwd", body: "root"}), content.ErrInvalid, "neither"},
		{"repositories only", tarOf(file{name: "repositories", body: "{}"}), content.ErrInvalid, "docker older than 1.10"},

		{"two manifest.json", imageWith(saved("c", nil, "1")), content.ErrInvalid, "twice"},
		{"two manifest.json that are equal", imageWith(good()[2]), content.ErrInvalid, "twice"},
		{"manifest.json is a link", tarOf(file{name: "m", body: "[]"}, link("manifest.json", "m")), content.ErrInvalid, "not a regular file"},
		{"manifest.json and a link lead to each other", tarOf(link("manifest.json", "a"), link("a", "manifest.json")), content.ErrInvalid, "not a regular file"},
		{"manifest.json is huge", imageWithout(file{name: "manifest.json", body: strings.Repeat(" ", 2<<20)}), content.ErrInvalid, "more than 1048576"},
		{"manifest.json with 1e5 entries", imageWithout(file{name: "manifest.json", body: "[" + strings.Repeat("{},", 1e5) + "{}]"}), content.ErrInvalid, "no config"},
		{"manifest.json is no JSON", imageWithout(file{name: "manifest.json", body: "[{"}), content.ErrInvalid, "not JSON"},
		{"manifest.json is an object", imageWithout(file{name: "manifest.json", body: "{}"}), content.ErrInvalid, "not JSON"},
		{"manifest.json has null", imageWithout(file{name: "manifest.json", body: "[null]"}), content.ErrInvalid, "no config"},
		{"manifest.json says the config twice", imageWithout(file{name: "manifest.json", body: `[{"Config":"c","config":"1","Layers":["1"]}]`}), content.ErrInvalid, "ambiguous"},
		{"more layers than diff IDs", docker("c", "1", "1"), content.ErrInvalid, "1 diff IDs for 2 layers"},
		{"more layers than a manifest may have", imageWithout(
			file{name: "c", body: `{"rootfs":{"diff_ids":[` + strings.TrimSuffix(strings.Repeat(`"`+digest.FromString("layer").String()+`",`, 1100), ",") + `]}}`}, file{name: "1", body: "layer"},
			file{name: "manifest.json", body: `[{"Config":"c","Layers":[` + strings.TrimSuffix(manyLayers, ",") + `]}]`}), content.ErrInvalid, "over the limit"},
		{"a config of 5 MiB", imageWithout(file{name: "c", body: strings.Repeat(" ", 5<<20)}, file{name: "manifest.json", body: `[{"Config":"c"}]`}), content.ErrInvalid, "more than"},
		{"a config that is no JSON", imageWithout(file{name: "c", body: "no"}, file{name: "manifest.json", body: `[{"Config":"c"}]`}), content.ErrInvalid, "not JSON"},
		{"a diff ID that is a path", imageWithout(file{name: "c", body: `{"rootfs":{"diff_ids":["sha256:../../x"]}}`}, file{name: "1"}, file{name: "manifest.json", body: `[{"Config":"c","Layers":["1"]}]`}), content.ErrInvalid, "diff ID"},
		{"two configs with different bytes", tarOf(append(good(), file{name: "c", body: "{}"})...), content.ErrInvalid, "twice"},

		{"an index without oci-layout", tarOf(file{name: "index.json", body: "{}"}), content.ErrInvalid, "no oci-layout"},
		{"oci-layout of another version", tarOf(file{name: "oci-layout", body: `{"imageLayoutVersion":"2.0.0"}`}, file{name: "index.json", body: "{}"}), content.ErrInvalid, "version"},
		{"oci-layout is no JSON", tarOf(file{name: "oci-layout"}, file{name: "index.json", body: "{}"}), content.ErrInvalid, "oci-layout"},
		{"index.json is a FIFO", layout(file{name: "index.json", head: tar.Header{Typeflag: tar.TypeFifo}}), content.ErrInvalid, "not a regular file"},
		{"index.json is a link", layout(link("index.json", "/etc/passwd")), content.ErrInvalid, "not a regular file"},
		{"two index.json", layout(file{name: "index.json", body: "{}"}, file{name: "index.json", body: "{}"}), content.ErrInvalid, "twice"},
		{"index.json is 20 MiB of spaces", layout(file{name: "index.json", body: strings.Repeat(" ", 20<<20)}), content.ErrInvalid, "more than"},
		{"index.json with 1e6 entries", layout(file{name: "index.json", body: `{"manifests":[` + strings.Repeat("{},", 1e6) + `{}]}`}), content.ErrInvalid, "descriptor"},
		{"index.json with 66,000 good entries", streamed(layout(file{name: "index.json", body: manyRoots(66_000)})), content.ErrInvalid, "more than 65536"},
		{"index.json has manifests twice", layout(file{name: "index.json", body: `{"manifests":[],"manifests":[]}`}), content.ErrInvalid, "ambiguous"},
		{"index.json has Manifests", layout(file{name: "index.json", body: `{"Manifests":[]}`}), content.ErrInvalid, "ambiguous"},
		{"index.json has a digest that is a path", layout(file{name: "index.json", body: `{"manifests":[{"mediaType":"x","digest":"sha256:../../../etc/passwd","size":1}]}`}), content.ErrInvalid, "hex digits"},
		{"index.json has a size of -1", layout(indexJSON(tb, ocispec.Descriptor{MediaType: "x", Digest: digest.FromString("x"), Size: -1})), content.ErrInvalid, "size -1"},
		{"index.json has two sizes for one manifest", layout(indexJSON(tb, describe("x", "x"), ocispec.Descriptor{MediaType: "x", Digest: digest.FromString("x"), Size: 2})), content.ErrCorrupt, "bytes"},
		{"index.json is cut off", layout(file{name: "index.json", body: `{"manifests":[`}), content.ErrInvalid, "not JSON"},
		{"index.json goes on after its end", layout(file{name: "index.json", body: `{"manifests":[]} {}`}), content.ErrInvalid, "after the end"},
		{"index.json nested 1e5 deep", layout(file{name: "index.json", body: `{"x":` + strings.Repeat("[", 1e5) + strings.Repeat("]", 1e5) + `}`}), content.ErrInvalid, "JSON"},
		{"a manifest whose size is another", layout(blob("{}"), indexJSON(tb, ocispec.Descriptor{MediaType: "x", Digest: digest.FromString("{}"), Size: 3})), content.ErrCorrupt, "got 2 bytes"},
		{"a manifest whose bytes are others", layout(file{name: blobName("{}"), body: "[]"}, indexJSON(tb, describe("x", "{}"))), content.ErrCorrupt, "digest"},
		{"a manifest of 5 MiB", layout(blob(strings.Repeat(" ", 5<<20)), indexJSON(tb, describe("x", strings.Repeat(" ", 5<<20)))), content.ErrInvalid, "more than"},
		{"a manifest that is a link", layout(file{name: "x", body: "{}"}, link(blobName("{}"), "../../x"), indexJSON(tb, describe("x", "{}"))), content.ErrInvalid, "not a regular file"},
		{"a manifest that is a folder", layout(file{name: blobName("{}") + "/", head: tar.Header{Typeflag: tar.TypeDir}}, indexJSON(tb, describe("x", "{}"))), content.ErrInvalid, "not a regular file"},
		{"a manifest that is sparse", layout(sparse(blobName("{}")), indexJSON(tb, describe("x", "{}"))), content.ErrInvalid, "sparse"},
	})
}

// imageWithout is a tar of other entries only; it reads better in the table.
func imageWithout(files ...file) func(tb testing.TB) io.Reader { return tarOf(files...) }

func sparse(name string) file {
	return file{name: name, body: "", head: tar.Header{Typeflag: tar.TypeGNUSparse, Format: tar.FormatGNU}}
}

func manyRoots(n int) string {
	var b strings.Builder
	b.WriteString(`{"manifests":[`)
	for i := range n {
		fmt.Fprintf(&b, `{"mediaType":"x","digest":"sha256:%064x","size":1},`, i)
	}
	return strings.TrimSuffix(b.String(), ",") + "]}"
}

func hostileNames() []hostile {
	return []hostile{
		{"an entry above the root", imageWith(file{name: "../x", body: "x"}), content.ErrInvalid, "leads out"},
		{"an entry that goes down and up", imageWith(file{name: "a/../../x", body: "x"}), content.ErrInvalid, "leads out"},
		{"an absolute entry above the root", imageWith(file{name: "/../x", body: "x"}), content.ErrInvalid, "leads out"},
		{"a link above the root", imageWith(link("../x", "y")), content.ErrInvalid, "leads out"},
		{"a name of 5 KiB", imageWith(file{name: strings.Repeat("a/", 2500) + "a"}), content.ErrInvalid, "more than 4096 bytes"},
		{"a link to 5 KiB", imageWith(link("x", strings.Repeat("a/", 2500))), content.ErrInvalid, "more than 4096 bytes"},
		{"a file and a link of one name", imageWith(link("1", "c")), content.ErrInvalid, "two different things"},
		{"two links of one name", imageWith(link("x", "c"), link("x", "1")), content.ErrInvalid, "two different things"},

		{"a config above the root", docker("../../etc/passwd", "1"), content.ErrInvalid, "leads out"},
		{"a layer above the root", docker("c", "../../etc/passwd"), content.ErrInvalid, "leads out"},
		{"an absolute layer", docker("c", "/etc/passwd"), content.ErrInvalid, "not in the archive"},
		{"a layer that is not there", docker("c", "2"), content.ErrInvalid, "not in the archive"},
		{"a config that is not there", docker("d", "1"), content.ErrInvalid, "not in the archive"},
		{"a layer that is a link out", docker("c", "link-out"), content.ErrInvalid, "leads out"},
		{"a layer that is an absolute link", docker("c", "abs"), content.ErrInvalid, "not in the archive"},
		{"a layer that is a hard link out", docker("c", "hard-out"), content.ErrInvalid, "leads out"},
		{"a layer in a circle of links", docker("c", "circle"), content.ErrInvalid, "circle"},
		{"a layer that is a link to itself", docker("c", "self"), content.ErrInvalid, "circle"},
		{"a config that is a hard link to itself", docker("hard", "1"), content.ErrInvalid, "circle"},
		{"a layer that is a FIFO", docker("c", "fifo"), content.ErrInvalid, "not a regular file"},
		{"a layer that is a folder", docker("c", "dir"), content.ErrInvalid, "not a regular file"},
		{"a layer with a NUL in its name", docker("c", "1\x00"), content.ErrInvalid, "not in the archive"},
		{"a layer without a name", docker("c", ""), content.ErrInvalid, "not in the archive"},
	}
}

func hostileTars() []hostile {
	pax := func(records map[string]string) file {
		return file{name: "x", body: "x", head: tar.Header{Typeflag: tar.TypeReg, Size: 1, PAXRecords: records, Format: tar.FormatPAX}}
	}
	global := func(records map[string]string) file {
		return file{head: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: records}}
	}
	return []hostile{
		{"a size of 8 EiB", sized(base256(1<<63 - 1)), content.ErrInvalid, "has 9223372036854775807 bytes"},
		{"a size of nearly 8 EiB", sized(base256(1<<63 - 1024)), content.ErrInvalid, "bytes"},
		{"a size of 8 GiB", sized("77777777777\x00"), content.ErrCorrupt, "cut off"},
		{"a negative size", sized("\xff" + strings.Repeat("\xff", 11)), content.ErrInvalid, "not a tar"},
		{"a size that is no number", sized("12z45678901\x00"), content.ErrInvalid, "not a tar"},
		{"a checksum that is off by one", bytesOf(func(tb testing.TB) []byte {
			tb.Helper()
			raw := makeTar(tb, good()...)
			raw[0]++
			return raw
		}), content.ErrInvalid, "not a tar"},
		{"a header that is broken in the middle", bytesOf(func(tb testing.TB) []byte {
			tb.Helper()
			raw := makeTar(tb, good()...)
			raw[1024]++
			return raw
		}), content.ErrInvalid, "broken tar header after 1"},
		{"a PAX header of 2 MiB", bytesOf(func(tb testing.TB) []byte {
			tb.Helper()
			raw := makeTar(tb, append([]file{pax(map[string]string{"WHERRY.x": "y"})}, good()...)...)
			return patched(tb, append(raw, make([]byte, 2<<20)...), 0, func(b []byte) { copy(b[124:136], "00010000000\x00") })
		}), content.ErrInvalid, "not a tar"},
		{"a global PAX header that sets sizes", imageWith(global(map[string]string{"size": "1"})), content.ErrInvalid, "global"},
		{"a global PAX header that sets paths", imageWith(global(map[string]string{"path": "manifest.json"})), content.ErrInvalid, "global"},
		{"two sizes of one entry", bytesOf(func(tb testing.TB) []byte {
			tb.Helper()
			raw := makeTar(tb, append([]file{pax(map[string]string{"WHERRY.size": "1"})}, good()...)...)
			// The record becomes two of the same length together; the ustar header then says another size.
			at := bytes.Index(raw, []byte("17 WHERRY.size=1"))
			copy(raw[at:], "9 size=1\n8 a=bcd\n")
			return patched(tb, raw, 1024, func(b []byte) { copy(b[124:136], "00000000777\x00") })
		}), content.ErrInvalid, "two sizes"},
		{"132,000 empty entries", manyEntries(132_000), content.ErrInvalid, "more than 131072 entries"},
		{"names of 20 MiB", manyNames(5_000), content.ErrInvalid, "the names of the entries"},
		{"bytes after the end", bytesOf(func(tb testing.TB) []byte { tb.Helper(); return append(makeTar(tb, good()...), "junk"...) }), content.ErrInvalid, "after the end"},
		{"a second tar after the end", bytesOf(func(tb testing.TB) []byte {
			tb.Helper()
			return append(makeTar(tb, good()...), makeTar(tb, good()...)...)
		}), content.ErrInvalid, "after the end"},
		{"endless zeros after the end", func(tb testing.TB) io.Reader {
			tb.Helper()
			return io.MultiReader(bytes.NewReader(makeTar(tb, good()...)), io.LimitReader(endless{}, 1<<30))
		}, content.ErrInvalid, "padding"},
	}
}

// stream makes a tar on the fly.
func stream(fill func(w *tar.Writer) error) func(tb testing.TB) io.Reader {
	return func(testing.TB) io.Reader {
		r, w := io.Pipe()
		go func() {
			b := bufio.NewWriterSize(w, 64<<10) // the reader is not woken for each header
			tw := tar.NewWriter(b)
			_ = w.CloseWithError(errors.Join(fill(tw), tw.Close(), b.Flush())) // it never fails
		}()
		return r
	}
}

func manyEntries(n int) func(tb testing.TB) io.Reader {
	return stream(func(w *tar.Writer) error {
		for i := range n {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("f%d", i)}); err != nil {
				return err
			}
		}
		return nil
	})
}

func manyNames(n int) func(tb testing.TB) io.Reader {
	return stream(func(w *tar.Writer) error {
		long := strings.Repeat("n", 4000)
		for i := range n {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%s%d", long, i)}); err != nil {
				return err
			}
		}
		return nil
	})
}

func hostileCompression() []hostile {
	packed := func(name string, spoil func([]byte) []byte) func(tb testing.TB) io.Reader {
		return bytesOf(func(tb testing.TB) []byte { tb.Helper(); return spoil(packers[name](tb, makeTar(tb, good()...))) })
	}
	short := func(b []byte) []byte { return b[:len(b)/2] }
	flipped := func(b []byte) []byte { b[len(b)-6] ^= 1; return b }
	return []hostile{
		{"gzip that is cut off", packed("gzip", short), content.ErrCorrupt, "cut off"},
		{"zstd that is cut off", packed("zstd", short), content.ErrCorrupt, "zstd"},
		{"xz that is cut off", packed("xz", short), content.ErrCorrupt, "xz"},
		{"gzip with a wrong checksum", packed("gzip", flipped), content.ErrCorrupt, "gzip"},
		{"xz with a wrong checksum", packed("xz", flipped), content.ErrCorrupt, "xz"},
		{"gzip with junk after it", packed("gzip", func(b []byte) []byte { return append(b, "junk and more"...) }), content.ErrCorrupt, "gzip"},
		{"the magic of gzip and no more", bytesOf(func(testing.TB) []byte { return []byte{0x1f, 0x8b} }), content.ErrCorrupt, "gzip"},
		{"bzip2 that is none", bytesOf(func(testing.TB) []byte { return []byte("BZh9 this is no bzip2 at all") }), content.ErrCorrupt, "bzip2"},
		{"gzip within gzip", bytesOf(func(tb testing.TB) []byte {
			tb.Helper()
			return packers["gzip"](tb, packers["gzip"](tb, makeTar(tb, good()...)))
		}), content.ErrInvalid, "compressed twice"},
		{"10 GiB of zeros in gzip", zeroes(10<<30, toGzip), content.ErrInvalid, "padding"},
		{"a layer of zeros that is over the limit", func(tb testing.TB) io.Reader {
			tb.Helper()
			r, w := io.Pipe()
			go func() {
				z, _ := toGzip(w)
				tw := tar.NewWriter(z)
				err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "1", Size: 1 << 40})
				if err == nil {
					_, err = io.CopyN(tw, endless{}, 1<<40)
				}
				_ = w.CloseWithError(err) // it never fails
			}()
			return r
		}, content.ErrInvalid, "unpacks to more than"},
		{"a zstd window of 2 GiB", bytesOf(func(tb testing.TB) []byte {
			tb.Helper()
			b := packers["zstd"](tb, make([]byte, 1<<20))
			// A frame header with a window descriptor (RFC 8878, 3.1.1.1): exponent 21 is 2 GiB.
			return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3}, b[6:]...)
		}), content.ErrInvalid, "window"},
		{"an xz dictionary of 1.5 GiB", bytesOf(xzBomb), content.ErrInvalid, "dictionary"},
		{"an xz dictionary of 1.5 GiB in the second stream", bytesOf(func(tb testing.TB) []byte {
			tb.Helper()
			return append(packers["xz"](tb, makeTar(tb, good()...)), xzBomb(tb)...)
		}), content.ErrInvalid, "dictionary"},
	}
}
