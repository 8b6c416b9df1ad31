package durable

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// pidEnd is the end of the name of a lock that is a file that exists.
const pidEnd = ".pid"

// signature returns what stands in the lock of this process.
func signature() (line, host string, err error) {
	host, err = os.Hostname()
	return fmt.Sprintf("%d %s\n", os.Getpid(), host), host, err
}

// sign writes into a lock who holds it. On a full disk nobody learns it.
func sign(f *os.File) {
	line, _, err := signature()
	if err == nil && f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(line), 0)
	}
}

// Holder returns the id of the process that holds the lock called name. It is 0
// where that is not known, and where it runs on another machine.
func Holder(root *os.Root, name string) int {
	_, host, err := signature()
	if err != nil {
		return 0
	}
	for _, name := range []string{name, name + pidEnd} {
		holder, err := readHolder(root, name)
		if pid, where, ok := parseHolder(holder); err == nil && ok && where == host {
			return pid
		}
	}
	return 0
}

// tryFile takes a lock that is the existence of file name. The file says who
// holds it, so that the lock of a process that was killed can be taken over; a
// process of another machine is believed to live.
func tryFile(root *os.Root, name string) (*Lock, error) {
	me, host, err := signature()
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		if err := breakStale(root, name, host); err != nil {
			return nil, err
		}
		return nil, ErrHeld
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(me)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, root.Remove(name))
	}
	return &Lock{root: root, name: name}, nil
}

// breakStale removes lock file name if its holder has died on this machine. The
// file is first moved aside under a name of its own, so that of several who
// find it stale one removes it.
func breakStale(root *os.Root, name, host string) error {
	holder, err := readHolder(root, name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil || !stale(holder, host) {
		return err
	}
	aside := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := root.Rename(name, aside); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	taken, err := readHolder(root, aside)
	if err == nil && taken != holder {
		// Somebody was quicker, and this is their live lock: give it back.
		err = root.Link(aside, name)
	}
	return errors.Join(err, root.Remove(aside))
}

func readHolder(root *os.Root, name string) (string, error) {
	raw, err := ReadRegular(root, name, 4096, ErrNotRegular)
	return string(raw), err
}

// stale reports whether holder names a process of host that has ended.
func stale(holder, host string) bool {
	pid, where, ok := parseHolder(holder)
	return ok && where == host && !alive(pid)
}

// parseHolder takes a line "PID HOST" apart. One that is not whole is being
// written.
func parseHolder(holder string) (pid int, host string, ok bool) {
	line, whole := strings.CutSuffix(holder, "\n")
	id, host, _ := strings.Cut(line, " ")
	pid, err := strconv.Atoi(id)
	return pid, host, whole && err == nil
}
