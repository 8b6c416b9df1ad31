package transfer_test

import (
	"errors"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

func TestPlatformsOfNestedIndexesAreWithinTheLimits(t *testing.T) {
	src := &maker{t: t}
	index := src.app("inside").root
	for range 2 {
		index.ArtifactType, index.Platform = "", nil
		index = src.manifest(ocispec.Index{Versioned: versioned, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{index}}, ocispec.MediaTypeImageIndex, "v1")
	}
	tests := []struct {
		name   string
		limits content.Limits
		want   error
	}{
		{"by default", content.Limits{}, nil},
		{"as deep as may be", content.Limits{Depth: 3}, nil},
		{"too deep", content.Limits{Depth: 1}, content.ErrInvalid},
		{"too many", content.Limits{Nodes: 1}, content.ErrInvalid},
		{"too large", content.Limits{GraphSize: 100}, content.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dst := newSpy(&content.Memory{})
			err := run(t, &transfer.Copier{Limits: tt.limits}, transfer.Job{
				Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: dst, Names: []string{"v1"}}},
				Filter: transfer.Filter{Platforms: []content.Platform{{OS: "linux", Architecture: "arm64"}}},
			}).Err()
			if !errors.Is(err, tt.want) || err != nil && dst.count("put") > 0 {
				t.Errorf("error %v after %d writes, want %v", err, dst.count("put"), tt.want)
			}
		})
	}
}
