package contenttest

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// abilityContracts are about what only some places can do. A place that cannot
// keeps the contract by not saying that it can.
func abilityContracts() []contract {
	return []contract{
		{"resolving gives what the manifest has", resolves},
		{"every name is listed once", lists},
		{"no names are listed where there are none", listsNothing},
		{"referrers of an index and of its child are listed", refers},
		{"a name can be taken away", untags},
		{"a manifest can be deleted with its names", deletes},
		{"names that exist can be left alone", keepsNames},
		{"spans of a blob may come in any order", ingests},
		{"spans that do not match are refused", ingestsCorrupt},
		{"the disk of a place has room", hasRoom},
	}
}

func resolves(s *stage) {
	t := s.T
	imgs := Kinds(t)
	for i, img := range imgs {
		s.put(t, img, s.name(fmt.Sprintf("v%d", i)))
	}
	src := s.source(t)
	r, ok := content.As[content.Resolver](src)
	if !ok {
		return
	}
	for i, img := range imgs {
		for _, ref := range []string{s.name(fmt.Sprintf("v%d", i)), img.Root.Digest().String()} {
			got, err := r.Resolve(t.Context(), ref)
			m, merr := src.Manifest(t.Context(), ref)
			if err != nil || merr != nil {
				t.Errorf("%s: Resolve(%s) = %v; Manifest = %v", img.Name, ref, err, merr)
				continue
			}
			want := m.Descriptor()
			if got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
				t.Errorf("%s: Resolve(%s) = %+v, the manifest is %+v", img.Name, ref, got, want)
			}
		}
	}
	for _, ref := range []string{s.name("nobody"), digest.FromString("nothing").String()} {
		if got, err := r.Resolve(t.Context(), ref); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("Resolve(%s) = %+v, %v; want not found", ref, got, err)
		}
	}
}

func lists(s *stage) {
	t := s.T
	img := anchors(t, 1)[0]
	const n = 25
	var want []string
	for i := range n {
		want = append(want, s.name(fmt.Sprintf("v%02d", i)))
	}
	s.put(t, img, want...)
	s.put(t, img, img.Root.Digest().String())
	src := s.source(t)
	lister, ok := content.As[content.TagLister](src)
	if !ok {
		return
	}
	if s.committed {
		want = append(want, s.name("anchor"))
	}
	got := collect(t, lister.Tags(t.Context()))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("Tags = %q, want %q", got, want)
	}
	for _, err := range lister.Tags(t.Context()) {
		if err != nil {
			t.Errorf("Tags: %v", err)
		}
		break // a reader may stop early
	}
}

func listsNothing(s *stage) {
	t := s.T
	img := anchors(t, 1)[0]
	s.put(t, img, img.Root.Digest().String())
	src := s.source(t)
	lister, ok := content.As[content.TagLister](src)
	if !ok || s.committed {
		return
	}
	if got := collect(t, lister.Tags(t.Context())); len(got) > 0 {
		t.Errorf("Tags = %q, want none", got)
	}
}

// collect reads a listing that must end.
func collect[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for v, err := range seq {
		if err != nil {
			t.Fatalf("listing breaks off after %d: %v", len(all), err)
		}
		if all = append(all, v); len(all) > 10_000 {
			t.Fatal("listing does not end")
		}
	}
	return all
}

func refers(s *stage) {
	t := s.T
	imgs := Kinds(t)
	img := imgs[slices.IndexFunc(imgs, func(img Image) bool { return len(img.Referrers) > 0 })]
	long := imgs[slices.IndexFunc(imgs, func(img Image) bool {
		return len(img.Referrers) > 0 && img.Root.Digest().Algorithm() == digest.SHA512
	})]
	s.put(t, img, s.name("v1"))
	s.put(t, long, s.name("v2"))
	src := s.source(t)
	lister, ok := content.As[content.ReferrerLister](src)
	if !ok {
		return
	}
	const signature = "application/vnd.example.signature"
	byRoot, other, byChild := img.Referrers[0], img.Referrers[1], img.Referrers[2]
	tests := []struct {
		name         string
		subject      digest.Digest
		artifactType string
		want         []content.Manifest
	}{
		{"of the index", img.Root.Digest(), "", []content.Manifest{byRoot, other}},
		{"of the index, by type", img.Root.Digest(), signature, []content.Manifest{byRoot}},
		{"of a child", img.Children[0].Digest(), "", []content.Manifest{byChild}},
		{"of an image named by sha512", long.Root.Digest(), "", []content.Manifest{long.Referrers[0]}},
		{"of a child, by a type nobody has", img.Children[0].Digest(), "application/vnd.example.none", nil},
		{"of a manifest without any", img.Children[1].Digest(), "", nil},
		{"of a manifest that is not there", digest.FromString("nothing"), "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkReferrers(t, collect(t, lister.Referrers(t.Context(), tt.subject, tt.artifactType)), tt.want)
		})
	}
}

func checkReferrers(t *testing.T, got []ocispec.Descriptor, want []content.Manifest) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d referrers, want %d: %+v", len(got), len(want), got)
	}
	for _, m := range want {
		i := slices.IndexFunc(got, func(d ocispec.Descriptor) bool { return d.Digest == m.Digest() })
		if i < 0 {
			t.Errorf("%s is not listed: %+v", m.Digest(), got)
			continue
		}
		d := got[i]
		if d.MediaType != m.MediaType() || d.Size != m.Size() || d.ArtifactType != m.ArtifactType() {
			t.Errorf("listed as %+v, want %+v", d, m.Descriptor())
		}
		if d.Annotations["org.example.note"] != m.Annotations()["org.example.note"] {
			t.Errorf("listed with annotations %v, want %v", d.Annotations, m.Annotations())
		}
	}
}

