package layout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/durable"
)

// writerFile is the lock of who writes to a plain directory: it has room for one
// image, and is written to by one process at a time.
const writerFile = ownDir + "/writer"

// claims counts the plain directories that this process writes to.
var claims atomic.Int32

// claim waits until no other process writes to the directory, and keeps others
// from it until Commit or Close. Where one of them has put another image there meanwhile,
// nothing more is taken.
func (d *Dir) claim(ctx context.Context) error {
	lock, err := d.await(ctx)
	if err != nil {
		return err
	}
	claims.Add(1)
	d.writer, d.disk.taken = lock, nil
	if now := d.stands(); now != d.began {
		d.disk.taken = d.disk.fail("write", dirManifest, fmt.Errorf("another process has put %s there: %w", now, content.ErrConflict))
	}
	return nil
}

// await takes the lock. A process that writes to another plain directory already
// does not wait for long: who writes to this one may wait for that one.
func (d *Dir) await(ctx context.Context) (*durable.Lock, error) {
	lock, err := d.disk.takeLock(writerFile, func() (*durable.Lock, error) { return durable.Try(d.disk.root, writerFile) })
	for said := false; errors.Is(err, durable.ErrHeld); said = true {
		holder := durable.Holder(d.disk.root, writerFile)
		switch {
		case holder == os.Getpid():
			err := fmt.Errorf("this process writes to the directory already: %w", content.ErrConflict)
			return nil, d.disk.fail("lock", writerFile, err)
		case said && claims.Load() > 0:
			err := fmt.Errorf("another process writes to the directory: %w", content.ErrConflict)
			return nil, d.disk.fail("lock", writerFile, err)
		}
		while, cancel := context.WithTimeoutCause(ctx, 2*durable.Notice, durable.ErrHeld)
		lock, err = d.disk.takeLock(writerFile, func() (*durable.Lock, error) {
			return durable.Acquire(while, d.disk.root, writerFile, func(pid int) {
				if !said {
					d.disk.waits(writerFile, "", pid)
				}
			})
		})
		cancel()
	}
	return lock, err
}

// Commit implements [content.Committer]: others may write to the directory again.
// What is put after it waits for them as what was put first did.
func (d *Dir) Commit(ctx context.Context) error {
	select {
	case d.disk.preparing <- struct{}{}:
		defer func() { <-d.disk.preparing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if d.writer == nil {
		return nil
	}
	d.began = d.stands()
	d.disk.prepared.Store(false)
	return d.unclaim()
}

// unclaim lets others write.
func (d *Dir) unclaim() error {
	if d.writer == nil {
		return nil
	}
	claims.Add(-1)
	err := d.writer.Release()
	d.writer = nil
	return d.disk.fail("unlock", writerFile, err)
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
