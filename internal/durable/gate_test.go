package durable

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// gate returns a gate that is closed at the end of the test.
func gate(t *testing.T, root *os.Root) *Gate {
	t.Helper()
	g := &Gate{Root: root, Name: "lock"}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func TestAGateLetsManyThroughAtOnceAndNobodyWhileTheLockIsHeld(t *testing.T) {
	root := newRoot(t)
	first, second := gate(t, root), gate(t, root)
	passed := false
	err := first.Pass(t.Context(), nil, func() error {
		if l, err := Try(root, "lock"); !errors.Is(err, ErrHeld) {
			t.Errorf("the lock of a gate that is passed = %v, %v; want held", l, err)
		}
		return second.Pass(t.Context(), nil, func() error { passed = true; return nil })
	})
	if err != nil || !passed {
		t.Errorf("two at once: %v, passed %t", err, passed)
	}
	l, err := Try(root, "lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.enter(); !errors.Is(err, ErrHeld) {
		t.Errorf("a gate whose lock is held = %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Try(root, "lock"); !errors.Is(err, ErrHeld) {
		t.Errorf("after another gate was closed the lock is not held: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	// Its file is gone by now.
	why := errors.New("done")
	if err := first.Pass(t.Context(), nil, func() error { return why }); !errors.Is(err, why) {
		t.Errorf("after the lock was held: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if left := files(t, root); left != "" {
		t.Errorf("%s are left", left)
	}
}

func TestAGateIsWaitedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := newRoot(t)
		g := gate(t, root)
		l, err := Try(root, "lock")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("no more time")
		said := 0
		err = g.Pass(ctx, func(pid int) {
			if said++; pid != os.Getpid() {
				t.Errorf("process %d holds it", pid)
			}
			cancel(why)
		}, func() error { t.Error("passed"); return nil })
		if !errors.Is(err, why) || said != 1 {
			t.Errorf("Pass = %v, said %d times", err, said)
		}
		time.AfterFunc(time.Second, func() {
			if err := l.Release(); err != nil {
				t.Error(err)
			}
		})
		passed := false
		if err := g.Pass(t.Context(), nil, func() error { passed = true; return nil }); err != nil || !passed {
			t.Errorf("Pass = %v, passed %t", err, passed)
		}
	})
}

func TestNobodyPassesAGateBesideWhoHoldsTheLock(t *testing.T) {
	root := newRoot(t)
	var at crowd
	var g errgroup.Group
	for range 4 {
		g.Go(func() error { return at.pass(t.Context(), root, 200) })
	}
	g.Go(func() error { return at.hold(t.Context(), root, 50) })
	if err := g.Wait(); err != nil || at.passes.Load() != 800 {
		t.Errorf("%v, %d passes", err, at.passes.Load())
	}
	if left := files(t, root); left != "" {
		t.Errorf("%s are left", left)
	}
}

// A crowd is who is at a gate.
type crowd struct{ passing, holding, passes atomic.Int64 }

// pass passes the gate some times, and closes it now and then.
func (c *crowd) pass(ctx context.Context, root *os.Root, times int) (err error) {
	g := &Gate{Root: root, Name: "lock"}
	defer func() { err = errors.Join(err, g.Close()) }()
	for i := range times {
		err := g.Pass(ctx, nil, func() error {
			c.passing.Add(1)
			defer c.passing.Add(-1)
			c.passes.Add(1)
			if c.holding.Load() > 0 {
				return errors.New("passed while the lock was held")
			}
			return nil
		})
		if i%50 == 0 {
			err = errors.Join(err, g.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hold holds the lock some times.
func (c *crowd) hold(ctx context.Context, root *os.Root, times int) error {
	for range times {
		l, err := Acquire(ctx, root, "lock", nil)
		if err != nil {
			return err
		}
		c.holding.Add(1)
		if c.passing.Load() > 0 {
			return errors.New("held while somebody passed")
		}
		c.holding.Add(-1)
		if err := l.Release(); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkGate(b *testing.B) {
	root, err := os.OpenRoot(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	g := &Gate{Root: root, Name: "lock"}
	for b.Loop() {
		if err := g.Pass(b.Context(), nil, func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(g.Close(), root.Close()); err != nil {
		b.Fatal(err)
	}
}
