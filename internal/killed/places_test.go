package killed

import (
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// A state is what is wanted of a destination.
type state int

const (
	stands   state = iota // the old image is whole, and so is the new one where it has a name
	complete              // both are whole, and nothing else lies there
)

// writeLayout writes images as any tool might, the first under the name old, the
// second as next.
func writeLayout(t *testing.T, path string, images ...testimage.Image) {
	t.Helper()
	blobs := filepath.Join(path, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for i, img := range images {
		root := img.Root
		root.Annotations = map[string]string{ocispec.AnnotationRefName: []string{"old", "next"}[i]}
		index.Manifests = append(index.Manifests, root)
		for d, raw := range contents(img) {
			write(t, filepath.Join(blobs, d.Encoded()), raw)
		}
	}
	raw, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(path, "index.json"), raw)
	write(t, filepath.Join(path, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// contents returns the bytes of all that img is made of.
func contents(img testimage.Image) map[digest.Digest][]byte {
	all := map[digest.Digest][]byte{}
	maps.Copy(all, img.Blobs)
	for d, m := range img.Manifests {
		all[d] = m.Bytes
	}
	return all
}

// wantLayout hashes every blob of the layout at path and looks at its names.
func (s *scene) wantLayout(path string, want state) {
	s.t.Helper()
	has := map[digest.Digest]bool{}
	for name := range strings.FieldsSeq(listing(s.t, path)) {
		if hex, ok := strings.CutPrefix(name, "blobs/sha256/"); ok {
			raw, err := os.ReadFile(filepath.Join(path, filepath.FromSlash(name)))
			if err != nil || digest.FromBytes(raw).Encoded() != hex {
				s.t.Errorf("%s has other bytes, %v", name, err)
			}
			has[digest.NewDigestFromEncoded(digest.SHA256, hex)] = true
			continue
		}
		known := slices.Contains([]string{"index.json", "oci-layout"}, name) || strings.HasPrefix(name, ".wherry/verified/")
		if !known && want == complete {
			s.t.Errorf("%s is left", name)
		}
	}
	raw, err := os.ReadFile(filepath.Join(path, "index.json"))
	var index ocispec.Index
	if err != nil || json.Unmarshal(raw, &index) != nil {
		s.t.Errorf("index.json: %v: %s", err, raw)
	}
	names := map[string]digest.Digest{}
	for _, d := range index.Manifests {
		names[d.Annotations[ocispec.AnnotationRefName]] = d.Digest
	}
	s.wantNames(names, want, func(d digest.Digest) bool { return has[d] })
}

// wantNames wants names to stand for whole images.
func (s *scene) wantNames(names map[string]digest.Digest, want state, has func(digest.Digest) bool) {
	s.t.Helper()
	images := map[string]testimage.Image{"old": s.old, "next": s.next}
	for name, img := range images {
		d, there := names[name]
		if !there && name == "next" && want == stands {
			continue
		}
		if d != img.Root.Digest {
			s.t.Errorf("%s stands for %q", name, d)
		}
		for d := range contents(img) {
			if !has(d) {
				s.t.Errorf("%s of %s is missing", d, name)
			}
		}
	}
	if len(names) > len(images) {
		s.t.Errorf("the names are %v", names)
	}
}

func (s *scene) wantRegistry(r *testregistry.Registry, want state) {
	s.t.Helper()
	names := map[string]digest.Digest{}
	for _, tag := range r.Tags("app") {
		names[tag] = r.Digest("app", tag)
	}
	s.wantNames(names, want, func(d digest.Digest) bool {
		raw, ok := r.Blob("app", d)
		if m, isManifest := r.Manifest("app", d.String()); isManifest {
			raw, ok = m.Bytes, true
		}
		return ok && digest.FromBytes(raw) == d
	})
}

// wantArchive reads the next image from the archive at path.
func (s *scene) wantArchive(path string) {
	s.t.Helper()
	a, err := archive.Open(s.t.Context(), path, archive.Options{})
	if err != nil {
		s.t.Error(err)
		return
	}
	defer func() {
		if err := a.Close(); err != nil {
			s.t.Error(err)
		}
	}()
	m, err := a.Manifest(s.t.Context(), "next")
	if err != nil || m.Digest() != s.next.Root.Digest {
		s.t.Errorf("the archive has %s, %v", m.Digest(), err)
	}
	for _, d := range m.Blobs() {
		rc, err := a.Open(s.t.Context(), d, content.Range{})
		if err != nil {
			s.t.Error(err)
			continue
		}
		right := d.Digest.Verifier()
		if _, err := io.Copy(right, rc); err != nil || rc.Close() != nil || !right.Verified() {
			s.t.Errorf("%s in the archive is not right: %v", d.Digest, err)
		}
	}
}

// listing returns the files below folder, in order.
func listing(t *testing.T, folder string) string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(files, " ")
}
