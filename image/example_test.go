package image_test

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/image"
)

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
