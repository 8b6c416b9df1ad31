package transfer

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
)

const (
	fanChunk = 128 << 10 // bytes handed on at once
	fanDepth = 4         // chunks a lane may lie behind the others

	// fanGrace is how long the first sink that wants a blob waits for the
	// others to make up their minds. One that comes later reads on its own.
	fanGrace = 2 * time.Second

	// fanPatience is how long one sink that takes nothing may hold up the
	// others. Then it reads on its own.
	fanPatience = 5 * time.Second
)

// errDetached ends the shared stream for a lane that has to read on its own.
var errDetached = errors.New("left behind by the other destinations")

// A fan lets several sinks put one blob while its source is read once. Each
// sink has a lane, which is a Blob. A sink that wants a part only, or the blob
// a second time, is served from the source directly.
type fan struct {
	blob  content.Blob
	lanes []*fanLane

	mu        sync.Mutex
	undecided int
	joined    chan struct{} // closed when a lane has joined
	decided   chan struct{} // closed when every lane has joined or left
	closed    bool          // the stream has begun, or will never: joining is over
}

func newFan(blob content.Blob, n int) *fan {
	f := &fan{blob: blob, undecided: n, joined: make(chan struct{}), decided: make(chan struct{})}
	for range n {
		f.lanes = append(f.lanes, &fanLane{fan: f, Blob: blob, chunks: make(chan []byte, fanDepth), left: make(chan struct{})})
	}
	return f
}

// A fanLane is the blob as one sink sees it.
type fanLane struct {
	content.Blob
	fan    *fan
	chunks chan []byte   // closed at the end of the stream
	left   chan struct{} // closed when the sink is through
	err    error         // why the stream ended; set before chunks is closed
	in     bool          // has joined; guarded by fan.mu
	out    bool          // has left or decided; guarded by fan.mu
}

// Unwrap shows the abilities of the blob.
func (l *fanLane) Unwrap() any { return l.Blob }

// Open joins the shared stream, or opens the source.
func (l *fanLane) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	size := l.Descriptor().Size
	whole := r.Off == 0 && (r.Len == 0 || r.Len == size)
	if !whole || size == 0 || !l.fan.join(l) {
		return l.Blob.Open(ctx, r)
	}
	return &fanReader{ctx: ctx, lane: l}, nil
}

func (f *fan) join(l *fanLane) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || l.in || l.out {
		return false
	}
	l.in = true
	f.decide(l)
	select {
	case <-f.joined:
	default:
		close(f.joined)
	}
	return true
}

// leave says that the sink of l is through.
func (f *fan) leave(l *fanLane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decide(l)
	close(l.left)
}

func (f *fan) decide(l *fanLane) {
	if l.out {
		return
	}
	l.out = true
	f.undecided--
	if f.undecided == 0 {
		close(f.decided)
	}
}

// begin ends joining and returns the lanes that are in.
func (f *fan) begin() []*fanLane {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	var in []*fanLane
	for _, l := range f.lanes {
		if l.in {
			in = append(in, l)
		}
	}
	return in
}

// pump reads the blob once for all lanes that join in time. It returns when the
// stream has ended for all of them.
func (f *fan) pump(ctx context.Context) {
	select {
	case <-f.decided:
	case <-ctx.Done():
	case <-f.joined:
		grace := time.NewTimer(fanGrace)
		defer grace.Stop()
		select {
		case <-f.decided:
		case <-grace.C:
		case <-ctx.Done():
		}
	}
	lanes := f.begin()
	if len(lanes) == 0 {
		return
	}
	err := f.stream(ctx, &lanes)
	for _, l := range lanes {
		l.end(err)
	}
}

// stream hands on chunks until the blob ends, and takes off lanes those that
// went away or fell behind.
func (f *fan) stream(ctx context.Context, lanes *[]*fanLane) (err error) {
	rc, err := f.blob.Open(ctx, content.Range{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	for len(*lanes) > 0 {
		chunk := make([]byte, fanChunk)
		n, err := io.ReadFull(rc, chunk)
		if n > 0 {
			*lanes = handOn(ctx, *lanes, chunk[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		default:
			return err
		}
	}
	return nil
}

// handOn gives chunk to every lane and returns those that are still there.
func handOn(ctx context.Context, lanes []*fanLane, chunk []byte) []*fanLane {
	var still []*fanLane
	for _, l := range lanes {
		if l.take(ctx, chunk) {
			still = append(still, l)
		}
	}
	return still
}

func (l *fanLane) take(ctx context.Context, chunk []byte) bool {
	select {
	case l.chunks <- chunk:
		return true
	default:
	}
	patience := time.NewTimer(fanPatience)
	defer patience.Stop()
	select {
	case l.chunks <- chunk:
		return true
	case <-l.left:
	case <-ctx.Done():
		l.end(context.Cause(ctx))
		return false
	case <-patience.C:
	}
	l.end(errDetached)
	return false
}

func (l *fanLane) end(err error) {
	l.err = err
	close(l.chunks)
}

// A fanReader reads a lane's part of the shared stream, and the source itself
// once the stream has left it behind.
type fanReader struct {
	ctx   context.Context //nolint:containedctx // the context of the Open this reader came from, for reopening
	lane  *fanLane
	chunk []byte
	off   int64
	own   io.ReadCloser
}

func (r *fanReader) Read(p []byte) (int, error) {
	if r.own != nil {
		return r.own.Read(p)
	}
	if len(r.chunk) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
		if r.own != nil {
			return r.own.Read(p)
		}
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	r.off += int64(n)
	return n, nil
}

// next waits for the next chunk.
func (r *fanReader) next() error {
	select {
	case chunk, ok := <-r.lane.chunks:
		if ok {
			r.chunk = chunk
			return nil
		}
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	if !errors.Is(r.lane.err, errDetached) {
		return firstOf(r.lane.err, io.EOF)
	}
	own, err := r.lane.Blob.Open(r.ctx, content.Range{Off: r.off})
	r.own = own
	return err
}

// Close ends reading; the other lanes go on.
func (r *fanReader) Close() error {
	if r.own != nil {
		return r.own.Close()
	}
	return nil
}
