package testregistry

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"math"
	"net"
	"net/http"
	"sync"

	"golang.org/x/net/http2"
)

// A framedConn is a connection of HTTP/2 that knows where the frames begin which the server writes: between two of them
// it puts frames that no server writes when it is asked to, and in a frame it changes why a stream ends.
// https://www.rfc-editor.org/rfc/rfc9113#section-4.1
type framedConn struct {
	*tls.Conn

	mu      sync.Mutex
	head    []byte // of the frame that is being written, as far as it is known
	left    int    // bytes of its payload that are to come
	refuse  bool   // the next RST_STREAM says REFUSED_STREAM
	leave   bool   // GOAWAY goes out before the next frame
	told    bool   // it is out
	pending []byte // the bytes of this Write
}

type framedKey struct{}

// frames returns the connection of req if that is one of HTTP/2, else nil.
func frames(req *http.Request) *framedConn {
	c, _ := req.Context().Value(framedKey{}).(*framedConn)
	return c
}

// serveFrames has s speak HTTP/2 over connections whose frames can be changed.
//
//nolint:staticcheck // nothing else takes a connection of ours
func serveFrames(s *http.Server) error {
	h2 := &http2.Server{}
	if err := http2.ConfigureServer(s, h2); err != nil {
		return err
	}
	s.TLSNextProto["h2"] = func(s *http.Server, c *tls.Conn, h http.Handler) {
		framed := &framedConn{Conn: c}
		ctx := context.WithValue(withConn(context.Background(), c), framedKey{}, framed)
		h2.ServeConn(framed, &http2.ServeConnOpts{Context: ctx, BaseConfig: s, Handler: h})
	}
	return nil
}

const frameHead = 9

// Write implements [net.Conn].
func (c *framedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = c.pending[:0]
	for rest := p; len(rest) > 0; {
		if c.left > 0 {
			n := min(c.left, len(rest))
			c.pending = append(c.pending, rest[:n]...)
			c.left, rest = c.left-n, rest[n:]
			continue
		}
		if len(c.head) == 0 {
			c.between()
		}
		n := min(frameHead-len(c.head), len(rest))
		c.head, rest = append(c.head, rest[:n]...), rest[n:]
		if len(c.head) < frameHead {
			break
		}
		rest = c.begin(rest)
	}
	if _, err := c.Conn.Write(c.pending); err != nil {
		return 0, err
	}
	return len(p), nil
}

// begin takes the head of a frame, and returns what is left after the frame if that was changed.
func (c *framedConn) begin(rest []byte) []byte {
	length := int(c.head[0])<<16 | int(c.head[1])<<8 | int(c.head[2])
	c.pending = append(c.pending, c.head...)
	if c.refuse && http2.FrameType(c.head[3]) == http2.FrameRSTStream && len(rest) >= length {
		c.refuse = false
		c.pending = binary.BigEndian.AppendUint32(c.pending, uint32(http2.ErrCodeRefusedStream))
		rest, length = rest[length:], 0
	}
	c.head, c.left = c.head[:0], length
	return rest
}

func (c *framedConn) between() {
	if !c.leave || c.told {
		return
	}
	c.told = true
	c.pending = append(c.pending, goAwayFrame...)
}

// goAwayFrame says that all streams so far were looked at, and nothing else.
var goAwayFrame = func() []byte {
	p := []byte{0, 0, 8, byte(http2.FrameGoAway), 0, 0, 0, 0, 0}
	p = binary.BigEndian.AppendUint32(p, math.MaxInt32)
	return binary.BigEndian.AppendUint32(p, uint32(http2.ErrCodeNo))
}()

// refuseNext makes the next RST_STREAM one of a stream that was not looked at.
func (c *framedConn) refuseNext() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = true
}

// goAway sends GOAWAY, at once where no frame is half written.
func (c *framedConn) goAway() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave = true
	if c.left > 0 || len(c.head) > 0 {
		return
	}
	c.pending = c.pending[:0]
	c.between()
	_, _ = c.Conn.Write(c.pending) // the connection is about to end
}

// NetConn returns what TLS runs over.
func (c *framedConn) NetConn() net.Conn { return c.Conn.NetConn() }
