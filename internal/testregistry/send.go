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
	f, broken := q.struck(append([]Effect{ChunkCut, StallAfter, Trickle}, breaking...)...)
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
	case StreamReset, GoAway:
		breakOff(q, f)
	case Trickle:
		out.limit, out.drips = wholeBody, true
		_ = out.write(ctx, a.body[min(f.N, int64(len(a.body))):]) // what is left of it comes, or nobody waits for it
	case StallAfter:
		r.hold(ctx, f.Release)
		if ctx.Err() != nil {
			return // nobody waits any more
		}
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
	drips bool  // a byte every ten seconds
}

// write reports whether all of body went out.
func (s *sender) write(ctx context.Context, body []byte) bool {
	for len(body) > 0 {
		n := min(int64(len(body)), pieceSize, s.limit)
		if n == 0 {
			return false
		}
		if s.drips {
			s.r.wait(ctx, 10*time.Second)
			n = 1
		}
		s.r.log.note(s.q.entry, func(e *Request) { e.Sent += n })
		went, err := s.w.Write(body[:n])
		if err != nil {
			s.r.log.note(s.q.entry, func(e *Request) { e.Sent -= n - int64(went) })
			return false
		}
		s.limit -= n
		body = body[n:]
		if s.drips {
			_ = http.NewResponseController(s.w).Flush() // as below
		}
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

// breaking are the effects that end a connection, or a stream of one, after so many bytes.
var breaking = []Effect{ResetAfter, CutAfter, StreamReset, StreamRefuse, GoAway}

// breakOff ends the exchange of q, answered in part or not at all.
func breakOff(q *exchange, f Fault) {
	h2 := frames(q.Request)
	switch {
	case f.Effect == ResetAfter:
		resetConn(q.Request)
	case h2 != nil && f.Effect == StreamReset:
		panic(http.ErrAbortHandler) // net/http makes RST_STREAM of it
	case h2 != nil && f.Effect == StreamRefuse:
		h2.refuseNext()
		panic(http.ErrAbortHandler)
	case h2 != nil && f.Effect == GoAway:
		h2.goAway()
		closeConn(q.Request)
	default:
		closeConn(q.Request)
	}
}
