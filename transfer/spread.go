package transfer

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

const (
	// leastSpread is the size in bytes from which a blob may be worth a second
	// connection, and leastMirrored that from which it may be worth a second host.
	leastSpread   = 8 << 20
	leastMirrored = 2 << 20

	// leastLong is how long a blob has to take still for others to join the first
	// connection, whose answer is cut short then.
	leastLong = time.Second

	tendEvery = 25 * time.Millisecond
	mostJoins = 4         // lanes of one blob that join at once
	pieceSize = 128 << 10 // bytes read at once
)

// blob returns blob d of src as so many sinks see it.
func (c *Copier) blob(ctx context.Context, src content.Source, d ocispec.Descriptor, sinks int) content.Blob {
	c.init()
	m := &meter{Blob: content.NewBlob(src, d), copier: c, shared: sinks > 1}
	from, ok := content.As[content.Replicated](src)
	if !ok || d.Size < leastMirrored {
		return m
	}
	b := &spreadBlob{meter: m, src: src, from: from, least: leastSpread}
	if len(from.Replicas(ctx, d)) > 1 {
		b.least = leastMirrored
	}
	if d.Size < b.least {
		return m
	}
	return b
}

// A spreadBlob is a blob that several connections may bring. It begins with one,
// which goes to the end of what is wanted; more are tried where that is slow.
type spreadBlob struct {
	*meter
	src   content.Source
	from  content.Replicated
	least int64 // bytes that are worth spreading

	shares shares // who gave what
}

var _ content.Spreadable = (*spreadBlob)(nil)

// Spread implements [content.Spreadable].
func (b *spreadBlob) Spread(ctx context.Context, spans content.Spans) (content.Spread, error) {
	if len(spans) == 0 || !spans.Within(b.Descriptor().Size) {
		return nil, at(Src, OpOpen, b.Descriptor(), content.ErrInvalid)
	}
	b.start(spans.Missing(b.Descriptor().Size))
	s, err := b.begin(ctx, spans)
	if err != nil {
		return nil, err // not s: it would be a Spread that is nil, and no nil Spread
	}
	return s, nil
}

// Open implements [content.Blob].
func (b *spreadBlob) Open(ctx context.Context, r content.Range) (io.ReadCloser, error) {
	off, n, err := r.Resolve(b.Descriptor().Size)
	if err != nil || n < b.least {
		return b.meter.Open(ctx, r)
	}
	b.startAt(off)
	s, err := b.begin(ctx, content.Spans{{Off: off, Len: n}})
	if err != nil {
		return nil, err
	}
	return newSpreadReader(s), nil
}

// begin opens the first of spans and waits for its first byte.
func (b *spreadBlob) begin(ctx context.Context, spans content.Spans) (*spread, error) {
	s := &spread{blob: b, work: newWork(spans), hosts: b.hosts(ctx)}
	ctx, stop := context.WithCancel(ctx)
	s.ctx, s.stop = ctx, stop
	s.span = s.work.takeSpan()
	s.base = &lane{spread: s, chunk: s.span}
	if err := s.base.openFirst(ctx); err != nil {
		s.base.end()
		stop()
		return nil, at(Src, OpOpen, b.Descriptor(), err)
	}
	s.lanes = 1
	return s, nil
}

// A spread is spans of a blob on their way, over one lane or more.
type spread struct {
	ctx  context.Context //nolint:containedctx // reading ends with the context of Spread
	stop context.CancelFunc
	blob *spreadBlob
	work *work
	to   io.WriterAt
	room *window // where bytes wait for their turn; nil where there is a place for each
	base *lane   // the first, which has an answer that goes on to the end of the first span
	span *chunk  // that span, for as long as nobody has cut it

	mu    sync.Mutex
	hosts []*replica
	lanes int   // at work
	last  *lane // that asks the source itself since all others failed, and has no answer yet
	apart bool  // the first span was cut
	group sync.WaitGroup
}

var _ content.Spread = (*spread)(nil)

// mostChunk returns how many bytes a chunk has at most.
func (s *spread) mostChunk() int64 {
	if s.room != nil {
		return windowChunk
	}
	return mostChunk
}

func (s *spread) isApart() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apart
}

// Scatter implements [content.Spread].
func (s *spread) Scatter(w io.WriterAt) error {
	s.to = w
	s.group.Go(func() { s.ended(s.base, s.base.run(s.ctx)) })
	s.tendAll()
	s.stopAll()
	return s.work.wrong()
}

