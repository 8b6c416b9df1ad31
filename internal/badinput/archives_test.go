package badinput

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// An archiveCase is an archive, and what loading and copying it leads to.
type archiveCase struct {
	name string
	make func(tb testing.TB) io.Reader
	code int
	says string
	late bool // it is found out when the bytes are moved
}

const dockerLayer = "layer"

// saved is manifest.json for one image called app:v2.
func saved(config string, layers ...string) testimage.Entry {
	raw, _ := json.Marshal([]map[string]any{{"Config": config, "RepoTags": []string{"app:v2"}, "Layers": layers}}) //nolint:errchkjson // strings only
	return file("manifest.json", string(raw))
}

// image is what a docker archive with one layer has, besides manifest.json.
func image() []testimage.Entry {
	return []testimage.Entry{
		file("c.json", `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["`+digest.FromString(dockerLayer).String()+`"]}}`),
		file("1/layer.tar", dockerLayer),
	}
}

// of makes an archive of these entries only.
func of(entries ...testimage.Entry) func(tb testing.TB) io.Reader {
	return func(tb testing.TB) io.Reader { tb.Helper(); return bytes.NewReader(packed(tb, entries...)) }
}

// good makes a docker archive with more entries before manifest.json.
func good(more ...testimage.Entry) func(tb testing.TB) io.Reader {
	return of(slices.Concat(image(), more, []testimage.Entry{saved("c.json", "1/layer.tar")})...)
}

// naming makes a docker archive whose manifest.json names these.
func naming(config, layer string, more ...testimage.Entry) func(tb testing.TB) io.Reader {
	return of(slices.Concat(image(), more, []testimage.Entry{saved(config, layer)})...)
}

// spoiling makes a docker archive and has spoil at its bytes.
func spoiling(spoil func(tb testing.TB, raw []byte) []byte) func(tb testing.TB) io.Reader {
	return func(tb testing.TB) io.Reader {
		tb.Helper()
		raw, err := io.ReadAll(good()(tb))
		must(tb, err)
		return bytes.NewReader(spoil(tb, raw))
	}
}

func names() []archiveCase {
	deep := strings.Repeat("n/", 2500)
	return []archiveCase{
		{"names with a slash in front", of(file("/c.json", string(image()[0].Body)), file("//1/layer.tar", dockerLayer), saved("c.json", "1/layer.tar")), 0, "", false},
		{"a name above the root", good(file("../x", "x")), 6, `"../x" leads out of the archive`, false},
		{"a name that goes down and up", good(file("a/../../x", "x")), 6, "leads out of the archive", false},
		{"an absolute name above the root", good(file("/../x", "x")), 6, "leads out of the archive", false},
		{"the root, in all its names", good(special(tar.TypeDir, "./"), special(tar.TypeDir, "."), special(tar.TypeDir, "/"), special(tar.TypeDir, "/.")), 0, "", false},
		{"names of Windows", good(file(`C:\x`, "x"), file(`\\host\x`, "x")), 0, "", false},
		{"names that are not UTF-8", good(file("\xff\xfe", "x")), 0, "", false},
		{"a name of 5 KiB", good(file(deep+"x", "x")), 6, "more than 4096 bytes", false},
		{"a link to 5 KiB", good(symlink("x", deep)), 6, "more than 4096 bytes", false},
		{"a NUL in a name", naming("c.json", "1/layer.tar\x00"), 6, "is not in the archive", false},
		{"escape sequences in a name", good(file("\x1b[2J/../../x", "x")), 6, `"\x1b[2J/../../x" leads out of the archive`, false},

		{"links out of the root that nobody follows", good(symlink("a", "/etc/passwd"), symlink("b", "../.."), symlink("b/c", ".."), symlink("d", "/proc/self/cwd"), file("d/x", "x")), 0, "", false},
		{"hard links that nobody follows", good(hardlink("a", "../../etc/passwd"), hardlink("b", "missing"), hardlink("c", "c")), 0, "", false},
		{"devices, pipes and privileges", good(special(tar.TypeChar, "null"), special(tar.TypeBlock, "sda"), special(tar.TypeFifo, "pipe"), privileged()), 0, "", false},
		{"whiteouts", good(file(".wh.", ""), file(".wh..", ""), file(".wh.c.json", ""), file(".wh..wh..opq", "")), 0, "", false},
		{"two files of one name", good(file("x", "1"), file("x", "2")), 0, "", false},
		{"two configs of one name", good(file("c.json", "{}")), 6, "stands there twice, with different bytes", false},
		{"a file that becomes a folder", good(file("x", ""), special(tar.TypeDir, "x")), 6, "as two different things", false},
		{"a file that becomes a link", good(symlink("1/layer.tar", "/etc/passwd")), 6, "as two different things", false},
		{"names that differ in case", good(file("C.JSON", "{}")), 0, "", false},
	}
}

