package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
)

const (
	fanChunk = 128 << 10 // bytes handed on at once
	fanDepth = 4         // chunks a branch may lie behind the others

	// fanGrace is how long the first sink that wants a blob waits for the
	// others to make up their minds. One that comes later reads on its own.
	fanGrace = 2 * time.Second

	// fanPatience is how long one sink that takes nothing may hold up the
	// others. Then it reads on its own.
	fanPatience = 5 * time.Second
)

// errDetached ends the shared stream for a branch that has to read on its own.
var errDetached = errors.New("left behind by the other destinations")

// A fan lets several sinks put one blob while its source is read once. Each
// sink has a branch, which is a Blob. A sink that wants a part only, or the blob
// a second time, is served from the source directly.
type fan struct {
	blob     content.Blob
	branches []*branch

	mu        sync.Mutex
	undecided int
	joined    chan struct{} // closed when a branch has joined
	decided   chan struct{} // closed when every branch has joined or left
	closed    bool          // the stream has begun, or will never: joining is over
}

func newFan(blob content.Blob, n int) *fan {
	f := &fan{blob: blob, undecided: n, joined: make(chan struct{}), decided: make(chan struct{})}
	for range n {
		f.branches = append(f.branches, &branch{fan: f, Blob: blob, chunks: make(chan []byte, fanDepth), left: make(chan struct{})})
	}
	return f
}

// A branch is the blob as one sink sees it.
type branch struct {
	content.Blob
	fan    *fan
	chunks chan []byte   // closed at the end of the stream
	left   chan struct{} // closed when the sink is through
	err    error         // why the stream ended; set before chunks is closed
	in     bool          // has joined; guarded by fan.mu
	out    bool          // has left or decided; guarded by fan.mu
}

// Unwrap shows the abilities of the blob.
func (b *branch) Unwrap() any { return b.Blob }

var _ content.Spreadable = (*branch)(nil)

// Spread implements [content.Spreadable]: a stream that several sinks share comes in
// order.
func (b *branch) Spread(context.Context, content.Spans) (content.Spread, error) {
	return nil, errors.ErrUnsupported
}

// put puts the blob into the sink of u.
func (b *branch) put(ctx context.Context, u *use) {
	defer b.fan.leave(b)
	put(ctx, u, b)
}

// Open joins the shared stream, or opens the source.
func (b *branch) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	size := b.Descriptor().Size
	whole := r.Off == 0 && (r.Len == 0 || r.Len == size)
	if !whole || size == 0 || !b.fan.join(b) {
		return b.Blob.Open(ctx, r)
	}
	return &fanReader{ctx: ctx, branch: b}, nil
}

func (f *fan) join(b *branch) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || b.in || b.out {
		return false
	}
	b.in = true
	f.decide(b)
	select {
	case <-f.joined:
	default:
		close(f.joined)
	}
	return true
}

// leave says that the sink of b is through.
func (f *fan) leave(b *branch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decide(b)
	close(b.left)
}

func (f *fan) decide(b *branch) {
	if b.out {
		return
	}
	b.out = true
	f.undecided--
	if f.undecided == 0 {
		close(f.decided)
	}
}

// begin ends joining and returns the branches that are in.
func (f *fan) begin() []*branch {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	var in []*branch
	for _, b := range f.branches {
		if b.in {
			in = append(in, b)
		}
	}
	return in
}

// pump reads the blob once for all branches that join in time. It returns when the
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
	branches := f.begin()
	if len(branches) == 0 {
		return
	}
	err := f.stream(ctx, &branches)
	for _, b := range branches {
		b.end(err)
	}
}

// stream hands on chunks until the blob ends, and takes off branches those that
// went away or fell behind.
func (f *fan) stream(ctx context.Context, branches *[]*branch) (err error) {
	rc, err := f.blob.Open(ctx, content.Range{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rc.Close()) }()
	for len(*branches) > 0 {
		chunk := make([]byte, fanChunk)
		n, err := io.ReadFull(rc, chunk)
		if n > 0 {
			*branches = handOn(ctx, *branches, chunk[:n])
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

// handOn gives chunk to every branch and returns those that are still there.
func handOn(ctx context.Context, branches []*branch, chunk []byte) []*branch {
	var still []*branch
	for _, b := range branches {
		if b.take(ctx, chunk) {
			still = append(still, b)
		}
	}
	return still
}

func (b *branch) take(ctx context.Context, chunk []byte) bool {
	select {
	case b.chunks <- chunk:
		return true
	default:
	}
	patience := time.NewTimer(fanPatience)
	defer patience.Stop()
	select {
	case b.chunks <- chunk:
		return true
	case <-b.left:
	case <-ctx.Done():
		b.end(context.Cause(ctx))
		return false
	case <-patience.C:
	}
	b.end(errDetached)
	return false
}

func (b *branch) end(err error) {
	b.err = err
	close(b.chunks)
}

// A fanReader reads a branch's part of the shared stream, and the source itself
// once the stream has left it behind.
type fanReader struct {
	ctx    context.Context //nolint:containedctx // the context of the Open this reader came from, for reopening
	branch *branch
	chunk  []byte
	off    int64
	own    io.ReadCloser
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
	case chunk, ok := <-r.branch.chunks:
		if ok {
			r.chunk = chunk
			return nil
		}
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	if !errors.Is(r.branch.err, errDetached) {
		return cmp.Or(r.branch.err, io.EOF)
	}
	own, err := r.branch.Blob.Open(r.ctx, content.Range{Off: r.off})
	r.own = own
	return err
}

// Close ends reading; the other branches go on.
func (r *fanReader) Close() error {
	if r.own != nil {
		return r.own.Close()
	}
	return nil
}
