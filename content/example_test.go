package content_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

// A manifest keeps its bytes, and says what it names.
func Example() {
	raw := []byte(`{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 427,
     "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
     "platform": {"os": "linux", "architecture": "amd64"}}
  ]
}`)
	m, err := content.ParseManifest("", raw, content.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Digest())
	p, err := content.ParsePlatform("linux/x86_64")
	if err != nil {
		fmt.Println(err)
		return
	}
	child, err := content.PickPlatform(m, p)
	fmt.Println(child.Size, err)
	// Output:
	// sha256:9a3aeeaef53278d21b85ba07f0a7f909f60e9b50ef25a6041761255f6b782299
	// 427 <nil>
}

// Errors have classes.
func ExampleCheckDigest() {
	err := content.CheckDigest("sha256:../../etc/passwd")
	fmt.Println(errors.Is(err, content.ErrInvalid))
	// Output: true
}

// Bytes are compared with their descriptor while they are read.
func ExampleVerifyReader() {
	d := ocispec.Descriptor{Digest: digest.FromString("cargo"), Size: 5}
	r, err := content.VerifyReader(strings.NewReader("Cargo"), d)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = io.ReadAll(r)
	fmt.Println(errors.Is(err, content.ErrCorrupt))
	// Output: true
}

// A sink pulls a blob from wherever it is.
func ExampleNewBlob() {
	ctx := context.Background()
	d := ocispec.Descriptor{Digest: digest.FromString("cargo"), Size: 5}
	var from, to content.Memory
	if _, err := from.PutBlob(ctx, text{d, "cargo"}); err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		fmt.Println(to.PutBlob(ctx, content.NewBlob(&from, d)))
	}
	// Output:
	// stored <nil>
	// existed <nil>
}

// A text is a blob that is made rather than moved.
type text struct {
	d    ocispec.Descriptor
	text string
}

func (b text) Descriptor() ocispec.Descriptor { return b.d }

func (b text) Open(_ context.Context, r content.Range) (io.ReadCloser, error) {
	off, n, err := r.Resolve(b.d.Size)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader(b.text[off : off+n])), nil
}
