package layout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// writerFile is the lock of who writes to a plain directory: it has room for one
// image, and is written to by one process at a time.
const writerFile = ownDir + "/writer"

// claim waits until no other process writes to the directory, and keeps others
// from it until Close. Where one of them has put another image there meanwhile,
// nothing more is taken.
func (d *Dir) claim(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	mine := d.disk.fail("lock", writerFile, fmt.Errorf("this process writes to the directory already: %w", content.ErrConflict))
	lock, err := durable.Try(d.disk.root, writerFile)
	if errors.Is(err, durable.ErrHeld) && durable.Holder(d.disk.root, writerFile) == os.Getpid() {
		return mine
	}
	if errors.Is(err, durable.ErrHeld) {
		lock, err = durable.Acquire(ctx, d.disk.root, writerFile, func(pid int) {
			if pid == os.Getpid() {
				cancel(mine)
				return
			}
			d.disk.waits(writerFile, "", pid)
		})
	}
	if err != nil {
		return d.disk.fail("lock", writerFile, err)
	}
	d.writer = lock
	if now := d.stands(); now != d.began {
		d.disk.taken = d.disk.fail("write", dirManifest, fmt.Errorf("another process has put %s there: %w", now, content.ErrConflict))
	}
	return nil
}

// stands returns the digest of the image that is there, "" for none.
func (d *Dir) stands() digest.Digest {
	raw, err := d.disk.readManifest(dirManifest)
	if err != nil {
		return ""
	}
	return digest.FromBytes(raw)
}

// has reports whether file holds m.
func (d *Dir) has(file string, m content.Manifest) bool {
	raw, err := d.disk.readManifest(file)
	return err == nil && bytes.Equal(raw, m.Raw())
}
