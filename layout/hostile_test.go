package layout

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// swap replaces file name of a layout by what do makes there.
func swap(t *testing.T, l *Layout, name string, do func(path string) error) {
	t.Helper()
	path := filepath.Join(l.disk.path, filepath.FromSlash(name))
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := do(path); err != nil {
		t.Fatal(err)
	}
}

// planted are things that lie where a regular file belongs.
func planted(t *testing.T, outside string) map[string]func(path string) error {
	t.Helper()
	kinds := map[string]func(path string) error{
		"a folder":                 func(path string) error { return os.Mkdir(path, 0o755) },
		"a link out of the layout": func(path string) error { return os.Symlink(outside, path) },
		"a link within the layout": func(path string) error { return os.Symlink(filepath.Base(path)+"2", path) },
		"a link to itself":         func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"a pipe":                   makePipe,
	}
	return kinds
}

func TestWhatIsNoRegularFileIsNotRead(t *testing.T) {
	im := anImage(t, "a")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, im.blobs[1].raw, 0o644); err != nil {
		t.Fatal(err)
	}
	for kind, plant := range planted(t, outside) {
		t.Run(kind, func(t *testing.T) {
			l := created(t)
			put(t, l, im, "v1")
			swap(t, l, l.disk.place(im.blobs[1].d.Digest), plant)
			swap(t, l, l.disk.place(im.m.Digest()), plant)
			other := closed(t)(Open(l.disk.path))
			wantNotRead(t, other, im)
			_, err := other.PutBlob(t.Context(), im.blobs[1])
			has, herr := other.Has(t.Context(), im.blobs[1].d)
			// Only a folder cannot be replaced by a file.
			stands := kind == "a folder"
			if errors.Is(err, content.ErrInvalid) != stands || (err == nil) == stands || has == stands || herr != nil {
				t.Errorf("PutBlob = %v; then Has = %t, %v", err, has, herr)
			}
		})
	}
	if raw, err := os.ReadFile(outside); string(raw) != string(im.blobs[1].raw) || err != nil {
		t.Errorf("what lies outside is %q, %v", raw, err)
	}
}

// wantNotRead wants neither im nor its layer, which lies as v1 in l.
func wantNotRead(t *testing.T, l *Layout, im testImage) {
	t.Helper()
	blob := im.blobs[1].d
	if rc, err := l.Open(t.Context(), blob, content.Range{}); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("Open = %v, %v; want invalid content", rc, err)
	}
	if has, err := l.Has(t.Context(), blob); has || err != nil {
		t.Errorf("Has = %t, %v", has, err)
	}
	for _, ref := range []string{"v1", im.m.Digest().String()} {
		if m, err := l.Manifest(t.Context(), ref); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("Manifest(%s) = %s, %v; want invalid content", ref, m.Digest(), err)
		}
	}
}

func TestLayoutsThatAreNone(t *testing.T) {
	im := anImage(t, "a")
	outside := t.TempDir()
	link := func(path string) error { return os.Symlink(outside, path) }
	file := func(raw string) func(path string) error {
		return func(path string) error { return os.WriteFile(path, []byte(raw), 0o644) }
	}
	nothing := func(string) error { return nil }
	inside := func(path string) error {
		moved := path + "-moved"
		if err := os.Mkdir(moved, 0o755); err != nil {
			return err
		}
		return os.Symlink(filepath.Base(moved), path)
	}
	tests := []struct {
		name, file string
		plant      func(path string) error
		err        error
		says       string
	}{
		{"oci-layout missing", markerFile, nothing, content.ErrInvalid, "no file oci-layout"},
		{"oci-layout empty", markerFile, file(""), content.ErrInvalid, markerFile},
		{"oci-layout of another version", markerFile, file(`{"imageLayoutVersion":"2.0.0"}`), content.ErrInvalid, `"2.0.0"`},
		{"oci-layout of no version", markerFile, file(`{}`), content.ErrInvalid, markerFile},
		{"oci-layout too large", markerFile, file(strings.Repeat(" ", 1<<20)), content.ErrInvalid, "over the limit"},
		{"oci-layout a link", markerFile, link, content.ErrInvalid, "a link"},
		{"oci-layout a pipe", markerFile, makePipe, content.ErrInvalid, "a pipe"},
		{"index.json missing", indexFile, nothing, content.ErrInvalid, "no file index.json"},
		{"index.json empty", indexFile, file(""), content.ErrInvalid, "breaks off"},
		{"index.json a link", indexFile, link, content.ErrInvalid, "a link"},
		{"index.json a pipe", indexFile, makePipe, content.ErrInvalid, "a pipe"},
		{"index.json a folder", indexFile, func(path string) error { return os.Mkdir(path, 0o755) }, content.ErrInvalid, "a folder"},
		{"blobs a link out of the layout", blobsDir, link, content.ErrInvalid, "a link"},
		{"blobs a link within the layout", blobsDir, inside, content.ErrInvalid, "a link"},
		{"blobs a file", blobsDir, file("x"), content.ErrInvalid, "a file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := created(t)
			put(t, l, im, "v1")
			swap(t, l, tt.file, tt.plant)
			for what, err := range map[string]error{"Open": second(Open(l.disk.path)), "Create": second(Create(l.disk.path))} {
				if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s = %v; want %v that says %q", what, err, tt.err, tt.says)
				}
			}
		})
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside lie %v, %v", left, err)
	}
}

