package transfer_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
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

func (m *maker) index(children ...ocispec.Descriptor) ocispec.Descriptor {
	m.t.Helper()
	d := m.manifest(ocispec.Index{Versioned: versioned, MediaType: ocispec.MediaTypeImageIndex, Manifests: children}, ocispec.MediaTypeImageIndex, "v1")
	d.ArtifactType = ""
	return d
}

// forPlatform returns d as an index has it that says what it is for.
func forPlatform(d ocispec.Descriptor, architecture, variant string) ocispec.Descriptor {
	d.ArtifactType = ""
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture, Variant: variant}
	return d
}

// What a source has of an index is told by digest, not by platform.
func TestCopyOfWhatIsHere(t *testing.T) {
	type digests = []digest.Digest
	tests := []struct {
		name string
		make func(src *maker) (absent []ocispec.Descriptor, left digests) // left of the root; nil is the root as it is
	}{
		{"all of it, one image twice", func(src *maker) ([]ocispec.Descriptor, digests) {
			one := forPlatform(src.image("linux/amd64", nil, "one"), "amd64", "")
			src.index(one, one)
			return nil, nil
		}},
		{"all of it, an index that names nothing included", func(src *maker) ([]ocispec.Descriptor, digests) {
			src.index(src.index(), forPlatform(src.image("linux/amd64", nil, "one"), "amd64", ""))
			return nil, nil
		}},
		{"an index that names nothing", func(src *maker) ([]ocispec.Descriptor, digests) {
			src.index()
			return nil, nil
		}},
		{"one of two for the same platform", func(src *maker) ([]ocispec.Descriptor, digests) {
			one := forPlatform(src.image("linux/arm64", nil, "one"), "arm64", "")
			two := forPlatform(src.image("linux/arm64", nil, "two"), "arm64", "v8")
			src.index(one, two)
			return []ocispec.Descriptor{one}, digests{two.Digest}
		}},
		{"what states no platform", func(src *maker) ([]ocispec.Descriptor, digests) {
			one, two := src.image("linux/arm64", nil, "one"), src.image("linux/amd64", nil, "two")
			src.index(one, two)
			return []ocispec.Descriptor{one}, digests{two.Digest}
		}},
		{"an image and what attests it, without its sibling", func(src *maker) ([]ocispec.Descriptor, digests) {
			made := src.app("v1")
			return []ocispec.Descriptor{made.arm64}, digests{made.amd64.Digest, made.attestation.Digest}
		}},
		{"an index that is whole, and none of another", func(src *maker) ([]ocispec.Descriptor, digests) {
			one := forPlatform(src.image("linux/amd64", nil, "one"), "amd64", "")
			two := forPlatform(src.image("linux/arm64", nil, "two"), "arm64", "")
			whole, broken := src.index(one), src.index(two)
			src.index(whole, broken)
			return []ocispec.Descriptor{two}, digests{whole.Digest}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := &maker{t: t}
			absent, want := tt.make(src)
			whole := digestOf(t, &src.Memory, "v1")
			dst := newSpy(&content.Memory{})
			job := whatIsHere(t, src, dst, absent...)
			if err := run(t, &transfer.Copier{}, job).Err(); err != nil {
				t.Fatal(err)
			}
			root, err := dst.Memory.Manifest(t.Context(), "v1")
			if err != nil {
				t.Fatal(err)
			}
			got := digestsOf(root.Children())
			if want == nil && root.Digest() != whole || want != nil && !slices.Equal(got, want) {
				t.Errorf("root is %s with %v, want %s with %v", root.Digest(), got, whole, want)
			}
			puts := dst.count("put")
			if err := run(t, &transfer.Copier{}, job).Err(); err != nil || dst.count("put") != puts {
				t.Errorf("the second run wrote something: %v", err)
			}
		})
	}
}

func digestsOf(all []ocispec.Descriptor) (digests []digest.Digest) {
	for _, d := range all {
		digests = append(digests, d.Digest)
	}
	return digests
}

// whatIsHere returns the job that copies v1 of src without the manifests that are absent.
func whatIsHere(t *testing.T, src *maker, dst content.Sink, absent ...ocispec.Descriptor) transfer.Job {
	t.Helper()
	for _, d := range absent {
		if err := src.DeleteManifest(t.Context(), d.Digest); err != nil {
			t.Fatal(err)
		}
	}
	return transfer.Job{
		Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: dst, Names: []string{"v1"}}},
		Filter: transfer.Filter{Here: true},
	}
}

