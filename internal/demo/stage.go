package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry"
)

// slow is how many bytes of a blob the first registry gives in a second when
// somebody watches: on loopback no bar would be seen otherwise.
const slow = 2 << 20

// A stage is what the demo takes place on.
type stage struct {
	binary, images, dir string
	watched             bool // standard error is a terminal
	origin, mirror      *testregistry.Registry
}

func (s *stage) close() {
	for _, r := range []*testregistry.Registry{s.origin, s.mirror} {
		if r != nil {
			r.Close()
		}
	}
}

// The parts of the demo's image: real ones, out of testdata/images.
const (
	amd64 = "alpine-3.20.tar"
	arm64 = "oci-gzip.tar"
)

// prepare starts the registries and puts library/alpine:3.20 into the first.
func (s *stage) prepare(ctx context.Context) error {
	fmt.Println("Starting two registries on loopback and putting a real image into the first.")
	for _, r := range []**testregistry.Registry{&s.origin, &s.mirror} {
		*r = testregistry.New(testregistry.Config{})
		if err := (*r).Listen("127.0.0.1:0"); err != nil {
			return err
		}
	}
	const repo = "library/alpine"
	var children []ocispec.Descriptor
	for _, part := range []struct{ file, arch string }{{amd64, "amd64"}, {arm64, "arm64"}} {
		tag := "3.20-" + part.arch
		cmd := s.command(ctx, "copy", "--quiet", filepath.Join(s.images, part.file), s.origin.Host()+"/"+repo+":"+tag)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", part.file, err)
		}
		m, _ := s.origin.Manifest(repo, tag)
		children = append(children, ocispec.Descriptor{
			MediaType: m.MediaType, Digest: digest.FromBytes(m.Bytes), Size: int64(len(m.Bytes)),
			Platform: &ocispec.Platform{OS: "linux", Architecture: part.arch},
		})
	}
	index, err := json.MarshalIndent(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	}, "", "  ")
	if err != nil {
		return err
	}
	s.origin.PutManifest(repo, "3.20", ocispec.MediaTypeImageIndex, index)
	if s.watched {
		fmt.Println("It is slowed down to 2 MiB a second, so that the bars can be seen.")
		s.origin.SetFaults(testregistry.Fault{Effect: testregistry.Rate, N: slow})
	}
	return nil
}