func dockerArchives() []archiveCase {
	links := []testimage.Entry{
		symlink("out", "../../etc/passwd"), symlink("abs", "/etc/passwd"), hardlink("hard", "../x"), symlink("two", "out"), symlink("three", "two"),
		symlink("circle", "d/circle"), symlink("d/circle", "../circle"), symlink("self", "self"), hardlink("same", "same"),
		special(tar.TypeFifo, "pipe"), special(tar.TypeChar, "null"), special(tar.TypeDir, "folder"), symlink("fine", "1/layer.tar"),
		hardlink("far", "nowhere"), hardlink("indirect", "out"), symlink("here", "/proc/self/cwd/c.json"),
	}
	var cases []archiveCase
	for _, bad := range []struct{ name, says string }{
		{"../../etc/passwd", "leads out of the archive"},
		{"/etc/passwd", "is not in the archive"},
		{"missing", "is not in the archive"},
		{"out", "leads out of the archive"},
		{"abs", "is not in the archive"},
		{"hard", "leads out of the archive"},
		{"two", "leads out of the archive"},
		{"three", "leads out of the archive"},
		{"circle", "in a circle"},
		{"self", "in a circle"},
		{"same", "in a circle"},
		{"far", "is not in the archive"},
		{"indirect", "leads out of the archive"},
		{"here", "is not in the archive"},
		{"pipe", "not a regular file"},
		{"null", "not a regular file"},
		{"folder", "not a regular file"},
		{"", "is not in the archive"},
	} {
		cases = append(
			cases,
			archiveCase{"a layer that is " + fmt.Sprintf("%q", bad.name), naming("c.json", bad.name, links...), 6, bad.says, false},
		)
		if bad.name != "" {
			cases = append(cases, archiveCase{"a config that is " + fmt.Sprintf("%q", bad.name), naming(bad.name, "1/layer.tar", links...), 6, bad.says, false})
		}
	}
	without := func(raw string) func(tb testing.TB) io.Reader {
		return of(append(image(), file("manifest.json", raw))...)
	}
	return append(cases, []archiveCase{
		{"a layer that is a link to a layer", naming("c.json", "fine", links...), 0, "", false},
		{"a config without a name", naming("", "1/layer.tar"), 6, "image 1 has no config", false},
		{"no manifest.json", of(image()...), 6, "neither an OCI layout nor a docker archive", false},
		{"manifest.json of 2 MiB", without(strings.Repeat(" ", 2<<20)), 6, "more than 1048576", false},
		{"manifest.json of 100,000 images", without("[" + many("{}", 100_000) + "]"), 6, "has no config", false},
		{"manifest.json that is no JSON", without("[{\x1b"), 6, "not JSON", false},
		{"manifest.json with a key twice", without(`[{"Config":"c.json","config":"1","Layers":["1/layer.tar"]}]`), 6, "ambiguous", false},
		{"two manifest.json", good(saved("c.json")), 6, "twice", false},
		{"manifest.json that is a link", of(append(image(), file("m", "[]"), symlink("manifest.json", "m"))...), 6, "not a regular file", false},
		{"manifest.json in a circle of links", of(symlink("manifest.json", "a"), symlink("a", "manifest.json")), 6, "not a regular file", false},
		{"repositories only", of(append(image(), file("repositories", "{}"))...), 6, "docker older than 1.10", false},
		{"a layer that is listed twice", of(
			file("c.json", `{"rootfs":{"diff_ids":["`+digest.FromString(dockerLayer).String()+`","`+digest.FromString(dockerLayer).String()+`"]}}`),
			image()[1], saved("c.json", "1/layer.tar", "1/layer.tar")), 0, "", false},
		{"more layers than diff IDs", of(append(image(), saved("c.json", "1/layer.tar", "1/layer.tar"))...), 6, "1 diff IDs for 2 layers", false},
		{"a layer that is not its diff ID", of(image()[0], file("1/layer.tar", "other"), saved("c.json", "1/layer.tar")), 6, "got bytes whose digest is " + digest.FromString("other").String(), true},
		{"a diff ID that is a path", of(file("c.json", `{"rootfs":{"diff_ids":["sha256:../../x"]}}`), image()[1], saved("c.json", "1/layer.tar")), 6, "diff ID", false},
		{"a layer in xz with a dictionary of 1.5 GiB", of(image()[0], file("1/layer.tar", string(xzBomb())), saved("c.json", "1/layer.tar")), 6, "xz: dictionary of 1610612736 bytes", true},
		{"an OCI layout and a docker archive that disagree", hybrid, 6, "that index.json does not know", false},
	}...)
}