func TestCopyOfWhatIsHereInsideAnotherIndex(t *testing.T) {
	src := &maker{t: t}
	one := forPlatform(src.image("linux/amd64", nil, "one"), "amd64", "")
	two := forPlatform(src.image("linux/arm64", nil, "two"), "arm64", "")
	src.index(src.index(one, two))
	narrow := src.index(one).Digest
	src.index(src.index(one, two))
	dst := &content.Memory{}
	if err := run(t, &transfer.Copier{}, whatIsHere(t, src, dst, two)).Err(); err != nil {
		t.Fatal(err)
	}
	root, err := dst.Manifest(t.Context(), "v1")
	if err != nil || len(root.Children()) != 1 || root.Children()[0].Digest != narrow {
		t.Errorf("the index has %v, want %s alone; %v", root.Children(), narrow, err)
	}
}

func TestCopyOfWhatIsHereWhereNothingIs(t *testing.T) {
	src := &maker{t: t}
	made := src.app("v1")
	dst := newSpy(&content.Memory{})
	err := run(t, &transfer.Copier{}, whatIsHere(t, src, dst, made.amd64, made.arm64, made.attestation)).Err()
	if !errors.Is(err, content.ErrNotFound) || !strings.Contains(err.Error(), "none of the 2 images of index "+made.root.Digest.String()) {
		t.Errorf("error is %v, want that nothing of the index is here", err)
	}
	if dst.count("put") > 0 {
		t.Error("something was written")
	}
}

func TestCopyOfOneImageForAPlatform(t *testing.T) {
	src := &maker{t: t}
	five := forPlatform(src.image("linux/arm/v5", nil, "five"), "arm", "v5")
	seven := forPlatform(src.image("linux/arm/v7", nil, "seven"), "arm", "v7")
	amd64 := forPlatform(src.image("linux/amd64", nil, "amd64"), "amd64", "")
	root := src.index(amd64, five, seven)
	arm, all := content.Platform{OS: "linux", Architecture: "arm"}, content.Platform{OS: "linux", Architecture: "*"}
	six := content.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}
	tests := []struct {
		name   string
		filter transfer.Filter
		want   []ocispec.Descriptor
	}{
		{"all variants", transfer.Filter{Platforms: []content.Platform{arm}, Sparse: true}, []ocispec.Descriptor{five, seven}},
		{"the one that is picked", transfer.Filter{Platforms: []content.Platform{arm}, Sparse: true, One: true}, []ocispec.Descriptor{seven}},
		{"another one by its variant", transfer.Filter{Platforms: []content.Platform{{OS: "linux", Architecture: "arm", Variant: "v5"}}, Sparse: true, One: true}, []ocispec.Descriptor{five}},
		{"all architectures", transfer.Filter{Platforms: []content.Platform{all}, Sparse: true, One: true}, []ocispec.Descriptor{amd64, five, seven}},
		{"in an index of its own", transfer.Filter{Platforms: []content.Platform{arm}, One: true}, []ocispec.Descriptor{seven}},
		{"one that runs there, for want of its own", transfer.Filter{Platforms: []content.Platform{six}}, []ocispec.Descriptor{five}},
		{"the same, with the index as it is", transfer.Filter{Platforms: []content.Platform{six}, Sparse: true}, []ocispec.Descriptor{five}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dst := &content.Memory{}
			job := whatIsHere(t, src, dst)
			job.Filter = tt.filter
			if err := run(t, &transfer.Copier{}, job).Err(); err != nil {
				t.Fatal(err)
			}
			var got []ocispec.Descriptor
			for _, d := range []ocispec.Descriptor{amd64, five, seven} {
				if _, err := dst.Manifest(t.Context(), d.Digest.String()); err == nil {
					got = append(got, d)
				}
			}
			if !slices.Equal(digestsOf(got), digestsOf(tt.want)) {
				t.Errorf("%v came, want %v", digestsOf(got), digestsOf(tt.want))
			}
			if kept := digestOf(t, dst, "v1") == root.Digest; kept != tt.filter.Sparse {
				t.Errorf("the index was kept: %t, want %t", kept, tt.filter.Sparse)
			}
		})
	}
}
