package content_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
)

func TestCheckDigest(t *testing.T) {
	for _, d := range []digest.Digest{digest.FromString("x"), digest.SHA512.FromString("x")} {
		if err := content.CheckDigest(d); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
	hostile := append(
		contenttest.HostileDigests(),
		digest.SHA384.FromString("x"),
		digest.Digest("sha256:"+strings.Repeat("ａ", 64)), // full-width letters
		digest.Digest("sha256:"+strings.Repeat("a", 1<<20)),
		digest.Digest("\x1b[2J:"+strings.Repeat("a", 64)),
	)
	for _, d := range hostile {
		err := content.CheckDigest(d)
		if !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%.80q: got %v, want invalid content", d, err)
			continue
		}
		oneLine(t, err)
	}
}
