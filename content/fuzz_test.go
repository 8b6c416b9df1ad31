package content_test

import (
	"bytes"
	"errors"
	"regexp"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

func FuzzManifest(f *testing.F) {
	for _, c := range append(broken(), ambiguous()...) {
		if len(c.raw) < 10_000 {
			f.Add(c.mediaType, []byte(c.raw))
		}
	}
	f.Add(ociIndex, []byte(index(child, "")))
	f.Fuzz(func(t *testing.T, mediaType string, raw []byte) {
		before := bytes.Clone(raw)
		m, err := content.ParseManifest(mediaType, raw, fuzzLimits)
		if !bytes.Equal(raw, before) {
			t.Fatal("the bytes were changed")
		}
		if err == nil {
			checkParsed(t, m, raw)
			return
		}
		if !errors.Is(err, content.ErrInvalid) {
			t.Fatalf("error without a class: %v", err)
		}
		oneLine(t, err)
	})
}

var fuzzLimits = content.Limits{Children: 8, Layers: 8, Nesting: 16}

// checkParsed reports what no manifest may be, whatever it was read from.
func checkParsed(t *testing.T, m content.Manifest, raw []byte) {
	t.Helper()
	if !bytes.Equal(m.Raw(), raw) || m.Digest() != digest.FromBytes(raw) || m.Size() != int64(len(raw)) {
		t.Fatalf("not the bytes that came in: %+v", m.Descriptor())
	}
	for _, e := range m.Edges() {
		if err := content.CheckDigest(e.Descriptor.Digest); err != nil || e.Descriptor.Size < 0 {
			t.Fatalf("hostile edge: %+v", e)
		}
	}
	if len(m.Children()) > fuzzLimits.Children || len(m.Layers()) > fuzzLimits.Layers {
		t.Fatal("over the limits")
	}
	again, err := content.VerifyManifest(m.Descriptor(), raw, fuzzLimits)
	if err != nil || len(again.Edges()) != len(m.Edges()) {
		t.Fatalf("its own descriptor does not read it: %v", err)
	}
	if _, err = content.PickPlatform(m, content.Platform{OS: "linux", Architecture: "amd64"}); err != nil {
		oneLine(t, err)
	}
}

func FuzzDigest(f *testing.F) {
	for _, s := range []string{"", "sha256:", "sha256:../../x", string(digest.FromString("x")), string(digest.SHA512.FromString("x"))} {
		f.Add(s)
	}
	right := regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
	f.Fuzz(func(t *testing.T, s string) {
		err := content.CheckDigest(digest.Digest(s))
		if (err == nil) != (right.MatchString(s) && len(s) == len(right.FindString(s))) {
			t.Fatalf("%q: %v", s, err)
		}
		if err != nil {
			oneLine(t, err)
		}
	})
}

func FuzzPlatform(f *testing.F) {
	for _, s := range []string{"linux/amd64", "linux/arm/v7", "windows/*", "a/b/c/d", "//", "linux/aarch64/v8", "x/armhf/v6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := content.ParsePlatform(s)
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) {
				t.Fatalf("error without a class: %v", err)
			}
			oneLine(t, err)
			return
		}
		again, err := content.ParsePlatform(p.String())
		if err != nil || again != p || !p.Matches(p) || p.Compare(p, again) != 0 || !p.Runs(p) {
			t.Fatalf("%q is %+v, and that read again is %+v, %v", s, p, again, err)
		}
	})
}
