package layout

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/durable"
)

// abandonedFor is how long ago somebody has worked on a partial blob for the last
// time if nobody will.
const abandonedFor = 7 * 24 * time.Hour

// removePartials removes the partial blobs that nobody has worked on for long.
func (c *collection) removePartials(ctx context.Context) error {
	partials, err := c.l.disk.partials()
	if err != nil {
		return err
	}
	for _, d := range partials {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.removePartial(d); err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) removePartial(d digest.Digest) (err error) {
	k := c.l.disk
	if _, abandoned := k.abandoned(d, c.o.Now); !abandoned {
		return nil
	}
	lock, err := durable.Try(k.root, k.partial(d)+lockEnd)
	if errors.Is(err, durable.ErrHeld) {
		return nil // somebody works on it
	}
	if err != nil {
		return k.fail("lock", k.partial(d)+lockEnd, err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	n, abandoned := k.abandoned(d, c.o.Now) // now that nobody can begin to
	if !abandoned {
		return nil
	}
	if !c.o.DryRun {
		err = errors.Join(k.removeFile(k.partial(d)), k.removeFile(k.partial(d)+spansEnd))
	}
	if err == nil {
		c.got.Partials = append(c.got.Partials, d)
		c.got.Bytes += n
	}
	return err
}

// abandoned reports whether nobody has worked on the partial blob d for long, and
// how many bytes its files take of the disk.
func (k *disk) abandoned(d digest.Digest, now time.Time) (n int64, yes bool) {
	for _, name := range []string{k.partial(d), k.partial(d) + spansEnd} {
		fi, err := k.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || now.Sub(fi.ModTime()) < abandonedFor {
			return 0, false
		}
		n, yes = n+durable.Held(fi), true
	}
	return n, yes
}

func (k *disk) removeFile(name string) error {
	err := k.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return k.fail("remove", name, err)
}
