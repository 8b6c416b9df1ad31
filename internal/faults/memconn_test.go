package faults_test

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A conn is one end of a connection in memory.
type conn struct {
	local, remote net.Addr
	in, out       *stream
	read, write   *deadline
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p, c.read.over())
	return n, c.failed("read", err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p, c.write.over())
	return n, c.failed("write", err)
}

func (c *conn) Close() error {
	c.in.close(net.ErrClosed, syscall.EPIPE)
	c.out.close(io.EOF, net.ErrClosed)
	return nil
}

// Reset is what testregistry calls for a reset: the other end reads what is on its way, and is told.
func (c *conn) Reset() error {
	c.in.close(net.ErrClosed, syscall.ECONNRESET)
	c.out.close(syscall.ECONNRESET, net.ErrClosed)
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error  { c.read.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.write.set(t); return nil }

func (c *conn) failed(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // readers want it as it is
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// A stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex
	buf     []byte
	reads   error         // what readers are told when all is read; nil while there may be more
	writes  error         // what writers are told
	changed chan struct{} // closed with the next change
}

const streamBuffer = 32 << 10

func newStream() *stream { return &stream{changed: make(chan struct{})} }

// change tells those who wait. The caller holds the lock.
func (s *stream) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) close(reads, writes error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reads == nil || s.reads == io.EOF { //nolint:errorlint // as it was put there
		s.reads = reads
	}
	if s.writes == nil {
		s.writes = writes
	}
	s.change()
}

func (s *stream) read(p []byte, over <-chan struct{}) (int, error) {
	for {
		s.mu.Lock()
		if n := copy(p, s.buf); n > 0 || len(p) == 0 {
			s.buf = s.buf[n:]
			s.change()
			s.mu.Unlock()
			return n, nil
		}
		err, changed := s.reads, s.changed
		s.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if !waited(changed, over) {
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (s *stream) write(p []byte, over <-chan struct{}) (n int, err error) {
	for len(p) > 0 {
		s.mu.Lock()
		if s.writes != nil {
			defer s.mu.Unlock()
			return n, s.writes
		}
		took := min(len(p), streamBuffer-len(s.buf))
		changed := s.changed
		if took > 0 {
			s.buf = append(s.buf, p[:took]...)
			p, n = p[took:], n+took
			s.change()
		}
		s.mu.Unlock()
		if took == 0 && !waited(changed, over) {
			return n, os.ErrDeadlineExceeded
		}
	}
	return n, nil
}

// waited reports whether something changed before the time was over.
func waited(changed, over <-chan struct{}) bool {
	select {
	case <-over:
		return false
	default:
	}
	select {
	case <-changed:
		return true
	case <-over:
		return false
	}
}

// A deadline is a time after which nobody waits.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	end   chan struct{} // closed then
}

func newDeadline() *deadline { return &deadline{end: make(chan struct{})} }

func (d *deadline) over() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.end
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	select {
	case <-d.end:
		d.end = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	end := d.end
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { d.expire(end) })
		return
	}
	close(end)
}

func (d *deadline) expire(end chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if end == d.end {
		close(end)
	}
}
