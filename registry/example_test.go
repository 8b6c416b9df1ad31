package registry_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

func ExampleClient_Repository() {
	server := testregistry.New(testregistry.Config{})
	if err := server.Listen("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	var client registry.Client
	defer client.Close()
	repo, err := client.Repository(server.Host(), "demo/greeting")
	if err != nil {
		fmt.Println(err)
		return
	}

	// Any source will do: a layout, an archive, another repository. This one makes its bytes up.
	text := "hello from far away"
	d := ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromString(text), Size: int64(len(text))}
	ctx := context.Background()
	outcome, err := repo.PutBlob(ctx, content.NewBlob(greeting(text), d))
	fmt.Println(outcome, err)

	rc, err := repo.Open(ctx, d, content.Range{Off: 6, Len: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rc.Close()
	span, err := io.ReadAll(rc)
	fmt.Printf("%s %v\n", span, err)
	// Output:
	// stored <nil>
	// from <nil>
}

type greeting string

func (g greeting) Manifest(context.Context, string) (content.Manifest, error) {
	return content.Manifest{}, content.ErrNotFound
}

func (g greeting) Open(_ context.Context, d ocispec.Descriptor, r content.Range) (io.ReadCloser, error) {
	off, n, err := r.Resolve(d.Size)
	return io.NopCloser(strings.NewReader(string(g)[off : off+n])), err
}
