package badinput

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// packedLayouts are tars of OCI layouts.
func packedLayouts(tb testing.TB) []archiveCase {
	tb.Helper()
	img := testimage.Single(3)
	root := img.Root
	root.Annotations = map[string]string{ocispec.AnnotationRefName: "app:v2"}
	with := func(change func(fs files) []testimage.Entry) func(tb testing.TB) io.Reader {
		return func(tb testing.TB) io.Reader {
			tb.Helper()
			fs := layoutWith(tb, img, root)
			more := change(fs)
			return bytes.NewReader(fs.pack(tb, more...))
		}
	}
	instead := func(name, raw string) func(tb testing.TB) io.Reader {
		return with(func(fs files) []testimage.Entry { fs[name] = []byte(raw); return nil })
	}
	replaced := func(name string, e testimage.Entry) func(tb testing.TB) io.Reader {
		return with(func(fs files) []testimage.Entry { delete(fs, name); return []testimage.Entry{e} })
	}
	manifest, layer := blobPath(img.Root.Digest), blobPath(img.Largest())
	wrongSize := root
	wrongSize.Size++
	return []archiveCase{
		{"a layout that is right", instead("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), 0, "", false},
		{"no oci-layout", with(func(fs files) []testimage.Entry { delete(fs, "oci-layout"); return nil }), 6, "no oci-layout", false},
		{"oci-layout of another version", instead("oci-layout", `{"imageLayoutVersion":"2.0.0"}`), 6, `version "2.0.0"`, false},
		{"index.json of 20 MiB", instead("index.json", strings.Repeat(" ", 20<<20)), 6, "more than 16777216", false},
		{"index.json of a million entries", instead("index.json", `{"manifests":[`+many("{}", 1_000_000)+`]}`), 6, "digest", false},
		{"index.json that is a pipe", replaced("index.json", special(tar.TypeFifo, "index.json")), 6, "not a regular file", false},
		{"index.json that is a link", replaced("index.json", symlink("index.json", "/etc/passwd")), 6, "not a regular file", false},
		{"two index.json", with(func(fs files) []testimage.Entry {
			return []testimage.Entry{file("index.json", string(fs["index.json"]))}
		}), 6, "twice", false},
		{"blobs that are a link", with(func(files) []testimage.Entry { return []testimage.Entry{symlink("blobs", "/")} }), 0, "", false},
		{"a manifest that is a link", replaced(manifest, symlink(manifest, "/etc/passwd")), 6, "not a regular file", false},
		{"a layer that is a link", replaced(layer, symlink(layer, "/etc/passwd")), 6, "not a regular file", true},
		{"a layer that is a hard link", replaced(layer, hardlink(layer, "index.json")), 6, "not a regular file", true},
		{"a layer that is a folder", replaced(layer, special(tar.TypeDir, layer)), 6, "not a regular file", true},
		{"a layer that is a device", replaced(layer, special(tar.TypeChar, layer)), 6, "not a regular file", true},
		{"a layer with other bytes", instead(layer, "other"), 6, "got 5 bytes, want ", true},
		{"another size in index.json", func(tb testing.TB) io.Reader {
			tb.Helper()
			return bytes.NewReader(layoutWith(tb, img, wrongSize).pack(tb))
		}, 6, "bytes, want", false},
	}
}

// TestTwoImagesOfOneNameInAnArchive wants both to be named, so that one can be asked for.
func TestTwoImagesOfOneNameInAnArchive(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first, second := testimage.Single(3), testimage.Single(4)
	roots := []ocispec.Descriptor{first.Root, second.Root}
	for i := range roots {
		roots[i].Annotations = map[string]string{ocispec.AnnotationRefName: "app:v2"}
	}
	fs := layoutWith(t, second)
	maps.Copy(fs, layoutWith(t, first, roots...))
	s.write("in.tar", fs.pack(t))
	both := first.Root.Digest.String() + ", " + second.Root.Digest.String()
	s.refused(nil, 6, both, "load", "-i", "in.tar", "--to", "TO")
	s.refused(nil, 6, both, "copy", "oci-archive:in.tar:app:v2", "oci:layout:v1")
	s.arrives(second.Root.Digest, "copy", "oci-archive:in.tar@"+second.Root.Digest.String(), "oci:layout:v1")
}
