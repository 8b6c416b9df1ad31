package layout

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
)

func createdDir(t *testing.T) (*Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dir")
	return closedDir(t)(CreateDir(path)), path
}

func closedDir(t *testing.T) func(d *Dir, err error) *Dir {
	t.Helper()
	return func(d *Dir, err error) *Dir {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return d
	}
}

func TestADirKeepsEveryKindOfImage(t *testing.T) {
	for _, img := range contenttest.Kinds(t) {
		t.Run(img.Name, func(t *testing.T) {
			d, path := createdDir(t)
			err := contenttest.Put(t.Context(), d, img, img.Root.Digest().String())
			if _, perr := content.ParseManifest("", img.Root.Raw(), content.Limits{}); perr != nil {
				// There is no place in a plain directory for the type.
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("Put = %v, want unsupported", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := contenttest.Put(t.Context(), d, img, "a name"); err != nil {
				t.Fatalf("again: %v", err)
			}
			contenttest.CheckImage(t, closedDir(t)(OpenDir(path)), img, "")
			for _, r := range img.Referrers {
				wantReferrer(t, d, r)
			}
		})
	}
}

func wantReferrer(t *testing.T, l content.ReferrerLister, r content.Manifest) {
	t.Helper()
	to, _ := r.Subject()
	for got, err := range l.Referrers(t.Context(), to.Digest, r.ArtifactType()) {
		if err == nil && got.Digest == r.Digest() {
			return
		}
	}
	t.Errorf("%s is not found from its subject", r.Digest())
}

func TestFilesOfADir(t *testing.T) {
	a, b := anImage(t, "a"), anImage(t, "b")
	root := anIndex(t, a.m, b.m)
	signature := anImage(t, "signature")
	tag := "sha256-" + root.Digest().Encoded() + ".sig"
	d, path := createdDir(t)
	put(t, d, a)
	put(t, d, b)
	put(t, d, testImage{m: root}, "v1", root.Digest().String())
	put(t, d, signature, tag)
	var want []string
	for _, im := range []testImage{a, b, signature} {
		want = append(want, im.m.Digest().Encoded()+".manifest.json")
		for _, blob := range im.blobs {
			want = append(want, blob.d.Digest.Encoded())
		}
	}
	want = append(want, "manifest.json", "version", ownDir, tag+".manifest.json")
	slices.Sort(want)
	if got := listing(t, path); got != strings.Join(want, " ") {
		t.Errorf("files are\n%s, want\n%s", got, strings.Join(want, " "))
	}
	if raw, err := os.ReadFile(filepath.Join(path, "version")); string(raw) != "Directory Transport Version: 1.1\n" || err != nil {
		t.Errorf("version is %q, %v", raw, err)
	}
	if got := slices.Collect(names(t, d)); !slices.Equal(got, []string{tag}) {
		t.Errorf("names = %q", got)
	}
	for ref, want := range map[string]digest.Digest{
		"": root.Digest(), root.Digest().String(): root.Digest(), a.m.Digest().String(): a.m.Digest(),
		tag: signature.m.Digest(), root.Digest().Algorithm().String() + ":" + signature.m.Digest().Encoded(): signature.m.Digest(),
	} {
		if got, err := d.Resolve(t.Context(), ref); got.Digest != want || err != nil {
			t.Errorf("Resolve(%q) = %s, %v; want %s", ref, got.Digest, err, want)
		}
	}
	for _, ref := range []string{"v1", digest.FromString("nothing").String(), "sha256-" + a.m.Digest().Encoded() + ".sig"} {
		if _, err := d.Manifest(t.Context(), ref); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("Manifest(%q): %v, want not found", ref, err)
		}
	}
}

func TestADirHoldsOneImage(t *testing.T) {
	a, b := anImage(t, "a"), anImage(t, "b")
	d, path := createdDir(t)
	put(t, d, a, "v1")
	put(t, d, b)
	if err := d.PutManifest(t.Context(), b.m, "v2"); !errors.Is(err, content.ErrConflict) {
		t.Errorf("a second image: %v, want a conflict", err)
	}
	another := closedDir(t)(CreateDir(path))
	if _, err := another.PutBlob(t.Context(), bytesOf("", "of another image")); !errors.Is(err, content.ErrConflict) {
		t.Errorf("while the first is open: %v, want a conflict", err)
	}
	if err := d.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	later := closedDir(t)(CreateDir(path))
	put(t, later, b, "v2")
	if m, err := later.Manifest(t.Context(), ""); m.Digest() != b.m.Digest() || err != nil {
		t.Errorf("a later run's image: %s, %v", m.Digest(), err)
	}
	if err := later.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.PutBlob(t.Context(), bytesOf("", "of the first image")); !errors.Is(err, content.ErrConflict) {
		t.Errorf("after the image has changed: %v, want a conflict", err)
	}
}

func TestDirsThatAreNone(t *testing.T) {
	file := func(name, raw string) func(path string) error {
		return func(path string) error { return os.WriteFile(filepath.Join(path, name), []byte(raw), 0o644) }
	}
	tests := []struct {
		name         string
		plant        func(path string) error
		open, create error
	}{
		{"nothing in it", func(string) error { return nil }, content.ErrNotFound, nil},
		{"something else in it", file("precious.txt", "x"), content.ErrNotFound, content.ErrConflict},
		{"another version file", file("version", "3.2.1"), content.ErrNotFound, content.ErrConflict},
		{"an empty plain directory", file("version", "Directory Transport Version: 1.1\n"), content.ErrNotFound, nil},
		{"a manifest that is a pipe", func(path string) error { return makePipe(filepath.Join(path, "manifest.json")) }, content.ErrInvalid, content.ErrConflict},
		{"a manifest that is a link", func(path string) error {
			return errors.Join(file("x", "{}")(path), os.Symlink("x", filepath.Join(path, "manifest.json")))
		}, content.ErrInvalid, content.ErrConflict},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := t.TempDir()
			if err := tt.plant(path); err != nil {
				t.Fatal(err)
			}
			if d, err := OpenDir(path); !errors.Is(err, tt.open) {
				t.Errorf("OpenDir = %v, %v; want %v", d, err, tt.open)
			}
			d, err := CreateDir(path)
			if !errors.Is(err, tt.create) {
				t.Errorf("CreateDir = %v, want %v", err, tt.create)
			}
			if err == nil {
				closedDir(t)(d, nil)
			}
		})
	}
	if err := second(OpenDir(filepath.Join(t.TempDir(), "nobody"))); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("OpenDir of nothing = %v", err)
	}
}

func TestADamagedDirIsNotPassedOn(t *testing.T) {
	im := anImage(t, "a")
	d, path := createdDir(t)
	put(t, d, im, "v1")
	layer := im.blobs[1]
	file := filepath.Join(path, layer.d.Digest.Encoded())
	change(t, file, func() error { return os.WriteFile(file, []byte("LAYER of a"), 0o644) })
	if rc, err := d.Open(t.Context(), layer.d, content.Range{}); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("Open = %v, %v; want corrupt content", rc, err)
	}
	put(t, d, im, "v1")
	rc, err := d.Open(t.Context(), layer.d, content.Range{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(rc)
	if string(raw) != string(layer.raw) || errors.Join(err, rc.Close()) != nil {
		t.Errorf("blob = %q, %v", raw, err)
	}
}