// tendAll tends until all is there, or cannot be had.
func (s *spread) tendAll() {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		changed := s.work.news()
		switch {
		case s.work.over():
			return
		case s.ctx.Err() != nil:
			s.work.fail(at(Src, OpRead, s.blob.Descriptor(), context.Cause(s.ctx)))
			continue
		}
		select {
		case <-tick.C:
			s.tend()
		case <-changed:
		case <-s.ctx.Done():
		}
	}
}

// stopAll waits until no lane is at work.
func (s *spread) stopAll() {
	s.group.Wait()
	for _, h := range s.hosts {
		h.line.forget(s)
	}
}

// Close implements [content.Spread].
func (s *spread) Close() error {
	s.work.fail(errClosed)
	s.stop()
	s.stopAll()
	s.base.end()
	return nil
}

var errClosed = errors.New("closed")

// tend gives the spread as many lanes as help.
func (s *spread) tend() {
	if s.isLast() {
		return
	}
	if !s.isApart() && !s.long() {
		s.insist()
		return
	}
	quick, slow := bySpeed(s.candidates())
	for _, h := range slow {
		h.line.forget(s) // what it would bring is not worth its connections
	}
	for _, h := range quick {
		for n := 0; n < mostJoins && h.line.admit(s, s.work.wish(h.usual())); n++ {
			s.split()
			s.add(&lane{spread: s, host: h, coming: true})
		}
	}
	s.insist()
}

// long reports whether what is left is worth company for the first lane.
func (s *spread) long() bool {
	h := s.base.host
	if h == nil {
		return true // the hosts failed, and may do better at spans
	}
	rate := h.line.look()
	return rate > 0 && float64(s.work.left()) > rate*leastLong.Seconds()
}

// split cuts what the first lane reads, so that others have something to do.
func (s *spread) split() {
	s.mu.Lock()
	first := !s.apart
	s.apart = true
	s.mu.Unlock()
	if first {
		s.work.cut(s.span, s.base.size())
	}
}

func (s *spread) add(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start(l)
}

// start sets a lane to work. The caller holds mu.
func (s *spread) start(l *lane) {
	s.lanes++
	s.group.Go(func() { s.ended(l, l.run(s.ctx)) })
}

// insist reads what is left where all lanes have failed as the source reads
// anything: that asks all its hosts, and as often as it takes. No other lane joins
// before it has an answer, for what failed would fail once more, and nobody be told.
func (s *spread) insist() {
	if s.work.free() == 0 || s.work.over() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes == 0 {
		s.last = &lane{spread: s}
		s.start(s.last)
	}
}

// isLast reports whether a lane insists that has no answer yet.
func (s *spread) isLast() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last != nil
}

// answered notes that a lane has an answer.
func (s *spread) answered(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == l {
		s.last = nil
	}
}

// ended notes how a lane has ended.
func (s *spread) ended(l *lane, err error) {
	l.end()
	s.answered(l)
	s.mu.Lock()
	if !l.spared {
		s.lanes--
	}
	alone := s.lanes == 0
	s.mu.Unlock()
	var failed *writeError
	switch {
	case err == nil || s.ctx.Err() != nil:
	case errors.As(err, &failed):
		s.work.fail(failed.err)
	case l.insists && alone:
		s.work.fail(at(Src, OpRead, s.blob.Descriptor(), err))
	case l.host != nil:
		s.lost(l, err)
		s.insist()
	}
}

// lost draws the consequences of a lane that failed: what it had is for others.
func (s *spread) lost(l *lane, err error) {
	switch {
	case errors.Is(err, content.ErrOwnLimit):
		l.host.line.full()
		return
	case errors.Is(err, content.ErrRateLimited):
		l.host.line.refused()
		return
	}
	l.host.line.broke()
	if l.got > 0 && !errors.Is(err, errors.ErrUnsupported) {
		return // it gives spans: the next one may come through
	}
	l.host.line.forget(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	l.host.out = true
}

// spare reports whether a lane goes: its host has more than it is worth, and others
// are at work for the blob.
func (s *spread) spare(l *lane) bool {
	if l.host == nil || !l.host.line.surplus() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes == 1 {
		return false
	}
	s.lanes--
	l.spared = true
	return true
}
