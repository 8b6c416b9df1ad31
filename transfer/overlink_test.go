package transfer

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testlink"
	"github.com/wherry-dev/wherry/registry"
)

// overLink returns how long it takes to scatter size bytes that a registry gives over
// a link of that shape.
func overLink(t *testing.T, shape testlink.Shape, lanes int, size int64) (took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		far := &farRegistry{link: testlink.New(shape), calls: make(chan net.Conn), closed: make(chan struct{}), size: size}
		server := &http.Server{Handler: far, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(far) }() // ends with Close
		client := &registry.Client{Dial: far.dial}
		src, err := client.Repository(far.Addr().String(), "app")
		if err != nil {
			t.Fatal(err)
		}
		took, _ = scatter(t, &Copier{Lanes: lanes}, src, size, content.Spans{{Len: size}})
		client.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := far.link.Close(); err != nil {
			t.Error(err)
		}
		far.carried.Wait()
	})
	return took
}

// A farRegistry has one blob of zeros, at the far end of a link without a network.
type farRegistry struct {
	link    *testlink.Link
	size    int64
	calls   chan net.Conn
	carried sync.WaitGroup
	closed  chan struct{}
	once    sync.Once
}

func (r *farRegistry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", zeros(r.size).Digest.String())
	http.ServeContent(w, q, "", time.Time{}, io.NewSectionReader(nothing{}, 0, r.size))
}

// nothing is zeros without end.
type nothing struct{}

func (nothing) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// dial is for [registry.Client].
func (r *farRegistry) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, near := net.Pipe()
	far, theirs := net.Pipe()
	select {
	case r.calls <- theirs:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.carried.Go(func() { r.link.Carry(near, far) })
	return &addressed{ours, r.Addr()}, nil
}

// An addressed connection led somewhere.
type addressed struct {
	net.Conn

	to net.Addr
}

func (c *addressed) RemoteAddr() net.Addr { return c.to }

// Accept implements [net.Listener].
func (r *farRegistry) Accept() (net.Conn, error) {
	select {
	case c := <-r.calls:
		return c, nil
	case <-r.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (r *farRegistry) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

// Addr implements [net.Listener].
func (r *farRegistry) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000} }
