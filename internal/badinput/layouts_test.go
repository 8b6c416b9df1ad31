package badinput

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// A layoutCase is a layout on disk in which something was replaced.
type layoutCase struct {
	name   string
	file   string // what is replaced
	plant  func(path string) error
	code   int
	says   string // of a copy out of it
	late   bool   // a copy finds it out when it moves the bytes
	healed bool   // a copy into it puts it right; else it is refused, with the same words
}

func text(raw string) func(path string) error {
	return func(path string) error { return os.WriteFile(path, []byte(raw), 0o644) }
}

func linkTo(to string) func(path string) error {
	return func(path string) error { return os.Symlink(to, path) }
}

func folder(path string) error { return os.Mkdir(path, 0o755) }

func missing(string) error { return nil }

func brokenLayouts(img testimage.Image) []layoutCase {
	layer, manifest := blobPath(img.Largest()), blobPath(img.Root.Digest)
	named := func(d ocispec.Descriptor) string {
		return described(d, "", `,"annotations":{"`+ocispec.AnnotationRefName+`":"v1"}`)
	}
	index := func(entries string) func(path string) error {
		return text(`{"schemaVersion":2,"manifests":[` + entries + `]}`)
	}
	wrongSize, other := img.Root, img.Root
	wrongSize.Size++
	other.Digest = digest.FromString("another")
	return []layoutCase{
		{"no oci-layout", "oci-layout", missing, 6, "no file oci-layout", false, false},
		{"oci-layout of another version", "oci-layout", text(`{"imageLayoutVersion":"2.0.0"}`), 6, `"2.0.0"`, false, false},
		{"oci-layout without bytes", "oci-layout", text(""), 6, "oci-layout", false, false},
		{"oci-layout of 1 MiB", "oci-layout", text(strings.Repeat(" ", 1<<20)), 6, "over the limit", false, false},
		{"oci-layout that is a link", "oci-layout", linkTo("/etc/passwd"), 6, "a link", false, false},
		{"oci-layout that is a pipe", "oci-layout", makePipe, 6, "oci-layout is a pipe", false, false},
		{"no index.json", "index.json", missing, 6, "no file index.json", false, false},
		{"index.json without bytes", "index.json", text(""), 6, "breaks off", false, false},
		{"index.json that is a link", "index.json", linkTo("/etc/passwd"), 6, "a link", false, false},
		{"index.json that is a pipe", "index.json", makePipe, 6, "index.json is a pipe", false, false},
		{"index.json that is a folder", "index.json", folder, 6, "a folder", false, false},
		{"index.json of a million entries", "index.json", index(many("{}", 1_000_000)), 6, "more than 32768 entries", false, false},
		{"index.json of a million manifests", "index.json", index(many(nobody(1), 1_000_000)), 6, "over the limit of 8388608", false, false},
		{"index.json with a key twice", "index.json", text(`{"schemaVersion":2,"manifests":[],"manifests":[]}`), 6, "twice", false, false},
		{"index.json with escape sequences", "index.json", text("\x1b[2J"), 6, `not JSON: invalid character '\x1b'`, false, false},
		{"two manifests of one name", "index.json", index(named(img.Root) + "," + named(other)), 6, other.Digest.String(), false, false},
		{"another size in index.json", "index.json", index(named(wrongSize)), 6, "bytes, want", false, false},
		{"blobs that are a link", "blobs", linkTo("/"), 6, "a link", false, false},
		{"blobs that are a file", "blobs", text("x"), 6, "a file", false, false},
		{"a manifest that is a link", manifest, linkTo("/etc/passwd"), 6, "a link", false, false},
		{"a manifest that is a pipe", manifest, makePipe, 6, "is a pipe", false, false},
		{"a layer that is a link out", layer, linkTo("/etc/passwd"), 6, "a link", true, true},
		{"a layer that is a link within", layer, linkTo(filepath.Base(manifest)), 6, "a link", true, true},
		{"a layer that is a device", layer, linkTo("/dev/zero"), 6, "a link", true, true},
		{"a layer that is a folder", layer, folder, 6, "a folder", true, false},
		{"a layer that is a pipe", layer, makePipe, 6, "is a pipe", true, true},
		{"a layer with other bytes", layer, text("other"), 6, "got 5 bytes, want ", true, true},
	}
}

