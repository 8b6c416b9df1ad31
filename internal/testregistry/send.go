package testregistry

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// pieceSize is how much of a body goes out in one write.
const pieceSize = 32 << 10

// send writes a, as far as the faults that hit q let it. What is left of the request's body is read first: a server
// that answers early and closes leaves it to luck whether the client sees the answer or a reset.
func (r *Registry) send(ctx context.Context, w http.ResponseWriter, q *exchange, a reply) {
	_, _ = io.Copy(io.Discard, q.body) // a client that went away needs no answer
	h := w.Header()
	maps.Copy(h, a.header)
	h.Set("Docker-Distribution-Api-Version", "registry/2.0")
	_, noLength := q.struck(ChunkCut, Endless)
	if h.Get("Content-Length") == "" && !noLength && a.status != http.StatusNoContent {
		more, _ := q.struck(Longer)
		h.Set("Content-Length", strconv.FormatInt(int64(len(a.body))+more.N, 10))
	}
	r.log.note(q.entry, func(e *Request) { e.Status = a.status })
	w.WriteHeader(a.status)
	if q.Method == http.MethodHead {
		return
	}
	out := &sender{r: r, w: w, q: q, limit: wholeBody}
	f, broken := q.struck(ResetAfter, CutAfter, ChunkCut, StallAfter)
	if broken && !q.movesBody() {
		out.limit = f.N
	}
	if throttle, slow := q.struck(Rate); slow {
		out.rate = throttle.N
	}
	if out.write(ctx, a.body) && out.pad(ctx) || !broken || q.movesBody() {
		return
	}
	_ = http.NewResponseController(w).Flush() // the connection is about to break anyway
	switch f.Effect {
	case ResetAfter:
		resetConn(q.Request)
	case ChunkCut:
		closeConn(q.Request)
	case StallAfter:
		r.hold(ctx, f.Release)
		out.limit = wholeBody
		_ = out.write(ctx, a.body[min(f.N, int64(len(a.body))):]) && out.pad(ctx)
	default: // CutAfter: the server closes by itself, for the length it promised is not there
	}
}

// A sender writes a body piece by piece. Bytes are counted before they go, so that a client that has them all
// finds them counted.
type sender struct {
	r     *Registry
	w     http.ResponseWriter
	q     *exchange
	limit int64 // bytes that may still go
	rate  int64 // bytes a second; 0 means no limit
}

// write reports whether all of body went out.
func (s *sender) write(ctx context.Context, body []byte) bool {
	for len(body) > 0 {
		n := min(int64(len(body)), pieceSize, s.limit)
		if n == 0 {
			return false
		}
		s.r.log.note(s.q.entry, func(e *Request) { e.Sent += n })
		went, err := s.w.Write(body[:n])
		if err != nil {
			s.r.log.note(s.q.entry, func(e *Request) { e.Sent -= n - int64(went) })
			return false
		}
		s.limit -= n
		body = body[n:]
		if s.rate > 0 {
			_ = http.NewResponseController(s.w).Flush() // shows at the next write
			s.r.wait(ctx, time.Duration(n)*time.Second/time.Duration(s.rate))
		}
	}
	return true
}

// pad writes the spaces of Longer and Endless.
func (s *sender) pad(ctx context.Context) bool {
	f, hit := s.q.struck(Longer, Endless)
	if !hit {
		return true
	}
	left := f.N
	if f.Effect == Endless {
		left = wholeBody
	}
	spaces := bytes.Repeat([]byte(" "), pieceSize)
	for left > 0 {
		n := min(left, pieceSize)
		if !s.write(ctx, spaces[:n]) {
			return false
		}
		left -= n
	}
	return true
}

// breakOff ends a request whose own body a fault broke, without an answer.
func breakOff(q *exchange, f Fault) {
	if f.Effect == ResetAfter {
		resetConn(q.Request)
		return
	}
	closeConn(q.Request)
}
