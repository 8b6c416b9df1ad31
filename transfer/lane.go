package transfer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// A lane reads one chunk of a blob after the other from one host.
type lane struct {
	spread  *spread
	host    *replica // nil is the source itself, which asks its hosts as it sees fit
	chunk   *chunk   // that is being read
	stream  *stream  // nil is none
	insists bool     // its answer came from the source itself
	coming  bool     // the line knows that the lane is coming
	begun   bool     // the line knows that it is there
	spared  bool     // it goes since others are enough, and is counted no more
	got     int64    // bytes, all together
}

// A stream is one answer of a host.
type stream struct {
	rc       io.ReadCloser
	off, end int64 // what it has to give still
	share    *content.Share
	drop     context.CancelFunc
}

// unknownRate is what is expected of a lane of which nothing is known, in bytes a
// second.
const unknownRate = 1 << 20

// A writeError is one of the place that bytes go to.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }

// openFirst opens the lane's chunk and waits for its first byte: where the source has
// several hosts at the first that gives it, and where it has one, or none does, at the
// source.
func (l *lane) openFirst(ctx context.Context) error {
	hosts := l.spread.hosts
	if len(hosts) > 1 {
		for _, h := range inTurn(hosts) {
			l.host = h
			err := l.begin(ctx, h)
			if err == nil || ctx.Err() != nil {
				return err
			}
			l.end()
			l.spread.lost(l, err)
		}
	}
	l.host, l.insists = nil, true
	if len(hosts) == 1 {
		l.host = hosts[0]
	}
	return l.begin(ctx, l.spread.blob.src)
}

// begin opens the lane's chunk at src and waits for its first byte.
func (l *lane) begin(ctx context.Context, src content.Source) error {
	if err := l.openAt(ctx, src); err != nil {
		return err
	}
	var one [1]byte
	n, err := io.ReadFull(l.stream.rc, one[:])
	if n == 0 {
		if errors.Is(err, io.EOF) {
			err = &content.MismatchError{Want: l.spread.blob.Descriptor(), Size: l.stream.off}
		}
		return err
	}
	l.stream.rc = peeked{io.MultiReader(bytes.NewReader(one[:]), l.stream.rc), l.stream.rc}
	return nil
}

// A peeked is an answer whose first byte was read ahead.
type peeked struct {
	io.Reader
	io.Closer
}

// open asks the lane's host for its chunk, or the source where it has none.
func (l *lane) open(ctx context.Context) error {
	l.insists = l.host == nil
	if l.insists {
		return l.openAt(ctx, l.spread.blob.src)
	}
	return l.openAt(ctx, l.host)
}

func (l *lane) openAt(ctx context.Context, src content.Source) error {
	if l.host != nil && !l.coming && !l.begun {
		l.host.line.join()
		l.coming = true
	}
	d, c := l.spread.blob.Descriptor(), l.chunk
	ctx, drop := context.WithCancel(ctx)
	l.spread.work.aim(c, drop)
	end := c.end
	if l.host == nil || l.host.line.single() {
		end = l.spread.work.clear(c) // who is alone asks once
	}
	r := content.Range{Off: c.off, Len: end - c.off}
	if r.Len == d.Size {
		r = content.Range{}
	}
	asked := time.Now()
	rc, err := src.Open(ctx, d, r)
	if err != nil {
		drop()
		return err
	}
	now := time.Now()
	l.spread.work.answered(c)
	l.spread.answered(l)
	l.stream = &stream{rc: rc, off: c.off, end: end, drop: drop, share: l.spread.share(l.host, c.off)}
	if l.coming {
		l.host.line.begun(now.Sub(asked))
		l.coming, l.begun = false, true
	}
	if l.host != nil {
		l.host.line.opened(now.Sub(asked))
	}
	return nil
}

// end tells the line that the lane is no more.
func (l *lane) end() {
	l.close()
	switch {
	case l.begun:
		l.host.line.ended()
	case l.coming:
		l.host.line.neverBegan()
	}
	l.coming, l.begun = false, false
}

// close ends the answer that is being read: what it had to give is taken.
func (l *lane) close() {
	if l.stream == nil {
		return
	}
	if l.host != nil {
		l.host.line.closed()
	}
	l.stream.drop()
	_ = l.stream.rc.Close()
	l.stream = nil
}

