package transfer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
)

const (
	leastChunk = 128 << 10
	mostChunk  = 64 << 20
	leastSteal = 128 << 10 // bytes worth a request of their own near the end
	mostMoves  = 8         // after which a chunk is not taken for slow any sooner

	moment = 100 * time.Millisecond // how long a chunk is not yet said to be slow
)

// A chunk is a span that one lane reads.
type chunk struct {
	off, end int64 // off moves on as bytes come; end may come nearer
	asked    time.Time
	begun    time.Time // when an answer came; zero until then
	got      int64
	last     time.Time          // when the last of these came
	rate     float64            // bytes a second that were expected of the lane
	moved    int                // times that a part of it went to another lane
	unheard  int                // times that it did before its first byte came
	drop     context.CancelFunc // ends the reading
}

// silence returns for how long nothing of the chunk has come, 0 where that is no
// surprise. Answers that were not waited for long enough say so less and less.
func (c *chunk) silence(now time.Time, b bid) time.Duration {
	since, due := c.last, glance+b.delay+atOnce(b.rate)
	if c.got == 0 {
		since, due = c.asked, (glance+3*b.delay+atOnce(b.rate))<<c.unheard
	}
	if silence := now.Sub(since); silence > due {
		return silence
	}
	return 0
}

// trust returns for how long a chunk is not yet said to be slow: longer for one of
// which a part went to another lane before.
func (c *chunk) trust() time.Duration { return moment << c.moved }

// eta returns how long the rest of the chunk will take: at the pace it came at, which
// for the first moments is expected to be that of others, the rate of b, and where
// nothing comes as long again as nothing has come.
func (c *chunk) eta(now time.Time, b bid) time.Duration {
	flowing := now.Sub(c.asked) - 2*b.delay
	if !c.begun.IsZero() {
		flowing = now.Sub(c.begun)
	}
	pace := (float64(c.got) + b.rate*c.trust().Seconds()) / (max(flowing, 0) + c.trust()).Seconds()
	return c.silence(now, b) + time.Duration(float64(c.end-c.off)/pace*float64(time.Second))
}

// fair returns how many of the last bytes of c a lane with bid b has to take over
// for both to end at once, 0 where that wins little.
func (c *chunk) fair(now time.Time, b bid) int64 {
	little := 2 * moment
	if c.silence(now, b) == 0 {
		little = 2 * c.trust()
	}
	left, eta := c.end-c.off, c.eta(now, b)
	if left <= 0 || eta <= b.delay+little {
		return 0
	}
	mine, theirs := 1/b.rate, eta.Seconds()/float64(left) // seconds a byte
	n := int64((eta - b.delay).Seconds() / (mine + theirs))
	if n > left-leastSteal {
		n = left
	}
	won := eta - b.delay - time.Duration(float64(n)*mine*float64(time.Second))
	if n < min(leastSteal, left) || won < little {
		return 0
	}
	return n
}

// late reports whether an answer to the request for the chunk is long due.
func (c *chunk) late(b bid) bool {
	const due = 500 * time.Millisecond
	return c.begun.IsZero() && time.Since(c.asked) > due+4*b.delay
}

// work is what of a blob is not there yet.
type work struct {
	mu      sync.Mutex
	todo    content.Spans // that nobody reads
	taken   []*chunk
	changed chan struct{} // closed when there is something new to be had
	err     error         // why it cannot be done
}

func newWork(todo content.Spans) *work {
	return &work{todo: slices.Clone(todo), changed: make(chan struct{})}
}

// A bid is what a lane wants.
type bid struct {
	size  int64   // bytes
	from  int64   // the byte before which it must not begin
	limit int64   // the byte before which the chunk has to end
	rate  float64 // bytes a second that it expects to bring
	delay time.Duration
}

// take gives the first chunk of what nobody reads, nil where there is none before
// the limit.
func (w *work) take(b bid) *chunk {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.takeFirst(b)
}

// takeSpan gives all of the first span that nobody reads.
func (w *work) takeSpan() *chunk {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &chunk{off: w.todo[0].Off, end: w.todo[0].Off + w.todo[0].Len, asked: time.Now()}
	w.todo, w.taken = w.todo[1:], append(w.taken, c)
	return c
}

// takeAt is take for a chunk that begins at off. One that another lane has asked
// for there, and has waited for too long, is taken over.
func (w *work) takeAt(off int64, b bid) *chunk {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.todo) > 0 && w.todo[0].Off == off {
		return w.takeFirst(b)
	}
	for _, c := range w.taken {
		if c.off == off && c.late(b) && c.end <= b.limit && c.drop != nil {
			mine := &chunk{off: c.off, end: c.end, rate: b.rate, asked: time.Now()}
			c.end = c.off
			c.drop()
			w.taken = append(w.taken, mine)
			return mine
		}
	}
	return nil
}

