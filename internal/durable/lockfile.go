package durable

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// tryFile takes a lock that is the existence of file name. The file says who
// holds it, so that the lock of a process that was killed can be taken over; a
// process of another machine is believed to live.
func tryFile(root *os.Root, name string) (*Lock, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	me := fmt.Sprintf("%d %s\n", os.Getpid(), host)
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

// stale reports whether holder, a line "PID HOST", names a process of host that
// has ended. A line that is not whole is being written.
func stale(holder, host string) bool {
	line, whole := strings.CutSuffix(holder, "\n")
	id, where, _ := strings.Cut(line, " ")
	pid, err := strconv.Atoi(id)
	return whole && err == nil && where == host && !alive(pid)
}
