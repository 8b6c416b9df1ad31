package content

import "github.com/opencontainers/go-digest"

// DigestTags returns the tags under which cosign keeps what it says of the
// manifest d: signatures, attestations and SBOMs, each in a repository of d.
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
func DigestTags(d digest.Digest) []string {
	tag := d.Algorithm().String() + "-" + d.Encoded()
	return []string{tag + ".sig", tag + ".att", tag + ".sbom"}
}