func (w *work) takeFirst(b bid) *chunk {
	if len(w.todo) == 0 || w.err != nil {
		return nil
	}
	first := w.todo[0]
	end := min(first.Off+first.Len, b.limit)
	if first.Off < b.from || first.Off >= end {
		return nil // what is first has changed, or there is no room
	}
	// The last chunks are small, so that lanes end together, but worth the wait for their first byte.
	least := max(leastChunk, int64(b.rate*4*b.delay.Seconds()))
	all := b.rate
	for _, c := range w.taken {
		all += c.rate
	}
	size := min(b.size, max(least, int64(float64(w.todo.Bytes())*b.rate/all/2)))
	if end-first.Off > size+leastChunk {
		end = first.Off + size
	}
	c := &chunk{off: first.Off, end: end, rate: b.rate, asked: time.Now()}
	w.taken = append(w.taken, c)
	w.todo[0].Off, w.todo[0].Len = end, first.Off+first.Len-end
	if w.todo[0].Len == 0 {
		w.todo = w.todo[1:]
	}
	return c
}

// nobodyWaits is no byte.
const nobodyWaits = -1

// steal gives a part of a chunk that another lane is slow with: as much as lets
// both end at the same time. Where something is left that nobody may read yet,
// only the chunk that all others wait for, at head, is looked at.
func (w *work) steal(b bid, head int64) *chunk {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	var slow *chunk
	for _, c := range w.taken {
		if (len(w.todo) == 0 || c.off == head) && (slow == nil || c.eta(now, b) > slow.eta(now, b)) {
			slow = c
		}
	}
	if slow == nil || w.err != nil {
		return nil
	}
	n := slow.fair(now, b)
	if n == 0 {
		return nil
	}
	slow.moved = min(slow.moved+1, mostMoves)
	c := &chunk{off: slow.end - n, end: slow.end, rate: b.rate, asked: now, moved: slow.moved}
	if slow.got == 0 {
		c.unheard = min(slow.unheard+1, mostMoves)
		slow.unheard = c.unheard
	}
	slow.end = c.off
	w.taken = append(w.taken, c)
	if slow.off == slow.end && slow.drop != nil {
		slow.drop()
	}
	return c
}

// clear returns the byte up to which nobody reads what follows c.
func (w *work) clear(c *chunk) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.todo {
		if r.Off == c.end {
			return r.Off + r.Len
		}
	}
	return c.end
}

// cut lets others have what lies more than n bytes ahead in c.
func (w *work) cut(c *chunk, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.end-c.off < n+leastChunk {
		return
	}
	w.todo = w.todo.Add(content.Range{Off: c.off + n, Len: c.end - c.off - n})
	c.end = c.off + n
	w.change()
}

// most returns how many of the next bytes of c are to be read at once, of n.
func (w *work) most(c *chunk, n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0
	}
	return int(min(int64(n), c.end-c.off))
}

// answered notes that an answer to the request for c came.
func (w *work) answered(c *chunk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.begun = time.Now()
}

// arrived notes that the next n bytes of c are there.
func (w *work) arrived(c *chunk, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.got += int64(n)
	c.last = time.Now()
	c.off = min(c.off+int64(n), c.end)
}

// leave ends the reading of c; what is missing of it is for others.
func (w *work) leave(c *chunk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken = slices.DeleteFunc(w.taken, func(t *chunk) bool { return t == c })
	if c.off < c.end {
		w.todo = w.todo.Add(content.Range{Off: c.off, Len: c.end - c.off})
	}
	w.change()
}

func (w *work) change() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// fail ends it all.
func (w *work) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = cmp.Or(w.err, err)
	for _, c := range w.taken {
		if c.drop != nil {
			c.drop()
		}
	}
	w.change()
}

// over reports whether all is there, or cannot be had.
func (w *work) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err != nil || len(w.todo) == 0 && len(w.taken) == 0
}

// news returns what is closed when something changes.
func (w *work) news() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// free returns how many bytes nobody reads.
func (w *work) free() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.todo.Bytes()
}

// left returns how many bytes are not there.
func (w *work) left() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.todo.Bytes()
	for _, c := range w.taken {
		n += c.end - c.off
	}
	return n
}

// first returns the first byte that nobody reads, -1 where there is none.
func (w *work) first() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.todo) == 0 {
		return -1
	}
	return w.todo[0].Off
}

// wish returns for how many seconds those at work will be busy with what a lane with
// bid b could take: what nobody reads, and its fair part of what takes others long. It
// is 0 where there is nothing.
func (w *work) wish(b bid) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, n, rate := time.Now(), w.todo.Bytes(), 0.0
	for _, c := range w.taken {
		n += c.fair(now, b)
		rate += float64(c.end-c.off) / (c.eta(now, b) + time.Nanosecond).Seconds()
	}
	return float64(n) / cmp.Or(rate, b.rate)
}

// wrong returns why it failed, nil if it did not.
func (w *work) wrong() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// unlessOver returns err, nil where nothing of c is missing any more.
func (w *work) unlessOver(c *chunk, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.off == c.end {
		return nil
	}
	return err
}

// aim sets what ends the reading of c, which may be over already.
func (w *work) aim(c *chunk, drop context.CancelFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.drop = drop
	if w.err != nil || c.off == c.end {
		drop()
	}
}
