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
	pageBytes   = 256 << 10
	windowChunk = 4 << 20                                            // bytes of a chunk that waits in a window
	ownPages    = (windowChunk+leastChunk+pageBytes-1)/pageBytes + 1 // of a chunk that begins anywhere
	mostSpare   = 64                                                 // pages that are kept for the next window
)

// A budget is the memory that the windows of all blobs share.
type budget struct {
	mu    sync.Mutex
	pages int      // that may be taken still
	spare [][]byte // that were given back
}

// take returns a page, nil where there is none left.
func (b *budget) take() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pages == 0 {
		return nil
	}
	b.pages--
	return b.page()
}

// own returns a page beyond the budget.
func (b *budget) own() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.page()
}

func (b *budget) page() []byte {
	if n := len(b.spare); n > 0 {
		p := b.spare[n-1]
		b.spare = b.spare[:n-1]
		return p
	}
	return make([]byte, pageBytes)
}

// give takes a page back.
func (b *budget) give(p *page) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.counted {
		b.pages++
	}
	if len(b.spare) < mostSpare {
		b.spare = append(b.spare, p.bytes)
	}
}

// A window is where bytes of a blob that came early wait for those before them.
// The pages at its head are its own; all others are the budget's, which is never
// waited for: who gets no page reads nothing ahead.
type window struct {
	budget *budget

	mu    sync.Mutex
	at    int64 // the byte that is read next
	pages map[int64]*page
	there content.Spans
	wake  chan struct{} // closed when bytes came
}

type page struct {
	bytes   []byte
	counted bool // is the budget's
}

func newWindow(b *budget, at int64) *window {
	return &window{budget: b, at: at, pages: map[int64]*page{}, wake: make(chan struct{})}
}

// head returns the byte that is read next.
func (w *window) head() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

// reserve makes room for n bytes from off on, as far as there is some, and
// returns the byte before which it is.
func (w *window) reserve(off, n int64) (limit int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := w.at / pageBytes
	for i := off / pageBytes; i*pageBytes < off+n; i++ {
		if w.pages[i] != nil {
			continue
		}
		p := &page{}
		if i < head+ownPages {
			p.bytes = w.budget.own()
		} else if p.bytes, p.counted = w.budget.take(), true; p.bytes == nil {
			return i * pageBytes
		}
		w.pages[i] = p
	}
	return off + n
}

// errNoRoom says that bytes came which no room was reserved for: they would be lost.
var errNoRoom = errors.New("bytes came that there is no room for")

// WriteAt implements [io.WriterAt] for bytes that there is room for. What was
// read already is not needed.
func (w *window) WriteAt(b []byte, off int64) (int, error) {
	written := 0
	for written < len(b) {
		at := off + int64(written)
		n := min(int64(len(b)-written), pageBytes-at%pageBytes)
		if err := w.write(b[written:written+int(n)], at); err != nil {
			return written, err
		}
		written += int(n)
	}
	return written, nil
}

// write puts b, which is within one page, there.
func (w *window) write(b []byte, off int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if gone := w.at - off; gone > 0 {
		gone = min(gone, int64(len(b)))
		b, off = b[gone:], off+gone
	}
	if len(b) == 0 {
		return nil
	}
	p := w.pages[off/pageBytes]
	if p == nil {
		return errNoRoom
	}
	copy(p.bytes[off%pageBytes:], b)
	w.there = w.there.Add(content.Range{Off: off, Len: int64(len(b))})
	close(w.wake)
	w.wake = make(chan struct{})
	return nil
}

// skip notes that the next n bytes were read elsewhere.
func (w *window) skip(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.move(n)
}

// read copies the next bytes to p, none where they are not there yet, and
// returns what tells when more are.
func (w *window) read(p []byte) (n int, wake <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.there) == 0 || w.there[0].Off > w.at {
		return 0, w.wake
	}
	at := w.at % pageBytes
	most := min(int64(len(p)), w.there[0].Off+w.there[0].Len-w.at, pageBytes-at)
	copy(p[:most], w.pages[w.at/pageBytes].bytes[at:])
	w.move(most)
	return int(most), w.wake
}

// move gives back what lies behind the next byte but n.
func (w *window) move(n int64) {
	before := w.at / pageBytes
	w.at += n
	for i := before; i < w.at/pageBytes; i++ {
		w.drop(i)
	}
	for len(w.there) > 0 && w.there[0].Off < w.at {
		gone := min(w.at-w.there[0].Off, w.there[0].Len)
		w.there[0].Off, w.there[0].Len = w.there[0].Off+gone, w.there[0].Len-gone
		if w.there[0].Len == 0 {
			w.there = w.there[1:]
		}
	}
}

func (w *window) drop(i int64) {
	if p := w.pages[i]; p != nil {
		delete(w.pages, i)
		w.budget.give(p)
	}
}

// close gives everything back. Nobody writes any more.
func (w *window) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.pages {
		w.drop(i)
	}
	w.there = nil
}

// A spreadReader reads a spread's bytes in order: from its first lane for as long
// as that is the one that has them, then out of its window.
type spreadReader struct {
	s      *spread
	window *window
	end    int64
	direct bool // the first lane has the next bytes
	tended bool // by a goroutine of its own
	looked time.Time
	err    error
}

func newSpreadReader(s *spread) *spreadReader {
	c := s.span
	w := newWindow(&s.blob.copier.memory, c.off)
	s.to, s.room = w, w
	return &spreadReader{s: s, window: w, end: c.end, direct: true}
}

// Read implements [io.Reader].
func (r *spreadReader) Read(p []byte) (int, error) {
	for r.err == nil && len(p) > 0 {
		if r.window.head() == r.end {
			return 0, io.EOF
		}
		read := r.readWindow
		if r.direct {
			read = r.readDirect
		}
		if n := read(p); n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

// readDirect reads from the first lane. Where that ends others have what follows.
func (r *spreadReader) readDirect(p []byte) int {
	s, l := r.s, r.s.base
	n, err := l.piece(p)
	if n > 0 {
		s.work.arrived(l.chunk, n)
		r.window.skip(int64(n))
	}
	if n > 0 && err == nil {
		r.tend()
		return n
	}
	r.direct = false
	err = s.work.unlessOver(l.chunk, err)
	s.work.leave(l.chunk)
	s.ended(l, err)
	r.tend()
	return n
}

// tend looks after the spread now and then, and lets a goroutine do so once
// others than the first lane are at work.
func (r *spreadReader) tend() {
	s := r.s
	if r.tended {
		return
	}
	if now := time.Now(); now.Sub(r.looked) >= tendEvery {
		r.looked = now
		s.tend()
	}
	if s.isApart() || !r.direct {
		r.tended = true
		s.group.Go(s.tendAll)
	}
}

// readWindow reads what others brought.
func (r *spreadReader) readWindow(p []byte) int {
	n, wake := r.window.read(p)
	if n > 0 {
		return n
	}
	changed := r.s.work.news()
	if r.err = r.s.work.wrong(); r.err != nil {
		return 0
	}
	select {
	case <-wake:
	case <-changed:
	case <-r.s.ctx.Done():
		r.err = context.Cause(r.s.ctx)
	}
	return 0
}

// Close implements [io.Closer].
func (r *spreadReader) Close() error {
	err := r.s.Close()
	r.window.close()
	r.err = cmp.Or(r.err, errClosed)
	return err
}
