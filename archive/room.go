package archive

import (
	"errors"
	"fmt"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

var _ content.Bounded = (*Writer)(nil)

// Room implements [content.Bounded]. What is there already under the archive's
// name stays until the new one is whole.
func (w *Writer) Room() (content.Room, error) {
	if w.file == nil || w.file.final() {
		return content.Room{}, errors.ErrUnsupported
	}
	disk, free, err := durable.Room(filepath.Dir(w.file.path))
	if err != nil {
		return content.Room{}, fmt.Errorf("archive %s: %w", w.file.path, err)
	}
	return content.Room{Path: w.file.path, Disk: disk, Free: free}, nil
}

// Held implements [content.Bounded]: of an archive that was broken off nothing
// stays.
func (w *Writer) Held(ocispec.Descriptor) int64 { return 0 }
