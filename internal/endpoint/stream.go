package endpoint

import (
	"context"
	"io"
)

// A stream reads and writes what nobody may be at the other end of: standard
// input that gives nothing, a pipe that nobody reads. It gives up with its
// context. What is under way then is left behind, until the process ends.
type stream struct {
	ctx  context.Context //nolint:containedctx // io.Reader and io.Writer have none
	r    io.Reader
	w    io.Writer
	buf  []byte
	done chan done
}

type done struct {
	n   int
	err error
}

const streamBuffer = 64 << 10

func newStream(ctx context.Context, r io.Reader, w io.Writer) *stream {
	return &stream{ctx: ctx, r: r, w: w, buf: make([]byte, streamBuffer), done: make(chan done, 1)}
}

// NewReader returns r as a source reads standard input: it gives up with ctx, also
// while nothing comes.
func NewReader(ctx context.Context, r io.Reader) io.Reader { return newStream(ctx, r, nil) }

// Read implements [io.Reader].
func (s *stream) Read(p []byte) (int, error) {
	buf := s.buf[:min(len(p), len(s.buf))]
	n, err := s.wait(func() (int, error) { return s.r.Read(buf) })
	return copy(p, buf[:n]), err
}

// Write implements [io.Writer].
func (s *stream) Write(p []byte) (written int, err error) {
	for written < len(p) && err == nil {
		var n int
		buf := s.buf[:copy(s.buf, p[written:])]
		n, err = s.wait(func() (int, error) { return s.w.Write(buf) })
		written += n
	}
	return written, err
}

func (s *stream) wait(do func() (int, error)) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	go func() {
		n, err := do()
		s.done <- done{n, err}
	}()
	select {
	case d := <-s.done:
		return d.n, d.err
	case <-s.ctx.Done():
		return 0, context.Cause(s.ctx)
	}
}