// run reads until there is nothing to read for the lane.
func (l *lane) run(ctx context.Context) error {
	for {
		if l.chunk == nil && !l.next(ctx) {
			return context.Cause(ctx)
		}
		err := l.read(ctx)
		l.spread.work.leave(l.chunk)
		l.chunk = nil
		if err != nil || l.spared {
			return err
		}
	}
}

// next takes the next chunk. It reports false where there is none for this lane.
func (l *lane) next(ctx context.Context) bool {
	s := l.spread
	for ctx.Err() == nil {
		changed := s.work.news()
		b := l.bid()
		if l.chunk = l.goOn(b); l.chunk == nil {
			l.close() // it leads where others are at work
			l.chunk = s.work.take(b)
		}
		if l.chunk == nil {
			l.chunk = l.steal(b)
		}
		if l.chunk != nil {
			return true
		}
		if s.room == nil || s.work.free() == 0 {
			return false // others have what is left, and are as fast
		}
		again := time.NewTimer(tendEvery)
		select {
		case <-changed:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
	return false
}

// goOn takes what the lane's answer gives next.
func (l *lane) goOn(b bid) *chunk {
	if l.stream == nil || l.stream.off == l.stream.end {
		return nil
	}
	b.limit = min(b.limit, l.stream.end)
	return l.spread.work.takeAt(l.stream.off, b)
}

// size returns how many bytes the lane asks for at once: what takes it about a
// second, and longer where answers take long to come, or one lane would do.
func (l *lane) size() int64 {
	if l.host == nil {
		return l.spread.mostChunk()
	}
	span := max(time.Second, 16*l.host.line.delay())
	if l.host.line.worth() == 1 {
		span *= 8
	}
	size := int64(cmp.Or(l.host.line.rate(), unknownRate) * span.Seconds())
	return min(max(size, leastChunk), l.spread.mostChunk())
}

// bid says what the lane wants next.
func (l *lane) bid() bid {
	b := bid{rate: unknownRate}
	if l.host != nil {
		b = l.host.usual()
	}
	b.size, b.limit = l.size(), math.MaxInt64
	if s := l.spread; s.room != nil {
		b.from = s.work.first()
		b.limit = b.from
		if b.from >= 0 {
			b.limit = s.room.reserve(b.from, b.size)
		}
	}
	return b
}

// steal takes a part of what another lane is slow with.
func (l *lane) steal(b bid) *chunk {
	s := l.spread
	if 2*b.rate < s.best() {
		return nil // others will sooner be through with it
	}
	if s.room == nil {
		return s.work.steal(b, nobodyWaits)
	}
	c := s.work.steal(b, s.room.head())
	if c != nil {
		s.room.reserve(c.off, c.end-c.off) // at the head there always is some
	}
	return c
}

// read reads the lane's chunk, of which others may take the end meanwhile.
func (l *lane) read(ctx context.Context) error {
	w, c := l.spread.work, l.chunk
	if l.stream == nil || l.stream.off != c.off {
		l.close()
		if err := l.open(ctx); err != nil {
			return w.unlessOver(c, err)
		}
	} else {
		w.aim(c, l.stream.drop)
		w.answered(c)
	}
	buf := make([]byte, pieceSize)
	for {
		n, err := l.piece(buf)
		if n > 0 {
			if _, err := l.spread.to.WriteAt(buf[:n], c.off); err != nil {
				return &writeError{err}
			}
			w.arrived(c, n)
		}
		if n == 0 || err != nil || l.spread.spare(l) {
			return w.unlessOver(c, err)
		}
	}
}

// piece reads some of the next bytes of the lane's chunk, none where it is over.
func (l *lane) piece(p []byte) (int, error) {
	st, d := l.stream, l.spread.blob.Descriptor()
	most := l.spread.work.most(l.chunk, len(p))
	if most == 0 {
		return 0, nil
	}
	asked := time.Now()
	if l.host != nil {
		l.host.line.waits(l, asked)
	}
	n, err := st.rc.Read(p[:most])
	if l.host != nil {
		l.host.line.moved(l, int64(n), time.Since(asked))
	}
	if st.share != nil {
		st.share.Add(p[:n])
	}
	l.spread.blob.came(content.Range{Off: st.off, Len: int64(n)})
	st.off += int64(n)
	l.got += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
		if n == 0 {
			err = &content.MismatchError{Want: d, Size: st.off}
		}
	}
	return n, err
}