// hybrid is an archive whose index.json and manifest.json name different images.
func hybrid(tb testing.TB) io.Reader {
	tb.Helper()
	return bytes.NewReader(layoutOf(tb, testimage.Single(3)).pack(tb, append(image(), saved("c.json", "1/layer.tar"))...))
}

func headers() []archiveCase {
	pax := func(key, value string) testimage.Entry {
		return testimage.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: "x", PAXRecords: map[string]string{key: value}, Format: tar.FormatPAX}}
	}
	global := func(key, value string) testimage.Entry {
		return testimage.Entry{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{key: value}}}
	}
	first := func(change func(header []byte)) func(tb testing.TB) io.Reader {
		return spoiling(func(_ testing.TB, raw []byte) []byte { return patched(raw, change) })
	}
	size := func(field string) func(tb testing.TB) io.Reader {
		return first(func(header []byte) { copy(header[124:136], field) })
	}
	whole := strconv.Itoa(len(image()[0].Body))
	return []archiveCase{
		{"a config that is sparse", first(func(header []byte) { header[156] = tar.TypeGNUSparse; copy(header[257:265], "ustar  \x00") }), 6, `"c.json" is sparse`, false},
		{"a config that is sparse in the way of PAX", sparse(map[string]string{"GNU.sparse.numblocks": "1", "GNU.sparse.map": "0," + whole, "GNU.sparse.size": whole}), 6, `"c.json" is sparse`, false},
		{"a sparse map that is none", sparse(map[string]string{"GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}), 6, `"c.json" is sparse`, false},
		{"a sparse map that is not in the data", sparse(map[string]string{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}), 6, "cut off", false},
		{"a size of 8 EiB", size(base256(1<<63 - 1)), 6, "9223372036854775807 bytes", false},
		{"a size of nearly 8 EiB", size(base256(1<<63 - 1024)), 6, "bytes", false},
		{"a size of 8 GiB", size("77777777777\x00"), 6, "cut off", false},
		{"a negative size", size(strings.Repeat("\xff", 12)), 6, "not a tar file", false},
		{"a checksum that is off by one", spoiling(func(_ testing.TB, raw []byte) []byte { return spoilt(raw, 0) }), 6, "not a tar file", false},
		{"a header that is broken in the middle", spoiling(func(_ testing.TB, raw []byte) []byte { return spoilt(raw, 1024) }), 6, "broken tar header after 1", false},
		{"a PAX record of 2 MiB", func(tb testing.TB) io.Reader {
			tb.Helper()
			raw := packed(tb, append([]testimage.Entry{pax("WHERRY.x", "y")}, image()...)...)
			return bytes.NewReader(patched(append(raw, make([]byte, 2<<20)...), func(header []byte) { copy(header[124:136], "00010000000\x00") }))
		}, 6, "not a tar file", false},
		{"a PAX record of 1 GiB", func(tb testing.TB) io.Reader {
			tb.Helper()
			raw := packed(tb, append([]testimage.Entry{pax("WHERRY.x", "y")}, image()...)...)
			return bytes.NewReader(patched(raw, func(header []byte) { copy(header[124:136], "10000000000\x00") }))
		}, 6, "cut off", false},
		{"a PAX record of 900 KiB", good(pax("WHERRY.x", strings.Repeat("x", 900<<10))), 0, "", false},
		{"a global header that sets sizes", good(global("size", "1")), 6, "global header", false},
		{"a global header that sets names", good(global("path", "manifest.json")), 6, "global header", false},
		{"two sizes of one entry", func(tb testing.TB) io.Reader {
			tb.Helper()
			raw := packed(tb, append([]testimage.Entry{pax("WHERRY.size", "1")}, image()...)...)
			// The record becomes two of the same length together; the ustar header then says another size.
			copy(raw[bytes.Index(raw, []byte("17 WHERRY.size=1")):], "9 size=1\n8 a=bcd\n")
			patched(raw[1024:], func(header []byte) { copy(header[124:136], "00000000777\x00") })
			return bytes.NewReader(raw)
		}, 6, "two sizes", false},

		{"no end", spoiling(func(_ testing.TB, raw []byte) []byte { return raw[:len(raw)-1024] }), 0, "", false},
		{"bytes after the end", spoiling(func(_ testing.TB, raw []byte) []byte { return append(raw, "junk"...) }), 6, "bytes after the end", false},
		{"an archive after the archive", spoiling(func(_ testing.TB, raw []byte) []byte { return append(raw, raw...) }), 6, "bytes after the end", false},
		{"zeros for ever after the end", func(tb testing.TB) io.Reader {
			tb.Helper()
			return io.MultiReader(good()(tb), repeated(strings.Repeat("\x00", 1<<20), 0))
		}, 6, "padding", false},
		{"no bytes at all", exactly(""), 6, "empty", false},
		{"an empty tar", of(), 6, "empty", false},
		{"text", exactly(strings.Repeat("<html>\x1b[2J</html>\n", 100)), 6, "not a tar file", false},
		{"short text", exactly("404 page not found\n"), 6, "not a tar", false},
	}
}

// sparse makes a docker archive whose config has these records.
func sparse(records map[string]string) func(tb testing.TB) io.Reader {
	return func(tb testing.TB) io.Reader {
		tb.Helper()
		renamed := map[string]string{}
		for key, value := range records { // archive/tar does not write the keys of GNU
			renamed["OLD"+strings.TrimPrefix(key, "GNU")] = value
		}
		config := image()[0]
		config.Header.PAXRecords, config.Header.Format = renamed, tar.FormatPAX
		raw := packed(tb, config, image()[1], saved("c.json", "1/layer.tar"))
		return bytes.NewReader(bytes.ReplaceAll(raw, []byte("OLD.sparse"), []byte("GNU.sparse")))
	}
}

// exactly makes an archive of exactly these bytes.
func exactly(raw string) func(tb testing.TB) io.Reader {
	return func(testing.TB) io.Reader { return strings.NewReader(raw) }
}

func compressions() []archiveCase {
	zip := func(spoil func(tb testing.TB, raw []byte) []byte) func(tb testing.TB) io.Reader {
		return spoiling(func(tb testing.TB, raw []byte) []byte { tb.Helper(); return spoil(tb, gzipped(tb, raw)) })
	}
	return []archiveCase{
		{"two members of gzip", spoiling(func(tb testing.TB, raw []byte) []byte {
			tb.Helper()
			return append(gzipped(tb, raw[:1000]), gzipped(tb, raw[1000:])...)
		}), 0, "", false},
		{"a frame of zstd to skip", spoiling(func(tb testing.TB, raw []byte) []byte {
			tb.Helper()
			return append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}, zstandard(tb, raw)...)
		}), 0, "", false},
		{"gzip that is cut off", zip(func(_ testing.TB, raw []byte) []byte { return raw[:len(raw)/2] }), 6, "cut off", false},
		{"gzip with a wrong checksum", zip(func(_ testing.TB, raw []byte) []byte { return spoilt(raw, len(raw)-6) }), 6, "gzip", false},
		{"gzip with bytes after it", zip(func(_ testing.TB, raw []byte) []byte { return append(raw, "junk and more"...) }), 6, "gzip", false},
		{"gzip in gzip", zip(gzipped), 6, "compressed twice", false},
		{"10 GiB of zeros in bzip2", made(func(tb testing.TB) []byte { tb.Helper(); return bzipBomb(tb) }), 6, "padding", false},
		{"10 GiB of zeros", made(func(testing.TB) []byte { return tenGiB() }), 6, "padding", false},
		{"a layer of 10 GiB of zeros", made(func(tb testing.TB) []byte {
			tb.Helper()
			head := packed(tb, file("1/layer.tar", ""))[:512]
			patched(head, func(header []byte) { copy(header[124:136], base256(10<<30)) })
			return append(gzipped(tb, head), tenGiB()...)
		}), 6, "it unpacks to more than", false},
		{"a window of 2 GiB in zstd", made(wideWindow), 6, "window", false},
		{"a dictionary of 1.5 GiB in xz", made(func(testing.TB) []byte { return xzBomb() }), 6, "dictionary", false},
		{"bzip2 that is none", exactly("BZh9 this is no bzip2 at all"), 6, "bzip2", false},
		{"zstd that is none", exactly("\x28\xb5\x2f\xfd this is no zstd at all"), 6, "zstd", false},
		{"the magic of xz and no more", exactly("\xfd7zXZ\x00"), 6, "xz", false},
		{"empty files without end", func(tb testing.TB) io.Reader {
			tb.Helper()
			return repeated(string(packed(tb, file("empty", ""))[:512]), 10_000_000)
		}, 6, "more than 131072 entries", false},
		{"long names without end", func(tb testing.TB) io.Reader {
			tb.Helper()
			raw := packed(tb, file(strings.Repeat("n", 4000), ""))
			return repeated(string(raw[:len(raw)-1024]), 0)
		}, 6, "the names of the entries", false},
	}
}

