package contenttest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func manifestContracts() []contract {
	return []contract{
		{"a name nobody gave is not found", unknownName},
		{"one manifest may have several names", severalNames},
		{"a name can move", movedName},
		{"a manifest can be rooted by its digest", rootedByDigest},
		{"a manifest without names is there by digest", withoutNames},
		{"a manifest that is there may be put again", putAgain},
		{"an ambiguous manifest is refused", ambiguous},
		{"what lies under a digest tag is kept beside the image", digestTags},
	}
}

// roundTrip stores img, and reads every byte of it back.
func roundTrip(s *stage, img Image) {
	t := s.T
	s.put(t, img, s.name("kind"))
	src := s.source(t)
	CheckImage(t, src, img, s.name("kind"))
	if s.Strays == nil {
		return
	}
	if strays := s.Strays(t); len(strays) > 0 {
		t.Errorf("files that belong to nothing: %q", strays)
	}
}

// CheckImage reports every byte of img that src does not have under name and
// by digest.
func CheckImage(t *testing.T, src content.Source, img Image, name string) {
	t.Helper()
	checkManifest(t, src, name, img.Root)
	for _, m := range slices.Concat([]content.Manifest{img.Root}, img.Children, img.Referrers) {
		checkManifest(t, src, m.Digest().String(), m)
	}
	for _, b := range img.Blobs {
		checkBlob(t, src, b)
	}
}

// checkManifest compares what ref stands for with want: bytes, type and edges.
func checkManifest(t *testing.T, src content.Source, ref string, want content.Manifest) {
	t.Helper()
	got, err := src.Manifest(t.Context(), ref)
	if err != nil {
		t.Errorf("Manifest(%s): %v", ref, err)
		return
	}
	if !bytes.Equal(got.Raw(), want.Raw()) {
		t.Errorf("Manifest(%s) has bytes %.200q, want %.200q", ref, got.Raw(), want.Raw())
	}
	if got.MediaType() != want.MediaType() || got.Size() != want.Size() || len(got.Edges()) != len(want.Edges()) {
		t.Errorf("Manifest(%s) is %+v with %d edges, want %+v with %d",
			ref, got.Descriptor(), len(got.Edges()), want.Descriptor(), len(want.Edges()))
	}
	// By name a place may call it by another algorithm; by digest it may not.
	if ref == want.Digest().String() && got.Digest() != want.Digest() {
		t.Errorf("Manifest(%s) has digest %s", ref, got.Digest())
	}
}

// wantNoManifest reports when ref stands for something.
func wantNoManifest(t *testing.T, src content.Source, ref string) {
	t.Helper()
	if m, err := src.Manifest(t.Context(), ref); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("Manifest(%s) = %s, %v; want not found", ref, m.Digest(), err)
	}
}

// checkBlob reads b in full.
func checkBlob(t *testing.T, src content.Source, b *Blob) {
	t.Helper()
	got, err := readBlob(t, content.NewBlob(src, b.Desc), content.Range{})
	if err != nil {
		t.Errorf("read blob %s: %v", b.Desc.Digest, err)
		return
	}
	if !bytes.Equal(got, b.Data) {
		t.Errorf("blob %s: got %d bytes of digest %s, want %d", b.Desc.Digest, len(got), digest.FromBytes(got), len(b.Data))
	}
}

