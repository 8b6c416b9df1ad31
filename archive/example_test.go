package archive_test

import (
	"context"
	"fmt"
	"log"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
)

// What docker save wrote, whatever its age, is an image like any other: it has
// a manifest, a config and layers.
func Example() {
	ctx := context.Background()
	a, err := archive.Open(ctx, "../testdata/images/alpine-3.20.tar", archive.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	for name, err := range a.Tags(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name)
	}
	m, err := a.Manifest(ctx, "alpine")
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range m.Layers() {
		fmt.Println(d.MediaType, d.Size)
	}
	// Output:
	// alpine:latest
	// application/vnd.oci.image.layer.v1.tar 8081920
}

// An archive gets its name when all of it is there.
func ExampleWriter() {
	ctx := context.Background()
	src, err := archive.Open(ctx, "../testdata/images/docker25-hello-world.tar", archive.Options{Compress: archive.Gzip})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	w, err := archive.Create("hello.tar")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = w.Close() }() // without Commit nothing stays
	m, err := src.Manifest(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range m.Blobs() {
		if _, err := w.PutBlob(ctx, content.NewBlob(src, d)); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.PutManifest(ctx, m, "docker.io/library/hello-world:latest"); err != nil {
		log.Fatal(err)
	}
	if err := w.Commit(ctx); err != nil {
		log.Fatal(err)
	}
}
