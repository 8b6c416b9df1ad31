package archive

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func TestNoArchiveIsWrittenThatHasTooManyBlobs(t *testing.T) {
	w := NewWriter(io.Discard)
	for i := range maxBlobs { // as if they had been put
		w.sizes[digest.Digest(binary.BigEndian.AppendUint32(nil, uint32(i)))] = 0
	}
	d := ocispec.Descriptor{Digest: digest.FromString("")}
	_, err := w.PutBlob(t.Context(), content.NewBlob(&content.Memory{}, d))
	if !errors.Is(err, content.ErrInvalid) {
		t.Errorf("error is %v, want invalid", err)
	}
}
