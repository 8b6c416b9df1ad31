package content

import (
	"crypto"
	"fmt"

	"github.com/opencontainers/go-digest"

	// The algorithms a digest may name.
	_ "crypto/sha256"
	_ "crypto/sha512"
)

// CheckDigest reports whether d is a digest wherry can verify: sha256 or
// sha512, in lower-case hex of the right length. Anything else is [ErrInvalid].
// Every digest from outside passes here before it becomes part of a path or URL.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests
func CheckDigest(d digest.Digest) error {
	var size int
	alg, hex := splitDigest(d)
	switch alg {
	case digest.SHA256:
		size = crypto.SHA256.Size()
	case digest.SHA512:
		size = crypto.SHA512.Size()
	case "":
		return fmt.Errorf("digest %q is not of the form algorithm:hex: %w", clip(string(d)), ErrInvalid)
	default:
		return fmt.Errorf("digest algorithm %q is not supported: %w", clip(string(alg)), ErrInvalid)
	}
	if len(hex) != 2*size {
		return fmt.Errorf("digest %q has %d hex digits, %s has %d: %w", clip(string(d)), len(hex), alg, 2*size, ErrInvalid)
	}
	for _, c := range []byte(hex) {
		if !isHex[c] {
			return fmt.Errorf("digest %q has %q where a lower-case hex digit belongs: %w", clip(string(d)), c, ErrInvalid)
		}
	}
	return nil
}

// isHex has the digits of a digest. They follow no pattern, which makes it slow to
// compare them with the ends of ranges: a listing of thousands of images looks at
// millions.
var isHex = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true,
	'8': true, '9': true, 'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true,
}

func splitDigest(d digest.Digest) (alg digest.Algorithm, hex string) {
	for i, c := range []byte(d) {
		if c == ':' {
			return digest.Algorithm(d[:i]), string(d[i+1:])
		}
	}
	return "", string(d)
}

// mostShown is how many bytes of outside text stand in a message.
const mostShown = 160

// clip shortens outside text for a message; %q makes it safe to print.
func clip(s string) string {
	if len(s) <= mostShown {
		return s
	}
	return s[:mostShown] + "…"
}
