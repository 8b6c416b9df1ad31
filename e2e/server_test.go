package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A server is one process that serves on loopback. It ends with the test that started it, by its own pid.
type server struct {
	log  *logbook
	done chan struct{} // closed when the process has ended
	end  context.CancelFunc
}

// A service says how to start a server and when it is ready.
type service struct {
	Tool  string
	Args  []string
	Env   []string
	Ready *regexp.Regexp // what it prints when it serves; group 1, if any, says where
}

const (
	startTime = 60 * time.Second // for a server to say that it serves
	endTime   = 30 * time.Second // from SIGTERM to SIGKILL
)

// startServer starts a server and waits until it is ready; it returns what group 1 of Ready matched.
func startServer(t *testing.T, s service) (*server, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, tool(t, s.Tool), s.Args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + t.TempDir()}, s.Env...)
	cmd.SysProcAttr = orphanless()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	srv := &server{log: newLogbook(s.Ready), done: make(chan struct{}), end: cancel}
	cmd.Stdout, cmd.Stderr = srv.log, srv.log
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("start %s: %v", s.Tool, err)
	}
	go func() {
		defer close(srv.done)
		_ = cmd.Wait() // how a server that was told to end ends is not under test
	}()
	t.Cleanup(srv.stop)

	limit := time.NewTimer(startTime)
	defer limit.Stop()
	select {
	case where := <-srv.log.ready:
		return srv, where
	case <-srv.done:
		t.Fatalf("%s ended before it served:\n%s", s.Tool, srv.log)
	case <-limit.C:
		t.Fatalf("%s did not serve within %v:\n%s", s.Tool, startTime, srv.log)
	}
	return nil, ""
}

// stop ends the server and waits for it.
func (s *server) stop() {
	s.end()
	<-s.done
}

// A logbook keeps what a server prints and says when it is ready.
type logbook struct {
	ready chan string

	mu   sync.Mutex
	text bytes.Buffer
	want *regexp.Regexp // nil once it was found
}

func newLogbook(want *regexp.Regexp) *logbook {
	return &logbook{ready: make(chan string, 1), want: want}
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if l.want != nil {
		if m := l.want.FindSubmatch(l.text.Bytes()); m != nil {
			l.want = nil
			l.ready <- string(m[len(m)-1])
		}
	}
	return len(p), nil
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
