package durable

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrHeld says that somebody else holds a lock.
var ErrHeld = errors.New("lock is held")

// A Lock is held by one process, and one goroutine in it, at a time. It is a
// file that the kernel locks; where the file system cannot do that it is a file
// that exists. Its holder's process id stands in it.
type Lock struct {
	root *os.Root
	name string
	f    *os.File
}

// A mode is how many hold a lock of the kernel at once.
type mode int

const (
	alone  mode = iota // one
	shared             // any number of those who share it
)

// Notice is how long Acquire waits without a word.
const Notice = 3 * time.Second

// Acquire takes the lock called name, a file it makes where there is none.
// While somebody else holds it Acquire waits, and when that has taken [Notice]
// says so once by calling waiting, which may be nil, with what [Holder] returns.
// The end of ctx ends the wait.
func Acquire(ctx context.Context, root *os.Root, name string, waiting func(pid int)) (*Lock, error) {
	const longest = 50 * time.Millisecond
	began := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		l, err := Try(root, name)
		if !errors.Is(err, ErrHeld) {
			return l, err
		}
		if waiting != nil && time.Since(began) >= Notice {
			waiting(Holder(root, name))
			waiting = nil
		}
		sleep(ctx, pause)
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Try is Acquire that does not wait: it returns [ErrHeld] at once.
func Try(root *os.Root, name string) (*Lock, error) {
	f, err := openLock(root, name)
	if err != nil {
		return nil, err
	}
	err = flock(f, alone)
	if errors.Is(err, errors.ErrUnsupported) {
		if err := f.Close(); err != nil {
			return nil, err
		}
		return tryFile(root, name+pidEnd)
	}
	if err == nil {
		err = stillThere(root, name, f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	sign(f)
	return &Lock{root: root, name: name, f: f}, nil
}

// openLock opens the lock's file without following a link, and makes it first
// if need be.
func openLock(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if !errors.Is(err, os.ErrExist) {
		return f, err
	}
	f, err = OpenRegularFile(root, name, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrHeld // its holder has just removed it
	}
	return f, err
}

// stillThere returns ErrHeld when the file that was locked has lost its name:
// its last holder removed it, and others lock another file by now.
func stillThere(root *os.Root, name string, f *os.File) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	current, err := root.Lstat(name)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(mine, current) {
		return ErrHeld
	}
	return err
}

// Release gives the lock up and takes its file away.
func (l *Lock) Release() error {
	err := l.root.Remove(l.name)
	if l.f != nil {
		// The kernel's lock ends here, whether its file could be removed or not.
		err = l.f.Close()
	}
	if err != nil {
		return fmt.Errorf("release lock %s: %w", l.name, err)
	}
	return nil
}
