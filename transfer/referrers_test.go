package transfer_test

import (
	"errors"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

func TestCopyTakesReferrersAlong(t *testing.T) {
	src := &maker{t: t}
	made := src.app("v1")
	made.root.ArtifactType = ""
	signature := src.image("linux/amd64", &made.root, "signature")
	signature.ArtifactType = ""
	ofSignature := src.image("linux/amd64", &signature, "signature of the signature")
	sbom := src.image("linux/amd64", &made.amd64, "sbom of a child")
	cosign := src.image("linux/amd64", nil, "cosign signature")
	tag := "sha256-" + made.root.Digest.Encoded() + ".sig"
	m, err := src.Manifest(t.Context(), cosign.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := src.PutManifest(t.Context(), m, tag); err != nil {
		t.Fatal(err)
	}
	dst := newSpy(&content.Memory{})
	job := transfer.Job{
		Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: dst, Names: []string{"v1"}}},
		Filter: transfer.Filter{Referrers: true},
	}
	result := run(t, &transfer.Copier{}, job)
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	if got := result.Images[0].Referrers; got != 4 {
		t.Errorf("%d referrers counted, want 4", got)
	}
	for what, ref := range map[string]string{"referrer": signature.Digest.String(), "its own": ofSignature.Digest.String(), "a child's": sbom.Digest.String(), "cosign's": tag} {
		if _, err := dst.Manifest(t.Context(), ref); err != nil {
			t.Errorf("%s is not there: %v", what, err)
		}
	}
	puts := dst.puts()
	if len(puts) != 9 || !strings.HasSuffix(puts[len(puts)-1], made.root.Digest.String()+" v1") {
		t.Errorf("puts are %v, want three children, the root by digest, four referrers, the root by name", puts)
	}
}

func TestASignatureInAnotherRepositoryComesAlong(t *testing.T) {
	src := &maker{t: t}
	image, elsewhere, own := src.image("linux/amd64", nil, "layer"), src.image("linux/amd64", nil, "elsewhere"), src.image("linux/amd64", nil, "own")
	tag := content.DigestTags(image.Digest)[0]
	name := func(d ocispec.Descriptor, names ...string) {
		m, err := src.Manifest(t.Context(), d.Digest.String())
		if err != nil {
			t.Fatal(err)
		}
		if err := src.PutManifest(t.Context(), m, names...); err != nil {
			t.Fatal(err)
		}
	}
	name(image, "registry.example/a/app:v1", "registry.example/b/app:v1")
	name(elsewhere, "registry.example/a/app:"+tag, "registry.example/c/app:"+tag)
	job := transfer.Job{
		Name: "app", Src: &src.Memory, Ref: "registry.example/b/app:v1", Filter: transfer.Filter{Referrers: true},
		Dst: []transfer.Target{{Sink: &content.Memory{}, Names: []string{"v1"}}},
	}
	copied := func() string {
		dst := &content.Memory{}
		job.Dst[0].Sink = dst
		if err := run(t, &transfer.Copier{}, job).Err(); err != nil {
			t.Fatal(err)
		}
		return digestOf(t, dst, tag).String()
	}
	if got := copied(); got != elsewhere.Digest.String() {
		t.Errorf("%s is %s, want that of another repository, %s", tag, got, elsewhere.Digest)
	}
	name(own, "registry.example/b/app:"+tag)
	if got := copied(); got != own.Digest.String() {
		t.Errorf("%s is %s, want that of the same repository, %s", tag, got, own.Digest)
	}
}

func TestReferrersAreBoundedTogether(t *testing.T) {
	src := &maker{t: t}
	made := src.app("v1")
	made.amd64.ArtifactType, made.amd64.Platform = "", nil
	for _, layer := range []string{"one", "two", "three"} {
		src.image("linux/"+strings.Repeat("x", 200), &made.amd64, layer)
	}
	job := transfer.Job{
		Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: &content.Memory{}, Names: []string{"v1"}}},
		Filter: transfer.Filter{Referrers: true},
	}
	if err := run(t, &transfer.Copier{}, job).Err(); err != nil {
		t.Fatal(err)
	}
	const most = 2 << 10 // the image has fewer bytes of manifests, and so has each referrer
	err := run(t, &transfer.Copier{Limits: content.Limits{GraphSize: most}}, job).Err()
	if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), "2048 bytes") {
		t.Errorf("error is %v, want the limit", err)
	}
}

func TestReferrersOfReferrersEnd(t *testing.T) {
	src := &maker{t: t}
	made := src.app("v1")
	subject := made.root
	for range 5 {
		subject.ArtifactType, subject.Annotations = "", nil
		subject = src.image("linux/amd64", &subject, "refers to "+subject.Digest.String())
	}
	job := transfer.Job{
		Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: &content.Memory{}, Names: []string{"v1"}}},
		Filter: transfer.Filter{Referrers: true},
	}
	if result := run(t, &transfer.Copier{}, job); result.Err() != nil || result.Images[0].Referrers != 5 {
		t.Errorf("%d referrers, %v, want 5", result.Images[0].Referrers, result.Err())
	}
	err := run(t, &transfer.Copier{Limits: content.Limits{Depth: 3}}, job).Err()
	if !errors.Is(err, content.ErrInvalid) {
		t.Errorf("error is %v, want the limit", err)
	}
}

// A tag that stands for the image it is called after was asked about over and
// over, until the image was refused as referred to too many times over.
func TestATagThatLeadsToItsOwnImageIsAskedAboutOnce(t *testing.T) {
	src := &maker{t: t}
	made := src.app("v1")
	root, err := src.Manifest(t.Context(), made.root.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	tag := "sha256-" + made.root.Digest.Encoded() + ".sig"
	if err := src.PutManifest(t.Context(), root, tag); err != nil {
		t.Fatal(err)
	}
	dst := &content.Memory{}
	result := run(t, &transfer.Copier{}, transfer.Job{
		Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: dst, Names: []string{"v1"}}},
		Filter: transfer.Filter{Referrers: true},
	})
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"v1", tag} {
		if m, err := dst.Manifest(t.Context(), ref); err != nil || m.Digest() != made.root.Digest {
			t.Errorf("%s is %s, %v", ref, m.Digest(), err)
		}
	}
}
