package content

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// DigestTags returns the tags under which cosign keeps what it says of the
// manifest d: signatures, attestations and SBOMs, each in a repository of d.
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
func DigestTags(d digest.Digest) []string {
	tag := d.Algorithm().String() + "-" + d.Encoded()
	return []string{tag + ".sig", tag + ".att", tag + ".sbom"}
}

// FallbackTag returns the tag under which a registry without the referrers API
// has the index of what refers to d.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
func FallbackTag(d digest.Digest) string {
	alg, hex := d.Algorithm().String(), d.Encoded()
	return alg[:min(len(alg), 32)] + "-" + hex[:min(len(hex), 64)]
}

// IsDigestTag reports whether name is, or ends in, a tag under which clients
// keep what refers to an image: a [FallbackTag] or one of the [DigestTags].
func IsDigestTag(name string) bool {
	tag := name[strings.LastIndexByte(name, ':')+1:]
	if strings.Contains(name[:len(name)-len(tag)], "\n") {
		return false
	}
	tag, about, has := strings.Cut(tag, ".")
	if has && (about == "" || strings.Trim(about, "abcdefghijklmnopqrstuvwxyz") != "") {
		return false
	}
	alg, hex, _ := strings.Cut(tag, "-")
	switch alg {
	case "sha256":
		return len(hex) == 64 && strings.Trim(hex, hexDigits) == ""
	case "sha512": // a fallback tag has half of the digest
		return len(hex) >= 64 && len(hex) <= 128 && strings.Trim(hex, hexDigits) == ""
	}
	return false
}

const hexDigits = "0123456789abcdef"
