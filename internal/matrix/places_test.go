package matrix

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/transfer"
)

const (
	repo = "team/app"
	tag  = "v1"
	full = "registry.example/team/app:"
)

// An origin is a place that holds one image, made without wherry.
type origin struct {
	registry *testregistry.Registry // nil for files
	ref      string
	open     func(t *testing.T) content.Source // as a new process does
	want     func(t *testing.T) store          // what a copy of it has, under tag
}

// A goal is a place that an image is copied to.
type goal struct {
	registry *testregistry.Registry // nil for files
	path     string                 // of files
	file     bool                   // written anew by every copy
	unnamed  bool                   // holds one image, which has no name
	name     func(tag string) string
	open     func(t *testing.T) content.Sink
	source   func(t *testing.T) content.Source // over what was written
	read     func(t *testing.T) store          // what was written, read without wherry
}

// target is g for a copy by a new process.
func (g *goal) target(t *testing.T) transfer.Target {
	t.Helper()
	to := transfer.Target{Name: "there", Sink: g.open(t)}
	if !g.unnamed {
		to.Names = []string{g.name(tag)}
	}
	return to
}

// ref is what the image is called at g once it is there.
func (g *goal) ref() string {
	if g.unnamed {
		return ""
	}
	return g.name(tag)
}

// closing closes a place at the end of the test.
func closing[T io.Closer](t *testing.T) func(place T, err error) T {
	t.Helper()
	return func(place T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := place.Close(); err != nil {
				t.Error(err)
			}
		})
		return place
	}
}

func sameName(tag string) string { return tag }

// Origins.

// laidOut returns the files of an OCI layout that has img and what refers to it.
func laidOut(t *testing.T, img testimage.Image) files {
	t.Helper()
	all := files{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	name := func(tag string, d digest.Digest) {
		m := img.Manifests[d]
		entry := ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(m.Bytes))}
		if tag != "" {
			entry.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
		}
		index.Manifests = append(index.Manifests, entry)
	}
	name(tag, img.Root.Digest)
	for other, d := range img.Tags {
		name(other, d)
	}
	for _, d := range img.Referrers {
		name("", d.Digest)
	}
	for d, p := range whole(img).bytes {
		all["blobs/"+d.Algorithm().String()+"/"+d.Encoded()] = p
	}
	all["index.json"] = encoded(t, index)
	return all
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func fromLayout(t *testing.T, img testimage.Image) origin {
	t.Helper()
	folder := t.TempDir()
	laidOut(t, img).unpack(t, folder)
	return origin{
		ref:  tag,
		open: func(t *testing.T) content.Source { t.Helper(); return closing[*layout.Layout](t)(layout.Open(folder)) },
		want: func(*testing.T) store { return whole(img) },
	}
}

func fromOCIArchive(t *testing.T, img testimage.Image) origin {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	laidOut(t, img).pack(t, file)
	return origin{
		ref:  tag,
		open: func(t *testing.T) content.Source { t.Helper(); return openArchive(t, file) },
		want: func(*testing.T) store { return whole(img) },
	}
}

func openArchive(t *testing.T, file string) *archive.Archive {
	t.Helper()
	return closing[*archive.Archive](t)(archive.Open(t.Context(), file, archive.Options{TempDir: t.TempDir()}))
}

// fromDir holds img as skopeo writes it, which is without what refers to it.
func fromDir(t *testing.T, img testimage.Image) origin {
	t.Helper()
	folder := t.TempDir()
	all := files{"version": []byte("Directory Transport Version: 1.1\n"), "manifest.json": img.Manifests[img.Root.Digest].Bytes}
	for d, p := range below(t, img).bytes {
		switch _, isManifest := img.Manifests[d]; {
		case d == img.Root.Digest:
		case isManifest:
			all[d.Encoded()+".manifest.json"] = p
		default:
			all[d.Encoded()] = p
		}
	}
	all.unpack(t, folder)
	return origin{
		ref:  "",
		open: func(t *testing.T) content.Source { t.Helper(); return closing[*layout.Dir](t)(layout.OpenDir(folder)) },
		want: func(t *testing.T) store { t.Helper(); return below(t, img) },
	}
}

// unpack writes fs into folder.
func (fs files) unpack(t *testing.T, folder string) {
	t.Helper()
	for _, name := range fs.paths() {
		file := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, fs[name], 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// pack writes fs into a tar at file.
func (fs files) pack(t *testing.T, file string) {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range fs.paths() {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(fs[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(fs[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Goals.

func toLayout(t *testing.T) *goal {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "layout")
	return &goal{
		path: folder, name: sameName,
		open:   func(t *testing.T) content.Sink { t.Helper(); return closing[*layout.Layout](t)(layout.Create(folder)) },
		source: func(t *testing.T) content.Source { t.Helper(); return closing[*layout.Layout](t)(layout.Open(folder)) },
		read:   func(t *testing.T) store { t.Helper(); return inFolder(t, folder).asLayout(t) },
	}
}

func toOCIArchive(t *testing.T) *goal {
	t.Helper()
	return toArchive(t, sameName)
}

// toDockerArchive names images as docker does.
func toDockerArchive(t *testing.T) *goal {
	t.Helper()
	g := toArchive(t, func(tag string) string { return full + tag })
	g.read = func(t *testing.T) store {
		t.Helper()
		all := inTar(t, g.path)
		s := all.asLayout(t)
		checkLoadable(t, all, s)
		return s
	}
	return g
}

func toArchive(t *testing.T, name func(tag string) string) *goal {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	return &goal{
		path: file, file: true, name: name,
		open:   func(t *testing.T) content.Sink { t.Helper(); return closing[*archive.Writer](t)(archive.Create(file)) },
		source: func(t *testing.T) content.Source { t.Helper(); return openArchive(t, file) },
		read:   func(t *testing.T) store { t.Helper(); return inTar(t, file).asLayout(t) },
	}
}

func toDir(t *testing.T) *goal {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "dir")
	wroteBefore := func() {}
	return &goal{
		path: folder, name: sameName, unnamed: true,
		open: func(t *testing.T) content.Sink {
			t.Helper()
			wroteBefore() // one process at a time writes there
			dir, err := layout.CreateDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			wroteBefore = sync.OnceFunc(func() {
				if err := dir.Close(); err != nil {
					t.Error(err)
				}
			})
			t.Cleanup(wroteBefore)
			return dir
		},
		source: func(t *testing.T) content.Source { t.Helper(); return closing[*layout.Dir](t)(layout.OpenDir(folder)) },
		read:   func(t *testing.T) store { t.Helper(); return inFolder(t, folder).asDir(t) },
	}
}