func TestLinksInPlaceOfFoldersAreNotFollowed(t *testing.T) {
	im := anImage(t, "a")
	for _, folder := range []string{blobsDir, blobsDir + "/sha256", ownDir, partialDir, verifiedDir} {
		for _, where := range []string{"out of the layout", "within the layout"} {
			t.Run(folder+" "+where, func(t *testing.T) {
				l := created(t)
				put(t, l, im, "v1")
				outside := t.TempDir()
				if where == "within the layout" {
					outside = filepath.Join(l.disk.path, "elsewhere")
				}
				linkInPlaceOf(t, l, folder, outside)
			})
		}
	}
}

// linkInPlaceOf moves a folder outside, puts a link to it in its place, and
// wants nothing to be read or written through the link.
func linkInPlaceOf(t *testing.T, l *Layout, folder, outside string) {
	t.Helper()
	im := anImage(t, "a")
	other := closed(t)(Open(l.disk.path))
	path := filepath.Join(l.disk.path, filepath.FromSlash(folder))
	if err := errors.Join(os.RemoveAll(outside), os.Rename(path, outside), os.Symlink(outside, path)); err != nil {
		t.Fatal(err)
	}
	before := listing(t, outside)
	if has, err := other.Has(t.Context(), im.blobs[0].d); has && strings.HasPrefix(folder, blobsDir) {
		t.Errorf("Has = %t, %v", has, err)
	}
	// Without marks of verification everything works.
	_, err := other.PutBlob(t.Context(), bytesOf("", "new"))
	if folder != verifiedDir && !errors.Is(err, content.ErrInvalid) {
		t.Errorf("PutBlob = %v, want invalid content", err)
	}
	if after := listing(t, outside); after != before {
		t.Errorf("through the link came %s, before it was %s", after, before)
	}
}

func listing(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestPlantedPartialsAndMarksAreNotWrittenThrough(t *testing.T) {
	precious := filepath.Join(t.TempDir(), "precious")
	const text = "do not touch"
	b := bytesOf("", strings.Repeat("content ", 100))
	for kind, link := range map[string]func(old, path string) error{"a link": os.Symlink, "a second name": os.Link} {
		t.Run(kind, func(t *testing.T) {
			if err := os.WriteFile(precious, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			l := created(t)
			put(t, l, anImage(t, "makes the folders"))
			for _, name := range []string{l.disk.partial(b.d.Digest), l.disk.mark(b.d.Digest), l.disk.partial(b.d.Digest) + spansEnd, newFile} {
				swap(t, l, name, func(path string) error { return link(precious, path) })
			}
			if got, err := l.PutBlob(t.Context(), b); got != content.Stored || err != nil {
				t.Errorf("PutBlob = %v, %v", got, err)
			}
			put(t, l, anImage(t, "writes index.json"), "v1")
			if raw, err := os.ReadFile(precious); string(raw) != text || err != nil {
				t.Errorf("what lies outside is %q, %v", raw, err)
			}
		})
	}
}

func TestAMarkThatCameWithACorruptBlobCountsForNothing(t *testing.T) {
	b := bytesOf("", strings.Repeat("content ", 100))
	wrong := strings.Repeat("CONTENT ", 100)
	l := created(t)
	put(t, l, anImage(t, "makes the folders"))
	swap(t, l, l.disk.place(b.d.Digest), func(path string) error { return os.WriteFile(path, []byte(wrong), 0o644) })
	for _, mark := range []string{"", "800", "800 0", wrong} {
		swap(t, l, l.disk.mark(b.d.Digest), func(path string) error { return os.WriteFile(path, []byte(mark), 0o644) })
		if has, err := l.Has(t.Context(), b.d); has || err != nil {
			t.Errorf("with mark %q: Has = %t, %v", mark, has, err)
		}
	}
}

func TestALockThatIsALinkIsRefused(t *testing.T) {
	l := created(t)
	swap(t, l, lockFile, func(path string) error { return os.Symlink("../index.json", path) })
	again := closed(t)(Create(l.disk.path))
	if _, err := again.PutBlob(t.Context(), bytesOf("", "a blob")); !errors.Is(err, durable.ErrNotRegular) || !errors.Is(err, content.ErrInvalid) {
		t.Errorf("PutBlob = %v, want invalid content", err)
	}
}

func TestHostileEntriesStayWhereTheyAre(t *testing.T) {
	l := created(t)
	im := anImage(t, "a")
	put(t, l, im)
	wrongSize := im.m.Descriptor()
	wrongSize.Size++
	e, err := newEntry(content.WithName(wrongSize, "v1"))
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, l, indexWith(e.raw))
	if _, err := l.Manifest(t.Context(), "v1"); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("a wrong size in index.json: %v, want corrupt content", err)
	}
	other := im.m.Descriptor()
	other.MediaType = ocispec.MediaTypeImageIndex
	if e, err = newEntry(content.WithName(other, "v1")); err != nil {
		t.Fatal(err)
	}
	rewrite(t, l, indexWith(e.raw))
	m, err := l.Manifest(t.Context(), "v1")
	if err == nil && m.Ambiguous() == nil {
		t.Errorf("another type in index.json: nothing is said")
	}
	big := bytesOf(ocispec.MediaTypeImageManifest, strings.Repeat(" ", 5<<20))
	put(t, l, testImage{im.m, []memoryBlob{big}})
	if e, err = newEntry(content.WithName(big.d, "v1")); err != nil {
		t.Fatal(err)
	}
	rewrite(t, l, indexWith(e.raw))
	if _, err := l.Manifest(t.Context(), "v1"); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("a manifest of 5 MiB: %v, want invalid content", err)
	}
}
