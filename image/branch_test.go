package image_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

const ociManifest = "application/vnd.oci.image.manifest.v1+json"

// artifact keeps a manifest of that type that refers to subject, unless that is
// empty, and is called names. extra are more fields, with a comma behind.
func (b *builder) artifact(artifactType string, subject content.Manifest, extra string, names ...string) content.Manifest {
	refers := ""
	if !subject.IsZero() {
		refers = fmt.Sprintf(`"subject":{"mediaType":%q,"digest":%q,"size":%d},`, subject.MediaType(), subject.Digest(), subject.Size())
	}
	config := b.blob("application/vnd.oci.empty.v1+json", []byte("{}"))
	raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,%s%s"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[]}`,
		ociManifest, artifactType, refers, extra, config.MediaType, config.Digest)
	return b.keep(raw, names...)
}

func (b *builder) keep(raw string, names ...string) content.Manifest {
	m, err := content.ParseManifest("", []byte(raw), content.Limits{})
	must(err)
	must(b.place.PutManifest(context.Background(), m, names...))
	return m
}

// outline is a tree in lines: kinds with what they are called, indented.
func outline(b *image.Branch) []string {
	said := string(b.Kind)
	for _, more := range []string{b.Platform, b.Type} {
		if more != "" {
			said += " " + more
		}
	}
	if b.Tag != "" {
		said += " " + b.Tag[strings.LastIndexByte(b.Tag, '.'):]
	}
	if b.Missing {
		said += " missing"
	}
	lines := []string{said}
	for _, below := range append(b.Referrers, b.Children...) {
		for _, line := range outline(below) {
			lines = append(lines, "  "+line)
		}
	}
	return lines
}

func TestASurveyNamesEachReferrerOnce(t *testing.T) {
	var b builder
	root := b.artifact("application/vnd.example.app", content.Manifest{}, "")
	tag := func(m content.Manifest, suffix string) string {
		return m.Digest().Algorithm().String() + "-" + m.Digest().Encoded() + suffix
	}
	signature := b.artifact("application/vnd.cncf.notary.signature", root, "", tag(root, ".sig")) // by subject and by tag
	sbom := b.artifact("application/spdx+json", root, `"annotations":{"org.opencontainers.image.created":"2026-01-02T03:04:05Z"},`)
	b.artifact("application/vnd.dev.sigstore.bundle.v0.3+json", sbom, `"annotations":{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://slsa.dev/provenance/v1"},`)
	b.artifact("application/vnd.dev.sigstore.bundle.v0.3+json", sbom, `"annotations":{"dev.sigstore.bundle.content":"message-signature"},`)
	b.artifact("application/vnd.other", root, "", tag(root, ".att"), tag(signature, ".sig")) // a tag of one that another has
	// Circles that tags make.
	if err := b.place.PutManifest(t.Context(), root, "v1", tag(sbom, ".sig"), tag(root, ".sbom")); err != nil {
		t.Fatal(err)
	}
	tree, err := image.Survey{}.Of(t.Context(), &b.place, "v1", root)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(outline(tree), "\n")
	for _, line := range []string{
		"  signature application/vnd.cncf.notary.signature", "  sbom application/spdx+json",
		"    attestation https://slsa.dev/provenance/v1", "    signature application/vnd.dev.sigstore.bundle.v0.3+json", "  artifact application/vnd.other",
	} {
		if strings.Count("\n"+got+"\n", "\n"+line+"\n") != 1 {
			t.Errorf("%q does not stand once in\n%s", line, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 5 {
		t.Errorf("%d referrers, want 5:\n%s", n, got)
	}
	for _, r := range tree.Referrers {
		if r.Digest == sbom.Digest() && r.Created.Year() != 2026 {
			t.Errorf("made at %v", r.Created)
		}
	}
}

func TestASurveyPutsAttestationsWithWhatTheyAttest(t *testing.T) {
	var b builder
	one, two := b.artifact("a/one", content.Manifest{}, ""), b.artifact("a/two", content.Manifest{}, "")
	attestation, orphan := b.artifact("a/attestation", content.Manifest{}, ""), b.artifact("a/orphan", content.Manifest{}, "")
	b.artifact("a/signature", two, "")
	child := func(d digest.Digest, size int64, more string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, ociManifest, d, size, more)
	}
	attests := func(m content.Manifest, d digest.Digest) string {
		return child(m.Digest(), m.Size(), fmt.Sprintf(`,"annotations":{"vnd.docker.reference.type":"attestation-manifest","vnd.docker.reference.digest":%q}`, d))
	}
	on := func(os string) string { return `,"platform":{"os":"` + os + `","architecture":"amd64"}` }
	root := b.keep(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + strings.Join([]string{
		attests(attestation, two.Digest()), child(one.Digest(), one.Size(), on("linux")), child(two.Digest(), two.Size(), on("plan9")),
		attests(orphan, digest.FromString("nobody")),
	}, ",") + `]}`)
	tests := []struct {
		name      string
		platforms []content.Platform
		want      []string
	}{
		{"all platforms", nil, []string{
			"index application/vnd.oci.image.index.v1+json", "  image linux/amd64 " + ociManifest, "  image plan9/amd64 " + ociManifest,
			"    attestation a/attestation", "    signature a/signature", "  attestation a/orphan",
		}},
		{"what runs on a platform", []content.Platform{{OS: "plan9", Architecture: "amd64", Variant: "v2"}}, []string{
			"index application/vnd.oci.image.index.v1+json", "  image plan9/amd64 " + ociManifest, "    attestation a/attestation", "    signature a/signature",
		}},
		{"one platform", []content.Platform{{OS: "plan9", Architecture: "*"}}, []string{
			"index application/vnd.oci.image.index.v1+json", "  image plan9/amd64 " + ociManifest, "    attestation a/attestation", "    signature a/signature",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree, err := image.Survey{Platforms: tt.platforms}.Of(t.Context(), &b.place, "", root)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, outline(tree)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestASurveyHasLimits(t *testing.T) {
	tests := []struct {
		name   string
		limits content.Limits
		chain  int // manifests each of which refers to the one before
		fan    int // that refer to the root
		fails  bool
	}{
		{"as many levels as there may be", content.Limits{Depth: 3}, 3, 0, false},
		{"a level too many", content.Limits{Depth: 3}, 5, 0, true},
		{"as many as there may be", content.Limits{Referrers: 3}, 0, 3, false},
		{"one too many", content.Limits{Referrers: 3}, 0, 4, true},
		{"more bytes than there may be", content.Limits{GraphSize: 500}, 0, 3, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b builder
			root := b.artifact("a/root", content.Manifest{}, "")
			last := root
			for i := range tt.chain {
				last = b.artifact(fmt.Sprintf("a/chain-%d", i), last, "")
			}
			for i := range tt.fan {
				b.artifact(fmt.Sprintf("a/fan-%d", i), root, "")
			}
			_, err := image.Survey{Limits: tt.limits}.Of(t.Context(), &b.place, "", root)
			if errors.Is(err, content.ErrInvalid) != tt.fails || !tt.fails && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A list that names its own subject is wrong, or lies.
func TestAnImageIsNoReferrerOfItself(t *testing.T) {
	var b builder
	m := b.of([]entry{file("f", "x")})
	b.keep(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		m.MediaType(), m.Digest(), m.Size()), content.FallbackTag(m.Digest()))
	got, err := image.Attached(t.Context(), &b.place, "v1", m.Digest(), 6)
	if err != nil || len(got.Found) != 0 {
		t.Errorf("got %+v, %v", got.Found, err)
	}
}
