package testlink

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A conn is one connection that a link carries: the two sockets it consists of here.
type conn struct {
	link           *Link
	client, server net.Conn
	opened         time.Time
	down           *atomic.Int64 // bytes handed to the client
	done           chan struct{} // closed where the connection is cut off
	cut            sync.Once

	mu      sync.Mutex
	rnd     *rand.Rand
	passed  int64     // bytes, both ways together
	pauseAt int64     // passed, at the next pause
	resetAt int64     // passed, at the end
	silent  time.Time // until then nothing passes
}

// Carry takes over a connection, of which it is given the ends that are turned to the client and to the server, and
// returns when it is over and both are closed. Ends that have no CloseWrite are closed both ways where one is.
func (l *Link) Carry(client, server net.Conn) {
	c := l.open(client, server)
	defer l.forget(c)
	up := way{conn: c, src: client, dst: server, own: clock{rate: l.shape.PerConn}, all: &l.up, count: &l.sent, from: c.opened.Add(l.shape.RTT)}
	down := way{conn: c, src: server, dst: client, own: clock{rate: l.shape.PerConn}, all: &l.down, count: c.down, from: c.opened.Add(l.shape.RTT / 2)}
	up.queue.start(l.window)
	down.queue.start(l.window)
	var all sync.WaitGroup
	for _, w := range []*way{&up, &down} {
		all.Go(w.read)
		all.Go(w.write)
	}
	all.Wait()
	_, _ = client.Close(), server.Close() // over either way
}

func (l *Link) open(client, server net.Conn) *conn {
	for _, end := range []net.Conn{client, server} {
		if tcp, ok := end.(*net.TCPConn); ok {
			// The kernel is not to hold what the link should: it would be gone from the sender without having been sent.
			_, _ = tcp.SetReadBuffer(socketBuffer), tcp.SetWriteBuffer(socketBuffer)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &conn{
		link: l, client: client, server: server, opened: time.Now(), down: new(atomic.Int64), done: make(chan struct{}),
		rnd: rand.New(rand.NewPCG(l.shape.Seed, uint64(l.stats.Opened))), //nolint:gosec // not a secret: the same each time
	}
	c.pauseAt, c.resetAt = c.after(l.shape.Pauses.Every), c.after(l.shape.Resets.Every)
	l.bytes = append(l.bytes, c.down)
	l.stats.Opened++
	l.stats.Open++
	l.stats.Most = max(l.stats.Most, l.stats.Open)
	l.live[c] = struct{}{}
	if l.closed {
		c.abort()
	}
	return c
}

const socketBuffer = 256 << 10

func (l *Link) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, c)
	l.stats.Open--
}

// after draws where passed will be so many bytes further on, on average.
func (c *conn) after(every int64) int64 {
	if every == 0 {
		return math.MaxInt64
	}
	return c.passed + 1 + int64(c.rnd.ExpFloat64()*float64(every))
}

// claim says how many of n bytes pass next, not before when, and whether the connection is to be reset behind them.
func (c *conn) claim(n int) (pass int, when time.Time, reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pass, when = int(min(int64(n), c.pauseAt-c.passed, c.resetAt-c.passed)), c.silent
	c.passed += int64(pass)
	if c.passed == c.pauseAt {
		p := c.link.shape.Pauses
		length := p.Min
		if p.Max > p.Min {
			length += time.Duration(c.rnd.Int64N(int64(p.Max - p.Min)))
		}
		c.silent = later(time.Now(), when).Add(length)
		c.pauseAt = c.after(p.Every)
		c.link.count(func(s *Stats) { s.Paused++ })
	}
	if c.passed == c.resetAt {
		c.resetAt = math.MaxInt64 // once is enough
		c.link.count(func(s *Stats) { s.Reset++ })
		return pass, when, true
	}
	return pass, when, false
}

func (l *Link) count(f func(*Stats)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.stats)
}

// abort cuts the connection off: both ends see RST.
func (c *conn) abort() {
	c.cut.Do(func() {
		close(c.done)
		hangUp(c.client)
		hangUp(c.server)
	})
}

// hangUp closes a socket with RST instead of FIN.
func hangUp(end net.Conn) {
	if tcp, ok := end.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the close is a FIN, which is an end as well
	}
	_ = end.Close() // nobody is left to hear of it
}

// wait returns at t, or false where the connection is cut off before.
func (c *conn) wait(t time.Time) bool {
	d := time.Until(t)
	if d < fineness {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.done:
		return false
	}
}

// A way is one direction of a connection.
type way struct {
	*conn
	src, dst net.Conn
	own      clock         // the cap of this connection
	all      *clock        // the cap of all
	count    *atomic.Int64 // bytes handed over
	from     time.Time     // nothing leaves before
	queue    queue
}

// read takes bytes from the sender, a little ahead of when the caps let them go.
func (w *way) read() {
	for {
		b := w.link.buffers.Get().(*[]byte)
		n, err := w.src.Read(*b)
		now := later(time.Now(), w.from)
		leave := later(w.own.leave(now, n), w.all.leave(now, n))
		p := piece{buffer: b, n: n, at: leave.Add(w.link.shape.RTT / 2), last: errors.Is(err, io.EOF)}
		if err != nil && !p.last {
			w.abort()
			return
		}
		if !w.queue.put(p, w.done) || p.last || !w.wait(leave.Add(-lead)) {
			return
		}
	}
}

// write hands bytes to the receiver when they have come through.
func (w *way) write() {
	for {
		p, ok := w.queue.take(w.done)
		if !ok || !w.wait(p.at) || !w.hand((*p.buffer)[:p.n]) {
			return
		}
		w.link.buffers.Put(p.buffer)
		if p.last {
			w.end()
			return
		}
	}
}

// hand writes b piece by piece, as pauses and the reset cut it, and reports whether the connection goes on.
func (w *way) hand(b []byte) bool {
	for len(b) > 0 {
		n, when, reset := w.claim(len(b))
		if !w.wait(when) {
			return false
		}
		w.count.Add(int64(n)) // before, so that who has received all finds all counted
		written, err := w.dst.Write(b[:n])
		w.count.Add(int64(written - n))
		if err != nil || reset {
			w.abort()
			return false
		}
		b = b[n:]
	}
	return true
}

// end passes on that the sender has nothing more to say.
func (w *way) end() {
	half, ok := w.dst.(interface{ CloseWrite() error })
	if !ok {
		w.abort()
		return
	}
	_ = half.CloseWrite() // an end that is gone already needs no news
}