// TestLayouts copies out of broken layouts and into them.
func TestLayouts(t *testing.T) {
	img := testimage.Single(3)
	for _, tt := range brokenLayouts(img) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			layoutOf(t, img).unpack(t, s.path("broken"))
			must(t, folder(s.path("broken/.wherry")))
			path := s.path("broken/" + tt.file)
			must(t, os.RemoveAll(path))
			must(t, tt.plant(path))
			refused := s.refused
			if tt.late {
				refused = s.refusedLate
			}
			refused(nil, tt.code, tt.says, "copy", "oci:broken:v1", "TO/app:v1")
			refused(nil, tt.code, tt.says, "copy", "oci:broken:v1", "oci:layout:v1")
			img.PutTo(s.from, repo, tag)
			if !tt.healed {
				s.refusedInto(tt, "copy", "FROM/app:v1", "oci:broken:v1")
				return
			}
			s.arrives(img.Root.Digest, "copy", "FROM/app:v1", "oci:broken:v1")
			if o := s.run(nil, "validate", "oci:broken:v1"); o.Code != 0 {
				t.Errorf("it is not whole: %s%s", o.stdout, o.stderr)
			}
		})
	}
}

// refusedInto wants a copy into a broken layout to change nothing but blobs.
func (s *scene) refusedInto(tt layoutCase, args ...string) {
	s.Helper()
	before := s.state()
	s.wantFailure(s.run(nil, args...), tt.code, tt.says)
	after := s.state()
	for where, what := range before {
		if after[where] != what {
			s.Errorf("%s was %s and is %q", where, what, after[where])
		}
	}
}

func TestALayerThatHasTwoNamesOnDiskIsRead(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	img := testimage.Single(3)
	layoutOf(t, img).unpack(t, s.path("linked"))
	must(t, os.Link(s.path("linked/"+blobPath(img.Largest())), s.path("second name")))
	s.arrives(img.Root.Digest, "copy", "oci:linked:v1", "TO/app:v1")
}

// TestACopyThatFailsMakesNoImage wants nothing with a name where nothing was before.
func TestACopyThatFailsMakesNoImage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var w workshop
	s.give(&w.Builder, w.image(w.layer(), `,"manifests":[]`))
	for _, to := range []string{"oci:new:v1", "oci-archive:new.tar:v1", "docker-archive:new.tar:v1", "dir:newdir", "TO/new:v1"} {
		s.wantFailure(s.run(nil, "copy", "FROM/app:v1", to), 6, "both layers and manifests")
		if o := s.run(nil, "exists", to); o.Code != 4 {
			t.Errorf("%s: exit code %d, want that it does not exist\n%s", to, o.Code, o.stderr)
		}
	}
	if _, err := os.Lstat(s.path("new.tar")); err == nil {
		t.Error("the archive is there")
	}
}

func TestADirWhoseManifestIsNotAFileIsRefused(t *testing.T) {
	tests := []struct {
		name  string
		plant func(path string) error
		says  string
	}{
		{"a link", linkTo("/etc/passwd"), "manifest.json is a link"},
		{"a pipe", makePipe, "manifest.json is a pipe"},
		{"a folder", folder, "manifest.json is a folder"},
		{"text", text("\x1b[2J"), `not JSON: invalid character '\x1b'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			must(t, folder(s.path("d")))
			must(t, tt.plant(s.path("d/manifest.json")))
			s.refused(nil, 6, tt.says, "copy", "dir:d", "TO/app:v1")
		})
	}
}
