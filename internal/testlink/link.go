// Package testlink is a network link with a length, a width and bad days, for tests and measurements on one machine.
//
// A [Link] listens on loopback and forwards TCP connections to a server, in another process or in this one. It shapes
// connections, not requests: TLS and HTTP/2 pass through it untouched, and what shares a connection shares its cap.
//
//	l := testlink.Start(t, server.Listener.Addr().String(), testlink.Shape{RTT: 50 * time.Millisecond, PerConn: 10 << 20})
//	… a client works with l.Addr() …
//	if n := l.Stats().Most; n > 3 { … }
//
// A connection is as fast as its cap from its first byte on: TCP's slow start and its reaction to loss are not imitated.
package testlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Shape is how a link behaves. The zero Shape forwards at once, for ever, and as fast as the machine can.
// A rate is in bytes a second and holds for each of the two directions by itself; 0 is no cap.
type Shape struct {
	RTT     time.Duration // there and back; opening a connection takes as long once more
	PerConn int64         // rate of one connection
	Total   int64         // rate of all connections together, which share it evenly
	Pauses  Pauses
	Resets  Resets
	Seed    uint64 // of pauses and resets; the n-th connection has the same ones each time
}

// Pauses are times in which a connection says nothing in either direction.
type Pauses struct {
	Every    int64         // bytes between two of them, both ways together, on average; 0 is never
	Min, Max time.Duration // how long one takes: between these, or Min where Max is not greater
}

// Resets are connections that end with RST.
type Resets struct {
	Every int64 // bytes after which one ends, both ways together, on average; 0 is never
}

// Stats are what a link has carried so far. Bytes are those handed to the receiving end.
type Stats struct {
	Opened, Open, Most int     // connections: ever, now, and at once at most
	Up, Down           int64   // bytes from clients to the server, and back
	Conns              []int64 // Down by connection, in the order in which they were opened
	Paused, Reset      int     // how often the shape made a connection pause or end
}

// A Link carries connections. Its methods may be called from several goroutines.
type Link struct {
	shape    Shape
	addr     string
	piece    int // bytes that are read at once
	window   int // bytes that are on their way at most, in one direction of one connection
	buffers  sync.Pool
	up, down clock        // what all connections share
	sent     atomic.Int64 // bytes handed to the server
	stop     func() error
	running  sync.WaitGroup

	mu     sync.Mutex
	stats  Stats
	bytes  []*atomic.Int64 // down, by connection
	live   map[*conn]struct{}
	closed bool
}

const (
	leastPiece  = 4 << 10
	mostPiece   = 128 << 10
	pieces      = 128 // in a second, where a piece is neither the least nor the most
	freeWindow  = 8 << 20
	lead        = 40 * time.Millisecond  // how far ahead of a cap data is read
	fineness    = 500 * time.Microsecond // waits that are shorter are not worth a timer
	dialTimeout = 10 * time.Second
)

// New returns a link that listens nowhere: it carries what [Link.Carry] is given.
func New(s Shape) *Link {
	l := &Link{shape: s, piece: mostPiece, window: freeWindow, live: map[*conn]struct{}{}}
	l.up.rate, l.down.rate = s.Total, s.Total
	if rate := leastRate(s.PerConn, s.Total); rate > 0 {
		l.piece = int(min(max(rate/pieces, leastPiece), mostPiece))
		ahead := float64(rate) * (s.RTT/2 + lead).Seconds()
		l.window = max(8*l.piece, int(1.5*ahead))
	}
	l.buffers.New = func() any { b := make([]byte, l.piece); return &b }
	return l
}

// leastRate is the lower of two rates of which 0 is none.
func leastRate(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// Listen returns a link that listens on a free port of 127.0.0.1 until [Link.Close], and forwards to target, "host:port",
// as long as ctx is not done. A target that does not answer is a connection that is reset.
func Listen(ctx context.Context, target string, s Shape) (*Link, error) {
	l := New(s)
	ctx, cancel := context.WithCancel(ctx)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, fmt.Errorf("test link: %w", err)
	}
	l.addr = listener.Addr().String()
	l.stop = func() error {
		cancel()
		return listener.Close()
	}
	l.running.Go(func() { l.accept(ctx, listener, target) })
	return l, nil
}

// Start is [Listen] for a test: the link is closed when tb ends.
func Start(tb testing.TB, target string, s Shape) *Link {
	tb.Helper()
	l, err := Listen(tb.Context(), target, s)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// Addr is where the link listens, "127.0.0.1:port".
func (l *Link) Addr() string { return l.addr }

// accept carries connections until the listener is closed.
func (l *Link) accept(ctx context.Context, listener net.Listener, target string) {
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a connection that ended before it was taken
		}
		l.running.Go(func() {
			dialer := net.Dialer{Timeout: dialTimeout}
			server, err := dialer.DialContext(ctx, "tcp", target)
			if err != nil {
				hangUp(client)
				return
			}
			l.Carry(client, server)
		})
	}
}

// Close ends all connections with RST, and waits until nothing of the link runs any more.
func (l *Link) Close() error {
	var err error
	if l.stop != nil {
		if err = l.stop(); errors.Is(err, net.ErrClosed) {
			err = nil // by an earlier Close
		}
	}
	l.mu.Lock()
	l.closed = true
	for c := range l.live {
		c.abort()
	}
	l.mu.Unlock()
	l.running.Wait()
	return err
}

// Stats returns what has been carried until now.
func (l *Link) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Up = l.sent.Load()
	s.Conns = make([]int64, len(l.bytes))
	for i, n := range l.bytes {
		s.Conns[i] = n.Load()
		s.Down += s.Conns[i]
	}
	return s
}
