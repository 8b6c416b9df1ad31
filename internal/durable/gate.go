package durable

import (
	"context"
	"errors"
	"os"
	"time"
)

// A Gate is a lock that many hold at once, each for a moment and many times: its
// file stays open in between. Who takes the lock of the same name with [Acquire]
// or [Try] holds it alone. Where the file system cannot lock, those at the gate
// pass one by one.
//
// A Gate is for one goroutine at a time, and must be closed after use.
type Gate struct {
	Root *os.Root
	Name string

	f *os.File // nil while it is not open
}

// Pass calls do while nobody holds the lock alone. Somebody who does is waited
// for as [Acquire] waits, and do must not wait for anybody.
func (g *Gate) Pass(ctx context.Context, waiting func(pid int), do func() error) error {
	// Who holds the lock alone lets others through in between, and not for long.
	const longest = 5 * time.Millisecond
	began := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		leave, err := g.enter()
		if err == nil {
			return errors.Join(do(), leave())
		}
		if !errors.Is(err, ErrHeld) {
			return err
		}
		if waiting != nil && time.Since(began) >= Notice {
			waiting(Holder(g.Root, g.Name))
			waiting = nil
		}
		sleep(ctx, pause)
	}
}

// enter takes the lock, shared, and returns what gives it up. It returns
// [ErrHeld] where somebody holds it alone.
func (g *Gate) enter() (leave func() error, err error) {
	if g.f == nil {
		if g.f, err = openLock(g.Root, g.Name); err != nil {
			return nil, err
		}
	}
	err = flock(g.f, shared)
	if errors.Is(err, errors.ErrUnsupported) {
		lock, err := tryFile(g.Root, g.Name+pidEnd)
		if err != nil {
			return nil, err
		}
		return lock.Release, nil
	}
	if err != nil {
		return nil, err
	}
	if err := stillThere(g.Root, g.Name, g.f); err != nil {
		// Who held it alone has removed the file: there is another one by now.
		err = errors.Join(err, g.f.Close())
		g.f = nil
		return nil, err
	}
	return func() error { return unlock(g.f) }, nil
}

// Close gives back what the gate holds of the system, and takes its file away
// unless others are passing.
func (g *Gate) Close() error {
	if g.f == nil {
		return nil
	}
	err := flock(g.f, alone)
	if err == nil {
		err = stillThere(g.Root, g.Name, g.f)
	}
	if err == nil {
		err = g.Root.Remove(g.Name)
	}
	if errors.Is(err, ErrHeld) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // the file is for others to remove
	}
	err = errors.Join(err, g.f.Close())
	g.f = nil
	return err
}
