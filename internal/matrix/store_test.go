// Package matrix copies images of every kind between places of every kind.
//
// It has tests only: they know all the places, which no other package may.
package matrix

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// A store is what lies in a place, read without wherry: bytes by digest, and
// what the names stand for.
type store struct {
	bytes map[digest.Digest][]byte
	names map[string]digest.Digest
}

func newStore() store {
	return store{map[digest.Digest][]byte{}, map[string]digest.Digest{}}
}

// add keeps p under d, which must be its digest.
func (s store) add(t *testing.T, d digest.Digest, p []byte) {
	t.Helper()
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := d.Algorithm().FromBytes(p); got != d {
		t.Errorf("what lies there as %s is %s", d, got)
	}
	s.bytes[d] = p
}

// check compares s with what should be there, byte for byte, no more and no less.
func (s store) check(t *testing.T, want store) {
	t.Helper()
	for d, p := range want.bytes {
		got, ok := s.bytes[d]
		if !ok {
			t.Errorf("%s is missing: %.30q", d, p)
		} else if !bytes.Equal(got, p) {
			t.Errorf("%s has %d bytes, want %d", d, len(got), len(p))
		}
	}
	for d, p := range s.bytes {
		if _, ok := want.bytes[d]; !ok {
			t.Errorf("%s is there and belongs to nothing: %.30q", d, p)
		}
	}
	if !maps.Equal(s.names, want.names) {
		t.Errorf("names stand for %v, want %v", s.names, want.names)
	}
}

// whole is all of img, with what refers to it.
func whole(img testimage.Image) store {
	s := newStore()
	for d, m := range img.Manifests {
		s.bytes[d] = m.Bytes
	}
	maps.Copy(s.bytes, img.Blobs)
	maps.Copy(s.names, img.Tags)
	s.names[tag] = img.Root.Digest
	return s
}

// below is the graph of img, and nothing that refers to it. What is no JSON is a leaf.
func below(t *testing.T, img testimage.Image) store {
	t.Helper()
	s := newStore()
	s.names[tag] = img.Root.Digest
	for todo := []digest.Digest{img.Root.Digest}; len(todo) > 0; todo = todo[1:] {
		m := img.Manifests[todo[0]]
		s.bytes[todo[0]] = m.Bytes
		var edges struct {
			Config    *ocispec.Descriptor
			Layers    []ocispec.Descriptor
			Manifests []ocispec.Descriptor
		}
		if err := json.Unmarshal(m.Bytes, &edges); err != nil && json.Valid(m.Bytes) {
			t.Fatal(err)
		}
		if edges.Config != nil {
			edges.Layers = append(edges.Layers, *edges.Config)
		}
		for _, d := range edges.Layers {
			if p, ok := img.Blobs[d.Digest]; ok {
				s.bytes[d.Digest] = p
			}
		}
		for _, d := range edges.Manifests {
			todo = append(todo, d.Digest)
		}
	}
	return s
}

// renamed is s with other names.
func (s store) renamed(name func(tag string) string) store {
	named := store{s.bytes, map[string]digest.Digest{}}
	for tag, d := range s.names {
		named.names[name(tag)] = d
	}
	return named
}

// inRegistry reads repo of r.
func inRegistry(t *testing.T, r *testregistry.Registry, repo string) store {
	t.Helper()
	s := newStore()
	for _, d := range r.Blobs(repo) {
		p, _ := r.Blob(repo, d)
		s.add(t, d, p)
	}
	for _, d := range r.Manifests(repo) {
		m, _ := r.Manifest(repo, d.String())
		s.add(t, d, m.Bytes)
	}
	for _, tag := range r.Tags(repo) {
		s.names[tag] = r.Digest(repo, tag)
	}
	return s
}

// files are what is in a folder or a tar, by path.
type files map[string][]byte

// inFolder reads a folder, without what a place keeps there for itself.
func inFolder(t *testing.T, folder string) files {
	t.Helper()
	all := files{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		all[name], err = os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// inTar reads a tar, in which nothing may stand twice.
func inTar(t *testing.T, name string) files {
	t.Helper()
	packed, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	all := files{}
	for r := tar.NewReader(bytes.NewReader(packed)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if _, twice := all[path.Clean(h.Name)]; twice {
			t.Errorf("%s stands twice in the tar", h.Name)
		}
		if all[path.Clean(h.Name)], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// asLayout reads fs as an OCI layout.
func (fs files) asLayout(t *testing.T) store {
	t.Helper()
	s := newStore()
	for name, p := range fs {
		if rest, ok := strings.CutPrefix(name, "blobs/"); ok {
			s.add(t, digest.Digest(strings.Replace(rest, "/", ":", 1)), p)
		}
	}
	var index ocispec.Index
	if err := json.Unmarshal(fs["index.json"], &index); err != nil {
		t.Fatalf("index.json: %v", err)
	}
	for _, d := range index.Manifests {
		if _, ok := s.bytes[d.Digest]; !ok {
			t.Errorf("index.json names %s, which is not there", d.Digest)
		}
		if name := d.Annotations[ocispec.AnnotationRefName]; name != "" {
			s.names[name] = d.Digest
		}
	}
	if got := string(fs["oci-layout"]); !strings.Contains(got, `"imageLayoutVersion":"1.0.0"`) {
		t.Errorf("oci-layout is %q", got)
	}
	return s
}

// asDir reads fs as skopeo's plain directory.
func (fs files) asDir(t *testing.T) store {
	t.Helper()
	s := newStore()
	for name, p := range fs {
		switch hexed, isManifest := strings.CutSuffix(name, ".manifest.json"); {
		case name == "manifest.json":
			s.names[tag] = digest.FromBytes(p)
			s.bytes[s.names[tag]] = p
		case name == "version":
			if !strings.HasPrefix(string(p), "Directory Transport Version: 1.") {
				t.Errorf("version is %q", p)
			}
		case isHex(hexed):
			alg := map[int]digest.Algorithm{64: digest.SHA256, 128: digest.SHA512}[len(hexed)]
			s.add(t, digest.NewDigestFromEncoded(alg, hexed), p)
		case isManifest:
			s.names[hexed] = digest.FromBytes(p)
			s.bytes[s.names[hexed]] = p
		default:
			t.Errorf("%s belongs to no plain directory", name)
		}
	}
	return s
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && (len(s) == 64 || len(s) == 128)
}

// paths lists fs, sorted.
func (fs files) paths() []string { return slices.Sorted(maps.Keys(fs)) }
