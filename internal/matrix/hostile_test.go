package matrix

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/transfer"
)

// nest returns an image below so many indexes, each of which names the one below
// it often.
func nest(levels, often int) testimage.Image {
	b := testimage.Builder{Seed: 60}
	d := b.Image("linux/amd64", b.Layer(testimage.Gzip, 100))
	for range levels {
		inner := d
		if content.IsIndex(inner.MediaType) {
			inner.Platform = nil
		}
		d = b.Index(slices.Repeat([]ocispec.Descriptor{inner}, often)...)
	}
	return b.Done(d)
}

// TestIndexesThatNameEachOtherOftenCostLittle reads indexes with 40^7 paths.
func TestIndexesThatNameEachOtherOftenCostLittle(t *testing.T) {
	const levels = 7
	img := nest(levels, 40)
	for name, filter := range map[string]transfer.Filter{
		"all of it":            {},
		"one platform":         {Platforms: []content.Platform{amd64}},
		"a platform, sparsely": {Platforms: []content.Platform{amd64}, Sparse: true},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := fromRegistry(t, img), toRegistry(t)
			result := run(t, &transfer.Copier{}, transfer.Job{
				Name: "image", Src: from.open(t), Ref: tag, Filter: filter, Dst: []transfer.Target{to.target(t)},
			})
			if err := result.Err(); err != nil && !errors.Is(err, content.ErrNotFound) {
				t.Error(err)
			}
			if n := from.registry.Count(testregistry.Is("GET", testregistry.KindManifest)); n > levels+1 {
				t.Errorf("%d manifests were read, want each once: %d", n, levels+1)
			}
		})
	}
}

// TestWhatARegistryMakesUpIsNeverWritten serves content that is not what its
// digest says, or that no two readers would read alike.
func TestWhatARegistryMakesUpIsNeverWritten(t *testing.T) {
	img := testimage.Index(61)
	child := img.Manifests[img.Root.Digest]
	other := testimage.Single(62)
	raw := func(digestOf string, bytes string) func(r *testregistry.Registry) {
		return func(r *testregistry.Registry) {
			r.PutManifest(repo, digestOf, ocispec.MediaTypeImageIndex, []byte(bytes))
		}
	}
	ambiguous := strings.Replace(string(child.Bytes), `"manifests"`, `"layers":[],"manifests"`, 1)
	twice := strings.Replace(string(child.Bytes), `"manifests"`, `"manifests":[],"manifests"`, 1)
	tests := []struct {
		name  string
		spoil func(r *testregistry.Registry)
		want  error
	}{
		{"a child with other bytes", func(r *testregistry.Registry) {
			d := firstChild(t, img)
			r.PutManifest(repo, d, ocispec.MediaTypeImageManifest, other.Manifests[other.Root.Digest].Bytes)
		}, content.ErrCorrupt},
		{"a child that is the root", func(r *testregistry.Registry) {
			r.PutManifest(repo, firstChild(t, img), ocispec.MediaTypeImageIndex, child.Bytes)
		}, content.ErrCorrupt},
		{"an index that is an image too", raw(tag, ambiguous), content.ErrInvalid},
		{"a key that stands twice", raw(tag, twice), content.ErrInvalid},
		{"a child of negative size", raw(tag, withSize(child.Bytes, "-1")), content.ErrInvalid},
		{"a child of 2^62 bytes", raw(tag, withSize(child.Bytes, "4611686018427387904")), content.ErrInvalid},
		{"a child of another size", raw(tag, withSize(child.Bytes, "7")), content.ErrCorrupt},
		{"docker schema 1", func(r *testregistry.Registry) { testimage.Schema1(63).PutTo(r, repo, tag) }, content.ErrInvalid},
		{"a blob with a flipped bit", func(r *testregistry.Registry) { r.CorruptBlob(repo, img.Largest()) }, content.ErrCorrupt},
		{"a blob that is missing", func(r *testregistry.Registry) { r.DeleteBlob(repo, img.Largest()) }, content.ErrNotFound},
		{"9 indexes in each other", func(r *testregistry.Registry) { nest(9, 1).PutTo(r, repo, tag) }, content.ErrInvalid},
	}
	for _, tt := range tests {
		for _, to := range goals() {
			t.Run(tt.name+" to "+to.name, func(t *testing.T) {
				from, g := fromRegistry(t, img), to.make(t)
				tt.spoil(from.registry)
				target := g.target(t)
				result := run(t, &transfer.Copier{}, transfer.Job{Name: "image", Src: from.open(t), Ref: tag, Dst: []transfer.Target{target}})
				if err := result.Err(); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				checkUnnamed(t, g)
			})
		}
	}
}

// checkUnnamed reports names and manifests at g, where a copy failed.
func checkUnnamed(t *testing.T, g *goal) {
	t.Helper()
	switch {
	case g.registry != nil:
		if tags := g.registry.Tags(repo); len(tags) > 0 {
			t.Errorf("names are there: %v", tags)
		}
	case g.file:
		if _, err := os.Lstat(g.path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is there: %v", err)
		}
	default:
		if _, err := os.Lstat(g.path); errors.Is(err, fs.ErrNotExist) {
			return
		}
		all := inFolder(t, g.path)
		if strings.Contains(string(all["index.json"]), "sha256") || all["manifest.json"] != nil {
			t.Errorf("an image is there: %q", all["index.json"])
		}
	}
}

// firstChild returns the digest of the first child of img's root.
func firstChild(t *testing.T, img testimage.Image) string {
	t.Helper()
	s := whole(img)
	return children(t, s, img.Root.Digest)[0].Digest.String()
}

// withSize returns the index with another size for its first child.
func withSize(index []byte, size string) string {
	before, after, _ := strings.Cut(string(index), `"size": `)
	var n int
	if _, err := fmt.Sscan(after, &n); err != nil {
		return ""
	}
	return before + `"size": ` + size + strings.TrimPrefix(after, fmt.Sprint(n))
}
