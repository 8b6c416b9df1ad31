package durable

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// ways are the two kinds of lock.
var ways = map[string]func(root *os.Root, name string) (*Lock, error){
	"by the kernel":         Try,
	"by a file that exists": tryFile,
}

func TestALockIsHeldOnce(t *testing.T) {
	for name, try := range ways {
		t.Run(name, func(t *testing.T) { heldOnce(t, try) })
	}
}

func heldOnce(t *testing.T, try func(root *os.Root, name string) (*Lock, error)) {
	t.Helper()
	root := newRoot(t)
	take := func(name string) *Lock {
		l, err := try(root, name)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := take("lock")
	if l, err := try(root, "lock"); !errors.Is(err, ErrHeld) {
		t.Errorf("a second one = %v, %v; want held", l, err)
	}
	if err := errors.Join(first.Release(), take("other").Release(), take("lock").Release()); err != nil {
		t.Error(err)
	}
	if left := files(t, root); left != "" {
		t.Errorf("%s are left", left)
	}
}

func TestALockIsWaitedFor(t *testing.T) {
	root := newRoot(t)
	var inside, most, turns atomic.Int64
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			for range 50 {
				l, err := Acquire(t.Context(), root, "lock", nil)
				if err != nil {
					return err
				}
				most.Store(max(most.Load(), inside.Add(1)))
				turns.Add(1)
				inside.Add(-1)
				if err := l.Release(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if most.Load() != 1 || turns.Load() != 400 {
		t.Errorf("%d at once, %d turns", most.Load(), turns.Load())
	}
}

func TestAWaitIsSaidOnceAndEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := newRoot(t)
		l, err := Acquire(t.Context(), root, "lock", func(int) { t.Error("waits for nobody") })
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("no more time")
		said := 0
		_, err = Acquire(ctx, root, "lock", func(pid int) {
			said++
			if took := time.Since(began); pid != os.Getpid() || took < Notice || took > 2*Notice {
				t.Errorf("said after %v that process %d holds it", took, pid)
			}
			cancel(why)
		})
		if !errors.Is(err, why) || said != 1 {
			t.Errorf("Acquire = %v, said %d times", err, said)
		}
		if _, err := Acquire(ctx, root, "free", nil); !errors.Is(err, why) {
			t.Errorf("Acquire with a context that has ended = %v", err)
		}
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	})
}

func TestTheHolderOfALock(t *testing.T) {
	root := newRoot(t)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for holder, want := range map[string]int{
		"": 0, "hello\n": 0, "7 elsewhere.invalid\n": 0, "7 " + host: 0, "7 " + host + "\n": 7,
	} {
		for _, name := range []string{"lock", "lock" + pidEnd} {
			write(t, root, name, holder)
			if got := Holder(root, "lock"); got != want {
				t.Errorf("with %q in %s the holder is %d, want %d", holder, name, got, want)
			}
			if err := root.Remove(name); err != nil {
				t.Error(err)
			}
		}
	}
	if got := Holder(root, "lock"); got != 0 {
		t.Errorf("a lock that is not there is held by %d", got)
	}
	l, err := tryFile(root, "lock"+pidEnd)
	if err != nil {
		t.Fatal(err)
	}
	if got := Holder(root, "lock"); got != os.Getpid() {
		t.Errorf("the holder is %d, want %d", got, os.Getpid())
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
}

func TestTheLockOfADeadProcessIsTakenOver(t *testing.T) {
	root := newRoot(t)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, holder string
		taken        bool
	}{
		{"a process that has ended", fmt.Sprintf("%d %s\n", deadProcess(t), host), true},
		{"a process that lives", fmt.Sprintf("%d %s\n", os.Getpid(), host), false},
		{"a process of another machine", fmt.Sprintf("%d elsewhere.invalid\n", deadProcess(t)), false},
		{"a line that is being written", fmt.Sprintf("%d %s", deadProcess(t), host), false},
		{"nothing yet", "", false},
		{"something else", "hello\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(t, root, "lock", tt.holder)
			// The first try takes the dead one's lock away, the second takes it.
			_, first := tryFile(root, "lock")
			l, err := tryFile(root, "lock")
			if !errors.Is(first, ErrHeld) || (err == nil) != tt.taken || err != nil && !errors.Is(err, ErrHeld) {
				t.Errorf("tries = %v, %v; want it taken: %t", first, err, tt.taken)
			}
			if err == nil {
				err = l.Release()
			} else {
				err = root.Remove("lock")
			}
			if err != nil {
				t.Error(err)
			}
			if left := files(t, root); left != "" {
				t.Errorf("%s are left", left)
			}
		})
	}
}

// deadProcess returns the id of a process that has ended.
func deadProcess(t *testing.T) int {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run", "^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}
