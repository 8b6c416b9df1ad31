package content_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
)

// A counted source counts what is asked of it.
type counted struct {
	content.Source

	asked int
}

func (c *counted) Manifest(ctx context.Context, ref string) (content.Manifest, error) {
	c.asked++
	return c.Source.Manifest(ctx, ref)
}

func (c *counted) Open(ctx context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	c.asked++
	return c.Source.Open(ctx, d, r)
}

func TestWhatIsRecalledIsAskedForOnce(t *testing.T) {
	var memory content.Memory
	img := put(t, &memory, ocispec.MediaTypeImageConfig, forAMD64)
	if err := memory.PutManifest(t.Context(), img, "v1"); err != nil {
		t.Fatal(err)
	}
	facts := contenttest.NewFacts()
	var asked []int
	for range 2 {
		src := &counted{Source: &memory}
		r := &content.Recalled{Source: src, Facts: facts}
		m, err := r.Manifest(t.Context(), img.Digest().String())
		if err != nil || m.MediaType() != img.MediaType() || string(m.Raw()) != string(img.Raw()) {
			t.Fatalf("got %s %q, %v", m.MediaType(), m.Raw(), err)
		}
		if _, err := content.ReadConfig(t.Context(), r, m, content.Limits{}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Manifest(t.Context(), "v1"); err != nil {
			t.Fatal(err)
		}
		asked = append(asked, src.asked)
	}
	if asked[0] != 3 || asked[1] != 1 {
		t.Errorf("asked for %v, want 3 and then the tag alone", asked)
	}
}

func TestWhatIsKeptIsBelievedOnlyByItsDigest(t *testing.T) {
	var memory content.Memory
	img := put(t, &memory, ocispec.MediaTypeImageConfig, forAMD64)
	d := img.Digest()
	config, _ := img.Config()
	facts := contenttest.NewFacts("manifest with its type "+d.String(), img.MediaType()+"\n{}", "blob "+config.Digest.String(), strings.Repeat("x", int(config.Size)))
	r := &content.Recalled{Source: &memory, Facts: facts}
	if _, known := r.Known(d); known {
		t.Error("other bytes are known")
	}
	m, err := r.Manifest(t.Context(), d.String())
	if err != nil || m.Digest() != d {
		t.Fatalf("got %s, %v", m.Digest(), err)
	}
	raw, err := content.ReadConfig(t.Context(), r, m, content.Limits{})
	if err != nil || digest.FromBytes(raw) != config.Digest {
		t.Errorf("got %q, %v", raw, err)
	}
}

func TestWhatIsLargeIsNotKept(t *testing.T) {
	var memory content.Memory
	large := strings.Repeat("x", 65<<10)
	d := ocispec.Descriptor{Digest: digest.FromString(large), Size: int64(len(large))}
	if _, err := memory.PutBlob(t.Context(), text{d, large}); err != nil {
		t.Fatal(err)
	}
	facts := contenttest.NewFacts()
	rc, err := (&content.Recalled{Source: &memory, Facts: facts}).Open(t.Context(), d, content.Range{})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(rc)
	if err = errors.Join(err, rc.Close()); err != nil || string(raw) != large || facts.Len() != 0 {
		t.Errorf("read %d bytes, %v, and kept %d", len(raw), err, facts.Len())
	}
}
