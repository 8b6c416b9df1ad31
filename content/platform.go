package content

import (
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/outside"
)

// A Platform is what an image runs on. An Architecture of "*" is any. To
// [Platform.Matches] an empty Variant is any too; to [Platform.Runs] arm without
// one is v7.
type Platform struct{ OS, Architecture, Variant string }

// ParsePlatform reads os/arch[/variant]. The names people use for an
// architecture (x86_64, aarch64, armhf) become Go's. Anything else is [ErrInvalid].
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return Platform{}, fmt.Errorf("platform %q is not of the form os/arch[/variant]: %w", clip(s), ErrInvalid)
	}
	for _, part := range parts {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*") != "" {
			return Platform{}, fmt.Errorf("platform %q is not of the form os/arch[/variant]: %w", clip(s), ErrInvalid)
		}
	}
	p := Platform{OS: strings.ToLower(parts[0]), Architecture: strings.ToLower(parts[1])}
	if len(parts) == 3 {
		p.Variant = strings.ToLower(parts[2])
	}
	return p.normal(), nil
}

// PlatformOf returns the platform a descriptor or config states.
func PlatformOf(p ocispec.Platform) Platform {
	return Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}.normal()
}

// String returns os/arch[/variant].
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Matches reports whether an image for got is one of those p asks for. What runs
// there besides, such as arm/v6 on arm/v7, [Platform.Runs] tells.
func (p Platform) Matches(got Platform) bool {
	p, got = p.normal(), got.normal()
	return (p.OS == "*" || p.OS == got.OS) &&
		(p.Architecture == "*" || p.Architecture == got.Architecture) &&
		(p.Variant == "" || p.Variant == got.Variant)
}

// IsOne reports whether p is what one image is for, in all but the variant.
func (p Platform) IsOne() bool { return p.OS != "*" && p.Architecture != "*" }

// normal spells p as the Go port is spelt; arm64 is v8 unless it says otherwise.
func (p Platform) normal() Platform {
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "i386", "i686", "x86":
		p.Architecture = "386"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	if p.Architecture == "arm64" && p.Variant == "v8" {
		p.Variant = ""
	}
	return p
}

// PickPlatform returns the child of index m that serves p best, as
// [Platform.CompareImages] has it, and of equals the first of the index.
// Attestations are never picked. Where none runs on p, the error is [ErrNotFound]
// and lists what there is.
func PickPlatform(m Manifest, p Platform) (ocispec.Descriptor, error) {
	children := m.Children()
	if len(children) > 0 {
		best := slices.MinFunc(children, p.CompareImages)
		if p.rankImage(best) > 0 {
			return best, nil
		}
	}
	var have []string
	for _, d := range children {
		if d.Platform != nil && !IsAttestation(d) {
			have = append(have, PlatformOf(*d.Platform).String())
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("no image for %s among %d (%s): %w", p, len(have), outside.Printable(strings.Join(have, ", "), mostShown), ErrNotFound)
}

// IsAttestation reports whether a child of an index is BuildKit's attestation
// manifest for another child.
func IsAttestation(d ocispec.Descriptor) bool {
	return d.Annotations[AnnotationReferenceType] == "attestation-manifest"
}