// made makes an archive of bytes that are made when they are needed.
func made(raw func(tb testing.TB) []byte) func(tb testing.TB) io.Reader {
	return func(tb testing.TB) io.Reader { tb.Helper(); return bytes.NewReader(raw(tb)) }
}

// bzipBomb is 10 GiB of zeros in bzip2, which are 12 KiB: a stream of 45 MB that stands there 240 times.
func bzipBomb(tb testing.TB) []byte {
	tb.Helper()
	stream, err := base64.StdEncoding.DecodeString("QlpoOTFBWSZTWckBtsgBWKtAIMAAEAAACCAAMMwFKaZSSFJsVJIUni7kinChIZIDbZA=")
	must(tb, err)
	return bytes.Repeat(stream, 240)
}

// xzBomb begins an xz file whose block asks for a dictionary of 1.5 GiB.
func xzBomb() []byte {
	b := []byte{0xfd, '7', 'z', 'X', 'Z', 0, 0, 1}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b[6:8]))
	header := []byte{2, 0, 0x21, 1, 37, 0, 0, 0}
	b = append(b, header...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(header))
	return append(b, 1, 0, 0, 'x', 0)
}

// TestArchives loads each case into a registry from standard input, and copies it to a layout from a file.
func TestArchives(t *testing.T) {
	for section, cases := range map[string][]archiveCase{
		"names": names(), "docker": dockerArchives(), "headers": headers(), "compression": compressions(), "layouts": packedLayouts(t),
	} {
		for _, tt := range cases {
			t.Run(section+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				in, err := io.ReadAll(io.LimitReader(tt.make(t), 100<<20))
				must(t, err)
				s.write("in.tar", in)
				if tt.code == 0 {
					s.loaded(tt)
					return
				}
				refused := s.refused
				if tt.late {
					refused = s.refusedLate
				}
				refused(tt.make(t), tt.code, tt.says, "load", "--to", "TO")
				refused(nil, tt.code, tt.says, "copy", "./in.tar", "oci:layout:v1")
			})
		}
	}
}

// loaded wants the image of an archive to arrive.
func (s *scene) loaded(tt archiveCase) {
	s.Helper()
	if o := s.run(tt.make(s), "load", "--to", "TO"); o.Code != 0 || s.to.Digest(repo, "v2") == "" {
		s.Errorf("load: exit code %d:\n%s", o.Code, o.stderr)
	}
	if o := s.run(nil, "copy", "./in.tar", "oci:layout:v2"); o.Code != 0 {
		s.Errorf("copy: exit code %d:\n%s", o.Code, o.stderr)
	}
}
