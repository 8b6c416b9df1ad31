package transfer_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

// A note is a blob that is made rather than fetched.
type note string

func (n note) Descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromString(string(n)), Size: int64(len(n))}
}

func (n note) Open(context.Context, content.Range) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(n))), nil
}

func Example() {
	ctx := context.Background()

	// Any Source will do: a registry.Repository, a layout.Layout, an
	// archive.Archive. Here it is a place in memory with one artifact in it.
	var src, near, far content.Memory
	config, text := note("{}"), note("mind the gap")
	for _, n := range []note{config, text} {
		if _, err := src.PutBlob(ctx, n); err != nil {
			log.Fatal(err)
		}
	}
	m, err := content.ParseManifest(ocispec.MediaTypeImageManifest, fmt.Appendf(nil,
		`{"schemaVersion":2,"config":{"mediaType":"application/json","digest":%q,"size":%d},"layers":[{"mediaType":"text/plain","digest":%q,"size":%d}]}`,
		config.Descriptor().Digest, len(config), text.Descriptor().Digest, len(text)), content.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	if err := src.PutManifest(ctx, m, "v1"); err != nil {
		log.Fatal(err)
	}

	// One job, two destinations: the source is read once.
	var copier transfer.Copier
	plan, err := copier.Plan(ctx, transfer.Job{
		Name: "notes",
		Src:  &src,
		Ref:  "v1",
		Dst: []transfer.Target{
			{Name: "near", Sink: &near, Names: []string{"v1"}},
			{Name: "far", Sink: &far, Names: []string{"v1", "latest"}},
		},
		Filter: transfer.Filter{Referrers: true},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("to move:", plan.Bytes(), "bytes")

	result, err := copier.Run(ctx, plan)
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range result.Images[0].Targets {
		fmt.Println(t.Name, t.Stored, "blobs", t.Names)
	}
	// Output:
	// to move: 28 bytes
	// near 2 blobs [v1]
	// far 2 blobs [v1 latest]
}