func untags(s *stage) {
	t := s.T
	deleter, ok := content.As[content.Deleter](s.Sink)
	if !ok || s.committed {
		return
	}
	img := anchors(t, 1)[0]
	s.put(t, img, s.name("v1"), s.name("v2"))
	if err := deleter.Untag(t.Context(), s.name("v1")); err != nil {
		t.Fatalf("Untag: %v", err)
	}
	src := s.source(t)
	wantNoManifest(t, src, s.name("v1"))
	CheckImage(t, src, img, s.name("v2"))
	if err := deleter.Untag(t.Context(), s.name("v1")); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("second Untag = %v, want not found", err)
	}
}

func deletes(s *stage) {
	t := s.T
	deleter, ok := content.As[content.Deleter](s.Sink)
	if !ok {
		return
	}
	imgs := anchors(t, 2)
	s.put(t, imgs[0], s.name("v1"), s.name("v2"))
	s.put(t, imgs[1], s.name("v3"))
	if err := deleter.DeleteManifest(t.Context(), imgs[0].Root.Digest()); err != nil {
		t.Fatalf("DeleteManifest: %v", err)
	}
	src := s.source(t)
	for _, ref := range []string{s.name("v1"), s.name("v2"), imgs[0].Root.Digest().String()} {
		wantNoManifest(t, src, ref)
	}
	CheckImage(t, src, imgs[1], s.name("v3"))
	if err := deleter.DeleteManifest(t.Context(), imgs[0].Root.Digest()); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("second DeleteManifest = %v, want not found", err)
	}
	for _, d := range HostileDigests() {
		if err := deleter.DeleteManifest(t.Context(), d); err == nil {
			t.Errorf("DeleteManifest(%q) = nil, want a refusal", d)
		}
	}
}

func ingests(s *stage) {
	t := s.T
	sink, ok := content.As[content.RandomSink](s.Sink)
	if !ok {
		return
	}
	b := NewBlob(octets, Noise(71, 900_000))
	const cut = 400_000
	fill(t, sink, b, content.Range{Off: cut, Len: b.Desc.Size - cut}, content.Ingest.Close)
	s.wantHasNot(t, b)
	fill(t, sink, b, content.Range{Len: cut}, func(in content.Ingest) error {
		for _, r := range in.Done() {
			if r.Len <= 0 || r.Off < 0 || r.Off+r.Len > b.Desc.Size {
				t.Errorf("Done has %+v", r)
			}
		}
		// What was closed without Commit may be there still; it is written anew here.
		if err := writeSpan(in, b, content.Range{Off: cut, Len: b.Desc.Size - cut}); err != nil {
			return errors.Join(err, in.Close())
		}
		return errors.Join(in.Commit(t.Context()), in.Close())
	})
	s.wantHas(t, b)
	s.root(t, b)
	checkBlob(t, s.source(t), b)
}

func ingestsCorrupt(s *stage) {
	t := s.T
	sink, ok := content.As[content.RandomSink](s.Sink)
	if !ok {
		return
	}
	b := NewBlob(octets, Noise(72, 100_000))
	bad := b.as(flipped(b.Data))
	fill(t, sink, bad, content.Range{Len: b.Desc.Size}, func(in content.Ingest) error {
		if err := in.Commit(t.Context()); !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("Commit = %v, want corrupt content", err)
		}
		return in.Close()
	})
	s.wantHasNot(t, b)
	s.putBlob(t, b)
	s.root(t, b)
	checkBlob(t, s.source(t), b)
}

func hasRoom(s *stage) {
	t := s.T
	sink, ok := content.As[content.Bounded](s.Sink)
	if !ok {
		return
	}
	room, err := sink.Room()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) || err == nil && (room.Free <= 0 || room.Disk == "" || room.Path == "") {
		t.Errorf("Room = %+v, %v", room, err)
	}
	b := NewBlob(octets, Noise(73, 1<<20))
	if held := sink.Held(b.Desc); held != 0 {
		t.Errorf("Held = %d of a blob that nobody put", held)
	}
	if got, err := s.Sink.PutBlob(t.Context(), breaking{b, len(b.Data) / 2}); err == nil {
		t.Errorf("PutBlob of a blob that breaks = %v, nil; want an error", got)
	}
	if held := sink.Held(b.Desc); held < 0 || held > b.Desc.Size {
		t.Errorf("Held = %d of %d bytes", held, b.Desc.Size)
	}
	for _, d := range HostileDigests() {
		bad := b.Desc
		bad.Digest = d
		if held := sink.Held(bad); held != 0 {
			t.Errorf("Held of %q = %d", d, held)
		}
	}
	s.putBlob(t, b)
	s.root(t, b)
	checkBlob(t, s.source(t), b)
}

// fill opens an ingest of b, writes span r and ends it.
func fill(t *testing.T, sink content.RandomSink, b *Blob, r content.Range, end func(content.Ingest) error) {
	t.Helper()
	in, err := sink.Ingest(t.Context(), b.Desc)
	if err != nil {
		t.Fatalf("Ingest: %v", err)
	}
	if err := errors.Join(writeSpan(in, b, r), end(in)); err != nil {
		t.Fatalf("ingest %+v: %v", r, err)
	}
}

// writeSpan writes span r of b in pieces, the last one first.
func writeSpan(in content.Ingest, b *Blob, r content.Range) error {
	pieces := slices.Collect(slices.Chunk(b.Data[r.Off:r.Off+r.Len], 64<<10))
	end := r.Off + r.Len
	for _, p := range slices.Backward(pieces) {
		end -= int64(len(p))
		if _, err := in.WriteAt(bytes.Clone(p), end); err != nil {
			return err
		}
	}
	return nil
}