// readBlob reads span r of b, and no more than 1 MiB past the blob's size.
func readBlob(t *testing.T, b content.Blob, r content.Range) (got []byte, err error) {
	t.Helper()
	rc, err := b.Open(t.Context(), r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	return io.ReadAll(io.LimitReader(rc, b.Descriptor().Size+1<<20))
}

func unknownName(s *stage) {
	t := s.T
	s.put(t, Anchor(t), s.name("v1"))
	src := s.source(t)
	wantNoManifest(t, src, s.name("v2"))
	wantNoManifest(t, src, digest.FromString("nothing").String())
	wantNoManifest(t, src, digest.SHA512.FromString("nothing").String())
}

func severalNames(s *stage) {
	t := s.T
	img := anchors(t, 1)[0]
	s.put(t, img, s.name("v1"), s.name("v1.0"), s.name("latest"))
	src := s.source(t)
	for _, tag := range []string{"v1", "v1.0", "latest"} {
		checkManifest(t, src, s.name(tag), img.Root)
	}
}

func movedName(s *stage) {
	t := s.T
	imgs := anchors(t, 2)
	s.put(t, imgs[0], s.name("latest"), s.name("old"))
	s.put(t, imgs[1], s.name("latest"), s.name("new"))
	src := s.source(t)
	checkManifest(t, src, s.name("latest"), imgs[1].Root)
	checkManifest(t, src, s.name("new"), imgs[1].Root)
	checkManifest(t, src, s.name("old"), imgs[0].Root)
}

func rootedByDigest(s *stage) {
	t := s.T
	img := anchors(t, 1)[0]
	s.put(t, img, img.Root.Digest().String())
	src := s.source(t)
	CheckImage(t, src, img, img.Root.Digest().String())
}

// digestTags stores what cosign keeps of an image: manifests under tags that are called after its digest.
func digestTags(s *stage) {
	t := s.T
	img := anchors(t, 1)[0]
	s.put(t, img, s.name("v1"))
	k := newMaker(t)
	kept := map[string]content.Manifest{}
	for i, tag := range content.DigestTags(img.Root.Digest()) {
		layer := k.add("application/vnd.dev.cosign.simplesigning.v1+json", Noise(1800+uint64(i), 100))
		kept[tag] = k.artifact("", nil, layer)
	}
	for _, b := range k.blobs {
		s.putBlob(t, b)
	}
	for tag, m := range kept {
		if err := s.Sink.PutManifest(t.Context(), m, s.name(tag)); err != nil {
			t.Fatalf("put %s: %v", tag, err)
		}
	}
	src := s.source(t)
	CheckImage(t, src, img, s.name("v1"))
	for tag, m := range kept {
		checkManifest(t, src, s.name(tag), m)
		checkManifest(t, src, m.Digest().String(), m)
	}
}

func withoutNames(s *stage) {
	t := s.T
	img := anchors(t, 1)[0]
	s.put(t, img)
	CheckImage(t, s.source(t), img, img.Root.Digest().String())
}

func putAgain(s *stage) {
	t := s.T
	img := anchors(t, 1)[0]
	s.put(t, img)
	s.put(t, img, s.name("v1"))
	s.put(t, img, s.name("v1"), s.name("v2"))
	src := s.source(t)
	CheckImage(t, src, img, s.name("v1"))
	CheckImage(t, src, img, s.name("v2"))
}

// ambiguous puts manifests that two readers would read differently
// (https://github.com/advisories/GHSA-xmmx-7jpf-fx42).
func ambiguous(s *stage) {
	t := s.T
	k := newMaker(t)
	img := k.image(amd64, 2000, 1)
	for _, b := range k.blobs {
		s.putBlob(t, b)
	}
	both := k.json(body{
		SchemaVersion: 2, MediaType: ocispec.MediaTypeImageManifest,
		Config: &k.blobs[1].Desc, Layers: img.Layers(), Manifests: []ocispec.Descriptor{},
	})
	both = bytes.Replace(both, []byte(`"layers"`), []byte(`"manifests":[],"layers"`), 1)
	twice := bytes.Replace(img.Raw(), []byte(`"schemaVersion":2`), []byte(`"schemaVersion":2,"schemaVersion":2`), 1)
	folded := bytes.Replace(img.Raw(), []byte(`"config"`), []byte(`"Config":null,"config"`), 1)
	var refused []content.Manifest
	for _, raw := range [][]byte{both, twice, folded} {
		m := k.manifest(ocispec.MediaTypeImageManifest, raw)
		if m.Ambiguous() == nil {
			t.Fatalf("not ambiguous: %s", raw)
		}
		refused = append(refused, m)
		if err := s.Sink.PutManifest(t.Context(), m, s.name("v1")); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("PutManifest(%s) = %v, want invalid content", raw, err)
		}
	}
	src := s.source(t)
	for _, m := range refused {
		wantNoManifest(t, src, m.Digest().String())
	}
	wantNoManifest(t, src, s.name("v1"))
}
