package testregistry

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

type connKey struct{}

// withConn keeps the connection at hand for faults that break it.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// A broken connection is what faults are for; the server's remarks about it would only drown the test's output.
func silentLog() *log.Logger { return log.New(io.Discard, "", 0) }

func connOf(req *http.Request) net.Conn {
	c, _ := req.Context().Value(connKey{}).(net.Conn)
	if t, isTLS := c.(*tls.Conn); isTLS {
		return t.NetConn()
	}
	return c
}

// resetConn makes the client see "connection reset by peer": with linger 0 a close sends RST instead of FIN.
// What the kernel had not sent by then is lost.
func resetConn(req *http.Request) {
	c := connOf(req)
	switch t := c.(type) {
	case *net.TCPConn:
		_ = t.SetLinger(0) // a connection that is gone already needs no reset
	case interface{ Reset() error }:
		_ = t.Reset() // as above
	}
	closeConn(req)
}

func closeConn(req *http.Request) {
	if c := connOf(req); c != nil {
		_ = c.Close() // the client may have closed first
	}
}

// wait returns when d is over or the request or the registry ends.
func (r *Registry) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-r.done:
	}
}

// hold returns when release is closed or the request or the registry ends. A nil release never closes.
func (r *Registry) hold(ctx context.Context, release <-chan struct{}) {
	select {
	case <-release:
	case <-ctx.Done():
	case <-r.done:
	}
}
