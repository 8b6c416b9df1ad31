package transfer

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
)

const (
	paceEvery = 500 * time.Millisecond // from one RunProgress to the next

	// speedOver is how long what arrived is remembered for the speed: long enough
	// to be steady, short enough to notice what changes.
	speedOver = 10 * time.Second

	// leftAfter is how long a run has to be watched before its speed says anything
	// about what is left of it.
	leftAfter = 3 * time.Second

	// leftMost is more than anybody plans for: a run that hardly moves will not go
	// on like that.
	leftMost = 7 * 24 * time.Hour
)

// A speed is how many bytes a second arrived over the last seconds. The zero
// speed knows of none.
type speed struct {
	marks []paceMark // ascending; the first is the last one that is not younger than speedOver
}

type paceMark struct {
	at    time.Time
	bytes int64
}

// mark notes how many bytes there were at a time.
func (s *speed) mark(at time.Time, bytes int64) {
	s.marks = append(s.marks, paceMark{at, bytes})
	old := 0
	for old+1 < len(s.marks) && at.Sub(s.marks[old+1].at) >= speedOver {
		old++
	}
	s.marks = append(s.marks[:0], s.marks[old:]...)
}

// rate returns the bytes a second between the first mark and the last, and how
// long that is.
func (s *speed) rate() (bytesPerSecond float64, over time.Duration) {
	if len(s.marks) < 2 {
		return 0, 0
	}
	first, last := s.marks[0], s.marks[len(s.marks)-1]
	over = last.at.Sub(first.at)
	if over <= 0 {
		return 0, 0
	}
	return float64(last.bytes-first.bytes) / over.Seconds(), over
}

// A tally adds up what the runs of a Copier do. It has no clock: whoever asks
// says what time it is.
type tally struct {
	mu      sync.Mutex
	runs    int // under way
	total   int64
	done    int64             // of blobs that are settled
	lost    int64             // of these what has not arrived and never will
	open    map[blobKey]int64 // what is there of those that are not
	moved   int64             // has arrived, whatever became of it
	speed   speed
	hosts   map[string]*hostTally
	retries int
}

type hostTally struct {
	bytes int64
	speed speed
}

// begin adds a run that moves total bytes. The first of several that run at
// once begins at nothing.
func (t *tally) begin(total int64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.runs == 0 {
		t.total, t.done, t.lost, t.moved, t.retries, t.speed = 0, 0, 0, 0, 0, speed{}
		t.open, t.hosts = map[blobKey]int64{}, map[string]*hostTally{}
		t.speed.mark(now, 0)
	}
	t.runs++
	t.total += total
}

func (t *tally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runs--
}

// arrived notes that so many bytes of a blob are there, each counted once. A
// second reading from the start, from another source, tells nothing new at first.
func (t *tally) arrived(blob blobKey, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.open[blob]; bytes > before && t.runs > 0 {
		t.open[blob] = bytes
		t.moved += bytes - before
	}
}

// found notes that so many bytes of a blob were there before they were asked for:
// they are no part of the speed.
func (t *tally) found(blob blobKey, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if bytes > t.open[blob] && t.runs > 0 {
		t.open[blob] = bytes
	}
}

// settled notes that nothing more of a blob will arrive.
func (t *tally) settled(blob blobKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, blob)
	t.done += blob.size
}

// forget ends what arrived noted of a blob that was settled before.
func (t *tally) forget(blob blobKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, blob)
}

// failed is settled for a blob that is nowhere as a whole.
func (t *tally) failed(blob blobKey) {
	t.mu.Lock()
	t.lost += blob.size - t.open[blob]
	t.mu.Unlock()
	t.settled(blob)
}

func (t *tally) got(host string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hosts[host]
	if h == nil {
		h = &hostTally{}
		t.hosts[host] = h
	}
	h.bytes += n
}

func (t *tally) again() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retries++
}

// pace returns how far it has all come by now.
func (t *tally) pace(now time.Time) *Pace {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.speed.mark(now, t.moved)
	p := &Pace{Total: t.total, Done: t.done, Retries: t.retries}
	for _, n := range t.open {
		p.Done += n
	}
	p.Done = min(p.Done, p.Total)
	var over time.Duration
	p.Speed, over = t.speed.rate()
	p.Left = left(p.Total-p.Done, p.Speed, over)
	for name, h := range t.hosts {
		if p.Hosts == nil {
			p.Hosts = map[string]HostSpeed{}
		}
		h.speed.mark(now, h.bytes)
		rate, _ := h.speed.rate()
		p.Hosts[name] = HostSpeed{Bytes: h.bytes, Speed: rate}
	}
	return p
}

// final returns how far it had come at the end.
func (t *tally) final(now time.Time) *Pace {
	p := t.pace(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	p.Done = max(0, p.Done-t.lost)
	return p
}

// left returns how long rest bytes take at a speed that was seen for so long, 0
// where that says nothing.
func left(rest int64, bytesPerSecond float64, over time.Duration) time.Duration {
	if rest <= 0 || over < leftAfter || bytesPerSecond < 1 {
		return 0
	}
	seconds := math.Ceil(float64(rest) / bytesPerSecond)
	if seconds > leftMost.Seconds() {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// A traffic is what one run saw of hosts.
type traffic struct {
	mu      sync.Mutex
	hosts   map[string]int64
	retries int
}

func (t *traffic) result(r *Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Served, r.Retries = maps.Clone(t.hosts), t.retries
}

// trace returns ctx with what is told of hosts on the way.
func (c *Copier) trace(ctx context.Context, seen *traffic) context.Context {
	return content.WithTrace(ctx, content.Trace{
		Got: func(host string, n int64) {
			seen.mu.Lock()
			if seen.hosts == nil {
				seen.hosts = map[string]int64{}
			}
			seen.hosts[host] += n
			seen.mu.Unlock()
			c.tally.got(host, n)
		},
		Again: func(r content.Retry) {
			seen.mu.Lock()
			seen.retries++
			seen.mu.Unlock()
			c.tally.again()
			c.observe(Event{Kind: Retrying, Host: r.Host, Desc: r.Desc, Bytes: r.Offset, Wait: r.Wait, Err: r.Reason})
		},
	})
}

// tell calls Observe with the pace every now and then, until done is closed.
func (c *Copier) tell(done <-chan struct{}) {
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			c.observe(Event{Kind: RunProgress, Pace: c.tally.pace(now)})
		case <-done:
			return
		}
	}
}
