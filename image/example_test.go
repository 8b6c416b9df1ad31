package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

// A root file system becomes an image, and the image a root file system again.
func Example() {
	ctx := context.Background()
	var place content.Memory // or a registry, an OCI layout, an archive
	var rootfs bytes.Buffer
	w := tar.NewWriter(&rootfs)
	for _, name := range []string{"etc/", "etc/hostname"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755}); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}
	m, err := image.Import(ctx, &rootfs, &place, image.ImportOptions{}, "team/app:1")
	if err != nil {
		fmt.Println(err)
		return
	}
	var out bytes.Buffer
	if err := image.Export(ctx, &out, &place, m, image.ExportOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		fmt.Println(h.Name)
	}
	// Output:
	// etc/
	// etc/hostname
}

// The history of an image is read without any layer.
func ExampleHistory() {
	var b builder
	base := b.layer(file("etc/os-release", "ID=example"))
	m := b.image(ocispec.Image{History: []ocispec.History{
		{CreatedBy: "ADD rootfs.tar /"},
		{CreatedBy: `CMD ["/bin/sh"]`, EmptyLayer: true},
	}}, base)

	steps, err := image.History(context.Background(), &b.place, m)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range steps {
		fmt.Printf("%s: %q\n", s.CreatedBy, s.Layer.MediaType)
	}
	// Output:
	// CMD ["/bin/sh"]: ""
	// ADD rootfs.tar /: "application/vnd.oci.image.layer.v1.tar+gzip"
}

// The files of an image, and which layer each comes from.
func ExampleReader_Tree() {
	var b builder
	m := b.of(
		[]entry{file("etc/motd", "hello"), file("etc/secret", "x")},
		[]entry{file("etc/motd", "hello again"), file("etc/.wh.secret", "")},
	)
	tree, err := image.Reader{}.Tree(context.Background(), &b.place, m)
	if err != nil {
		fmt.Println(err)
		return
	}
	for f := range tree.All() {
		if !f.IsDir() {
			fmt.Println(f.Path, f.Entry.Size, "bytes of layer", f.Layer)
		}
	}
	for c := range tree.Changes(1) {
		fmt.Println(c.Kind, c.Path, c.Was.Entry.Size, "bytes")
	}
	// Output:
	// etc/motd 11 bytes of layer 1
	// changed etc/motd 5 bytes
	// removed etc/secret 1 bytes
}

// A file of an image is written once it is verified; lower layers are not read.
func ExampleReader_Cat() {
	var b builder
	m := b.of([]entry{file("etc/motd", "hello")}, []entry{symlink("motd", "/etc/motd")})
	if _, err := (image.Reader{}).Cat(context.Background(), os.Stdout, &b.place, m, "motd"); err != nil {
		fmt.Println(err)
	}
	// Output: hello
}
