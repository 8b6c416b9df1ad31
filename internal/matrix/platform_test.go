package matrix

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/transfer"
)

var (
	amd64 = content.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = content.Platform{OS: "linux", Architecture: "arm64"}
)

// filtered copies what of the image is for platforms, as a process of its own.
func filtered(t *testing.T, from origin, to *goal, filter transfer.Filter) *transfer.ImageResult {
	t.Helper()
	result := run(t, &transfer.Copier{}, transfer.Job{
		Name: "image", Src: from.open(t), Ref: from.ref, Filter: filter, Dst: []transfer.Target{to.target(t)},
	})
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return result.Images[0]
}

// children reads the index at root in s.
func children(t *testing.T, s store, root digest.Digest) []ocispec.Descriptor {
	t.Helper()
	var index ocispec.Index
	if err := json.Unmarshal(s.bytes[root], &index); err != nil {
		t.Fatal(err)
	}
	return index.Manifests
}

// TestSomePlatforms copies some of an index with attestations between every
// pair, twice.
func TestSomePlatforms(t *testing.T) {
	img := testimage.Index(50)
	for _, from := range origins() {
		if from.name == "docker archive" { // holds one image, and no index
			continue
		}
		for _, to := range goals() {
			for name, platforms := range map[string][]content.Platform{"one": {amd64}, "two": {amd64, arm64}} {
				t.Run(name+" from "+from.name+" to "+to.name, func(t *testing.T) {
					narrowTwice(t, from.make(t, img), to.make(t), platforms)
				})
			}
		}
	}
}

func narrowTwice(t *testing.T, from origin, to *goal, platforms []content.Platform) {
	t.Helper()
	filter := transfer.Filter{Platforms: platforms}
	first := filtered(t, from, to, filter)
	checkNarrow(t, from.want(t), to, first, len(platforms))

	before := to.snapshot(t)
	reset(from.registry, to.registry)
	second := filtered(t, from, to, filter)
	if second.Root.Digest != first.Root.Digest {
		t.Errorf("the second run made %s out of it, the first %s", second.Root.Digest, first.Root.Digest)
	}
	before.wantUntouched(t, to.snapshot(t))
	if to.file {
		return
	}
	if s := second.Targets[0]; s.Stored > 0 || s.Mounted > 0 || blobBytes(from.registry, to.registry) > 0 {
		t.Errorf("the second run moved blobs: %+v", s)
	}
	if n := writes(to.registry); n > 0 {
		t.Errorf("the second run wrote %d times", n)
	}
}

// writes counts the requests that change something.
func writes(r *testregistry.Registry) int {
	if r == nil {
		return 0
	}
	return r.Count(func(q testregistry.Request) bool { return q.Method != http.MethodGet && q.Method != http.MethodHead })
}

// checkNarrow looks for n images and the attestation of each, and nothing else
// that is not of whole, the source's image.
func checkNarrow(t *testing.T, whole store, to *goal, result *transfer.ImageResult, n int) {
	t.Helper()
	if result.Source.Digest != whole.names[tag] || result.Root.Digest == result.Source.Digest {
		t.Errorf("%s became %s", result.Source.Digest, result.Root.Digest)
	}
	got := to.read(t)
	if got.names[to.name(tag)] != result.Root.Digest {
		t.Errorf("the name stands for %s, the result says %s", got.names[to.name(tag)], result.Root.Digest)
	}
	kept, attested := map[string]bool{}, 0
	for _, d := range children(t, got, result.Root.Digest) {
		if !content.IsAttestation(d) {
			kept[d.Digest.String()] = true
			continue
		}
		attested++
		if !kept[d.Annotations[content.AnnotationReferenceDigest]] {
			t.Errorf("an attestation of what is not there was kept: %+v", d)
		}
	}
	if len(kept) != n || attested != n {
		t.Errorf("%d images and %d attestations were kept, want %d each", len(kept), attested, n)
	}
	for d, p := range got.bytes {
		if _, known := whole.bytes[d]; !known && d != result.Root.Digest {
			t.Errorf("%s is not of the image: %.60q", d, p)
		}
	}
}

func TestASparseCopyKeepsTheIndex(t *testing.T) {
	img := testimage.Index(51)
	from, to := fromRegistry(t, img), toLayout(t)
	result := filtered(t, from, to, transfer.Filter{Platforms: []content.Platform{amd64}, Sparse: true})
	if result.Root.Digest != img.Root.Digest {
		t.Errorf("the root became %s", result.Root.Digest)
	}
	got := to.read(t)
	there := 0
	for _, d := range children(t, got, img.Root.Digest) {
		if _, ok := got.bytes[d.Digest]; ok {
			there++
		}
	}
	if there != 2 {
		t.Errorf("%d children are there, want the image and its attestation", there)
	}
}
