package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// putBased puts an image into repository app, under tag v1, that tells of its base
// with those annotations.
func putBased(r *testregistry.Registry, annotations map[string]string) {
	b := testimage.Builder{Seed: 5}
	layer := b.Layer(testimage.Gzip, 100)
	b.Done(b.Manifest(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: b.Config("linux/amd64", layer), Layers: []ocispec.Descriptor{layer.Descriptor}, Annotations: annotations,
	})).PutTo(r, "app", "v1")
}

func TestTheDigestOfABaseMayBeThatOfItsIndexOrOfItsImage(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	b := testimage.Builder{Seed: 1}
	amd64, arm64 := b.Image("linux/amd64", b.Layer(testimage.Gzip, 100)), b.Image("linux/arm64", b.Layer(testimage.Gzip, 100))
	newer := b.Image("linux/arm64", b.Layer(testimage.Gzip, 200))
	old, now := b.Index(amd64, arm64), b.Index(amd64, newer)
	b.Done(now).PutTo(r, "base", "1")
	tests := []struct {
		name, platform, digest string
		code                   int
	}{
		{"the index", "linux/amd64", now.Digest.String(), exitDone},
		{"the platform's image", "linux/amd64", amd64.Digest.String(), exitDone},
		{"an index that was, with the same image for the platform", "linux/amd64", old.Digest.String(), exitDone},
		{"another platform's image", "linux/amd64", newer.Digest.String(), exitDiffers},
		{"an image that is gone", "linux/amd64", "sha256:" + strings.Repeat("0", 64), exitDiffers},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			putBased(r, map[string]string{ocispec.AnnotationBaseImageName: r.Host() + "/base:1", ocispec.AnnotationBaseImageDigest: tt.digest})
			got := run(t, "check-base", "--json", "--platform", tt.platform, r.Host()+"/app:v1")
			if got.code != tt.code || got.errors != "" {
				t.Errorf("exit code %d, want %d, %s%s", got.code, tt.code, got.out, got.errors)
			}
			checkSchema(t, "check-base", got.out)
			var result CheckBaseResult
			if err := json.Unmarshal([]byte(got.out), &result); err != nil || result.Current != (tt.code == exitDone) {
				t.Errorf("says %+v, %v", result, err)
			}
		})
	}
}

// Where the index that was cannot be looked at, nobody knows if the base is out of
// date.
func TestABaseThatCannotBeLookedAtIsNotOutOfDate(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	b := testimage.Builder{Seed: 1}
	amd64, arm64, newer := b.Image("linux/amd64"), b.Image("linux/arm64", b.Layer(testimage.Gzip, 100)), b.Image("linux/arm64", b.Layer(testimage.Gzip, 200))
	old, now := b.Index(amd64, arm64), b.Index(amd64, newer)
	b.Done(now).PutTo(r, "base", "1")
	putBased(r, map[string]string{ocispec.AnnotationBaseImageName: r.Host() + "/base:1", ocispec.AnnotationBaseImageDigest: old.Digest.String()})
	for status, code := range map[int64]int{
		http.StatusForbidden: exitUnauthorized, http.StatusTooManyRequests: exitRateLimited, http.StatusServiceUnavailable: exitNetwork,
	} {
		r.SetFaults(testregistry.Fault{Kind: testregistry.KindManifest, Ref: old.Digest.String(), Effect: testregistry.Answer, N: status})
		got := run(t, "check-base", "--retries", "1", "--platform", "linux/amd64", r.Host()+"/app:v1")
		if got.code != code || got.out != "" || !strings.Contains(got.errors, "base:1") {
			t.Errorf("%d: exit code %d, want %d, %s%s", status, got.code, code, got.out, got.errors)
		}
	}
}

// What an image calls its base is from outside: it opens no file, and is no mistake
// of the command line.
func TestAnImageNamesItsBaseInARegistryOnly(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	for name, says := range map[string]string{
		"./secret.tar":    "is in no registry",
		"oci:/etc":        "is in no registry",
		"store:app":       "is in no registry",
		"-":               "is in no registry",
		"a//b":            "is no image reference",
		"\x1b[2J":         "is no image reference",
		"ann:pw@host/app": "a user name or password",
	} {
		putBased(r, map[string]string{ocispec.AnnotationBaseImageName: name})
		got := run(t, "check-base", r.Host()+"/app:v1")
		if got.code != exitRefused || got.out != "" || !strings.Contains(got.errors, "the base image that it names: ") || !strings.Contains(got.errors, says) {
			t.Errorf("%q: exit code %d, %s%s", name, got.code, got.out, got.errors)
		}
	}
}

func TestABaseIsToldByLabelsToo(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	base := testimage.Single(1)
	base.PutTo(r, "base", "1")
	putConfig(r, `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"Labels":{`+
		`"org.opencontainers.image.base.name":"`+r.Host()+`/base:1","org.opencontainers.image.base.digest":"`+base.Root.Digest.String()+`"}}}`)
	if got := run(t, "check-base", r.Host()+"/app:v1"); got.code != exitDone || !strings.HasPrefix(got.out, "current: ") {
		t.Errorf("exit code %d, %s%s", got.code, got.out, got.errors)
	}
}
