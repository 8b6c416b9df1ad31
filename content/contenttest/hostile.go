package contenttest

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func hostileContracts() []contract {
	return []contract{
		{"hostile digests are refused", hostileDigests},
		{"a negative size is refused", negativeSize},
	}
}

// HostileDigests returns digests that must never become part of a path or URL.
func HostileDigests() []digest.Digest {
	hex := strings.Repeat("a", 64)
	return []digest.Digest{
		"", ":", "sha256", "sha256:", digest.Digest(hex),
		"sha256:../../x",
		"sha256:..%2f..%2fx",
		digest.Digest("sha256:" + strings.ToUpper(hex)),
		digest.Digest("SHA256:" + hex),
		digest.Digest("sha256:" + hex[:63]),
		digest.Digest("sha256:" + hex + "a"),
		digest.Digest("sha256:" + hex[:63] + "\n"),
		digest.Digest("sha256:" + hex + "\n"),
		digest.Digest("sha256:" + hex[:63] + "/"),
		digest.Digest("sha256:" + hex[:63] + "\x00"),
		digest.Digest("sha256:" + hex[:61] + "%2f"),
		digest.Digest("sha512:" + hex),
		digest.Digest("sha1:" + hex[:40]),
		digest.Digest("md5:" + hex[:32]),
		digest.Digest("../sha256:" + hex),
		digest.Digest("sha256+b64:" + hex),
	}
}

func hostileDigests(s *stage) {
	t := s.T
	sink, isSource := s.Sink.(content.Source)
	for _, d := range HostileDigests() {
		b := &Blob{Desc: ocispec.Descriptor{MediaType: octets, Digest: d, Size: 4}, Data: []byte("evil")}
		if has, err := s.Sink.Has(t.Context(), b.Desc); has || !errors.Is(err, content.ErrInvalid) {
			t.Errorf("Has(%q) = %t, %v; want invalid content", d, has, err)
		}
		if got, err := s.Sink.PutBlob(t.Context(), b); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("PutBlob(%q) = %v, %v; want invalid content", d, got, err)
		}
		if b.Opens() > 0 {
			t.Errorf("PutBlob(%q) opened the blob", d)
		}
		if isSource {
			wantRefused(t, sink, b)
		}
	}
	s.put(t, Anchor(t), s.name("v1"))
	src := s.source(t)
	for _, d := range HostileDigests() {
		wantRefused(t, src, &Blob{Desc: ocispec.Descriptor{MediaType: octets, Digest: d, Size: 4}})
	}
	CheckImage(t, src, Anchor(t), s.name("v1"))
}

// wantRefused reads b, as a blob and as a manifest, and wants neither. That it
// is called missing rather than wrong is as good.
func wantRefused(t *testing.T, src content.Source, b *Blob) {
	t.Helper()
	d := b.Desc.Digest
	got, err := readBlob(t, sourceOnly{src, b}, content.Range{})
	if !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrNotFound) {
		t.Errorf("blob %q: got %q, %v; want a refusal", d, got, err)
	}
	if d == "" {
		return // where one image is, no name at all may stand for it
	}
	m, err := src.Manifest(t.Context(), d.String())
	if !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrNotFound) {
		t.Errorf("manifest %q: got %s, %v; want a refusal", d, m.Digest(), err)
	}
}

func negativeSize(s *stage) {
	t := s.T
	b := NewBlob(octets, []byte("four"))
	bad := b.as(b.Data)
	bad.Desc.Size = -1
	if got, err := s.Sink.PutBlob(t.Context(), bad); !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("PutBlob of -1 bytes = %v, %v; want invalid or corrupt content", got, err)
	}
	s.wantHasNot(t, b)
}
