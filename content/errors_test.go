package content_test

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

func TestUnreadManifestsAreCountedAndTheFirstIsNamed(t *testing.T) {
	one, two := digest.FromString("one"), digest.FromString("two")
	for _, tt := range []struct {
		name string
		err  content.UnreadError
		want string
	}{
		{"none", content.UnreadError{}, "no manifest is named that cannot be read"},
		{"one", content.UnreadError{[]digest.Digest{one}, content.ErrCorrupt}, "manifest " + one.String() + " cannot be read: " + content.ErrCorrupt.Error()},
		{"two", content.UnreadError{[]digest.Digest{one, two}, content.ErrCorrupt}, "2 manifests cannot be read, " + one.String() + " and others: " + content.ErrCorrupt.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
