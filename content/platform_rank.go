package content

import (
	"cmp"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Runs reports whether an image for got runs on p: the operating system is the same,
// and so is the architecture, with a variant that is not above that of p. No variant
// is v7 of arm, v8 of arm64 and v1 of amd64. Of architectures other than the arms a
// p without one takes any, for what the machine has is not known. Of a p with a * it
// is what [Platform.Matches] says. That many arm64 run what is made for arm is left to
// whoever asks for arm: not all do.
func (p Platform) Runs(got Platform) bool { return p.rank(got) > 0 }

// Compare is negative where an image for a serves p better than one for b, positive
// where it serves it worse, and 0 where either will do or neither does. What counts is
// how high the variant is.
func (p Platform) Compare(a, b Platform) int { return cmp.Compare(p.rank(b), p.rank(a)) }

// CompareImages is [Platform.Compare] of what children of an index are for. One that
// does not say, and an attestation, serve no platform.
func (p Platform) CompareImages(a, b ocispec.Descriptor) int {
	return cmp.Compare(p.rankImage(b), p.rankImage(a))
}

func (p Platform) rankImage(d ocispec.Descriptor) int {
	if d.Platform == nil || IsAttestation(d) {
		return 0
	}
	return p.rank(PlatformOf(*d.Platform))
}

// Ranks of images that run on a platform. In between there are the levels of
// variants.
const (
	justRuns    = 1
	sameVariant = 1 << 15
)

// rank returns how well an image for got serves p: more is better, and 0 is not at
// all.
func (p Platform) rank(got Platform) int {
	p, got = p.normal(), got.normal()
	switch {
	case !p.IsOne():
		if p.Matches(got) {
			return justRuns
		}
	case p.OS != got.OS:
	case p.Architecture == got.Architecture:
		return p.rankVariant(got)
	}
	return 0
}

// rankVariant is rank among variants of one architecture.
func (p Platform) rankVariant(got Platform) int {
	own, level := p.level(), got.level()
	switch {
	case p.Variant == got.Variant || own > 0 && own == level:
		return sameVariant
	case own > 0 && level > 0 && p.takes(level):
		return level
	case p.Variant == "" && p.Architecture != "arm" && p.Architecture != "arm64":
		return justRuns
	}
	return 0
}

// takes reports whether p runs what is made for a level of its architecture. The
// rest of arm64/v9.x is arm64/v8.(x+5), and below arm/v5 other code is needed.
func (p Platform) takes(level int) bool {
	own := p.level()
	switch p.Architecture {
	case "arm":
		return level >= 5*major && level <= own
	case "arm64":
		return level/major == own/major && level <= own || own/major == 9 && level/major == 8 && level%major <= own%major+5
	}
	return level <= own
}

// A level is major times the number in front of the dot and the one behind it.
const major = 100

// level returns which version of its architecture p is for: 802 for arm64/v8.2; 0
// where variants have no order that is known.
func (p Platform) level() int {
	var variant, minor string
	switch p.Architecture {
	case "arm":
		variant = cmp.Or(p.Variant, "v7")
	case "arm64":
		variant, minor, _ = strings.Cut(cmp.Or(p.Variant, "v8"), ".")
	case "amd64":
		variant = cmp.Or(p.Variant, "v1")
	}
	version, err := strconv.ParseUint(strings.TrimPrefix(variant, "v"), 10, 6)
	if err != nil {
		return 0
	}
	behind, err := strconv.ParseUint(cmp.Or(minor, "0"), 10, 6)
	if err != nil {
		return 0
	}
	return int(version)*major + int(behind)
}
