package layout

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

var (
	_ content.Bounded = (*Layout)(nil)
	_ content.Bounded = (*Dir)(nil)
)

// Room implements [content.Bounded].
func (l *Layout) Room() (content.Room, error) { return l.disk.room() }

// Held implements [content.Bounded].
func (l *Layout) Held(d ocispec.Descriptor) int64 { return l.disk.held(d) }

// Room implements [content.Bounded].
func (d *Dir) Room() (content.Room, error) { return d.disk.room() }

// Held implements [content.Bounded].
func (d *Dir) Held(b ocispec.Descriptor) int64 { return d.disk.held(b) }

func (k *disk) room() (content.Room, error) {
	name, free, err := durable.Room(k.path)
	return content.Room{Path: k.path, Disk: name, Free: free}, k.fail("read", "", err)
}

// held returns what the partial file of d takes of the disk. That it lies in a
// folder that will be looked at more closely when it is written to is no matter
// here.
func (k *disk) held(d ocispec.Descriptor) int64 {
	if !k.made.Load() || content.CheckDigest(d.Digest) != nil {
		return 0
	}
	fi, err := k.root.Lstat(k.partial(d.Digest))
	if err != nil || !fi.Mode().IsRegular() {
		return 0
	}
	return min(durable.Held(fi), d.Size)
}
