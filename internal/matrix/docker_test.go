package matrix

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// A savedImage is an entry of a docker archive's manifest.json.
type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string

	LayerSources map[digest.Digest]ocispec.Descriptor `json:",omitempty"`
}

// saved returns the files that docker save wrote before version 25 for the image
// of that manifest in img, and the diff IDs of its layers.
func saved(t *testing.T, img testimage.Image, root digest.Digest) (all files, entry savedImage, diffIDs []digest.Digest) {
	t.Helper()
	var m ocispec.Manifest
	var config ocispec.Image
	if err := json.Unmarshal(img.Manifests[root].Bytes, &m); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(img.Blobs[m.Config.Digest], &config); err != nil {
		t.Fatal(err)
	}
	all = files{}
	entry = savedImage{Config: digest.FromBytes(img.Blobs[m.Config.Digest]).Encoded() + ".json", RepoTags: []string{"team/app:" + tag}, Layers: []string{}}
	all[entry.Config] = img.Blobs[m.Config.Digest]
	for i, d := range m.Layers {
		id := digest.FromString(d.Digest.String() + string(rune('a'+i))).Encoded()
		entry.Layers = append(entry.Layers, id+"/layer.tar")
		if content.IsForeign(d.MediaType) {
			entry.LayerSources = map[digest.Digest]ocispec.Descriptor{config.RootFS.DiffIDs[i]: d}
			diffIDs = append(diffIDs, d.Digest)
			continue
		}
		raw := unpacked(t, img.Blobs[d.Digest])
		all[id+"/VERSION"] = []byte("1.0")
		all[id+"/json"] = []byte(`{"id":"` + id + `"}`)
		all[id+"/layer.tar"] = raw
		diffIDs = append(diffIDs, digest.FromBytes(raw))
	}
	return all, entry, diffIDs
}

// saveable returns the image in img that docker would save: the first one below
// the root that has an image's config.
func saveable(t *testing.T, img testimage.Image) (digest.Digest, bool) {
	t.Helper()
	for todo := []digest.Digest{img.Root.Digest}; len(todo) > 0; todo = todo[1:] {
		var m struct {
			Config    ocispec.Descriptor
			Manifests []ocispec.Descriptor
		}
		if err := json.Unmarshal(img.Manifests[todo[0]].Bytes, &m); err != nil {
			t.Fatal(err)
		}
		if m.Config.MediaType == ocispec.MediaTypeImageConfig || m.Config.MediaType == content.DockerConfig {
			return todo[0], true
		}
		for _, d := range m.Manifests {
			todo = append(todo, d.Digest)
		}
	}
	return "", false
}

// unpacked returns the tar in p.
func unpacked(t *testing.T, p []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(p)
	var err error
	switch {
	case bytes.HasPrefix(p, []byte{0x1f, 0x8b}):
		r, err = gzip.NewReader(r)
	case bytes.HasPrefix(p, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// fromDockerArchive holds img as docker save wrote it: config and raw layers,
// and no manifest. What archive makes up has the same config, layers that are
// the diff IDs, and is the same every time.
func fromDockerArchive(t *testing.T, img testimage.Image) origin {
	t.Helper()
	file := filepath.Join(t.TempDir(), "saved.tar")
	root, ok := saveable(t, img)
	if !ok {
		t.Fatal("docker cannot save this")
	}
	all, entry, diffIDs := saved(t, img, root)
	all["manifest.json"] = encoded(t, []savedImage{entry})
	all["repositories"] = []byte(`{"team/app":{"` + tag + `":"` + digest.FromString("top").Encoded() + `"}}`)
	all.pack(t, file)
	return origin{
		ref:  "team/app:" + tag,
		open: func(t *testing.T) content.Source { t.Helper(); return openArchive(t, file) },
		want: func(t *testing.T) store {
			t.Helper()
			m, err := openArchive(t, file).Manifest(t.Context(), "team/app:"+tag)
			if err != nil {
				t.Fatal(err)
			}
			s := newStore()
			s.add(t, m.Digest(), m.Raw())
			s.names[tag] = m.Digest()
			config, _ := m.Config()
			if got, want := config.Digest, digest.FromBytes(all[entry.Config]); got != want {
				t.Errorf("config is %s, docker's is %s", got, want)
			}
			s.bytes[config.Digest] = all[entry.Config]
			var layers []digest.Digest
			for i, d := range m.Layers() {
				layers = append(layers, d.Digest)
				if p, ok := all[entry.Layers[i]]; ok {
					s.bytes[d.Digest] = p
				}
			}
			if !slices.Equal(layers, diffIDs) {
				t.Errorf("layers are %v, the diff IDs %v", layers, diffIDs)
			}
			return s
		},
	}
}

// checkLoadable reads manifest.json of an archive as docker load does: every
// image it names has a config that names as many layers, which are all there.
func checkLoadable(t *testing.T, all files, s store) {
	t.Helper()
	raw, ok := all["manifest.json"]
	if !ok {
		return // nothing that docker could load
	}
	var entries []savedImage
	if err := json.Unmarshal(raw, &entries); err != nil {
		t.Fatalf("manifest.json: %v", err)
	}
	for _, entry := range entries {
		var config ocispec.Image
		if err := json.Unmarshal(all[entry.Config], &config); err != nil {
			t.Errorf("config %s: %v", entry.Config, err)
		}
		if len(config.RootFS.DiffIDs) != len(entry.Layers) {
			t.Errorf("%d diff IDs for %d layers", len(config.RootFS.DiffIDs), len(entry.Layers))
			continue
		}
		for i, name := range entry.Layers {
			p, ok := all[path.Clean(name)]
			if !ok {
				t.Errorf("manifest.json names %s, which is not there", name)
			} else if got := digest.FromBytes(unpacked(t, p)); got != config.RootFS.DiffIDs[i] {
				t.Errorf("layer %s has diff ID %s, want %s", name, got, config.RootFS.DiffIDs[i])
			}
		}
	}
	if len(s.names) > 0 && len(entries) == 0 {
		t.Error("manifest.json is empty")
	}
}
