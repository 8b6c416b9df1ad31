package transfer

import (
	"cmp"
	"strconv"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// lines has the line to each host that blobs are spread over.
type lines struct {
	lanes int           // of each; 0 is to be found
	facts content.Facts // what earlier runs learnt; nil is nothing

	mu     sync.Mutex
	byHost map[string]*line
}

// to returns the line to host, always the same one.
func (l *lines) to(host string) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byHost == nil {
		l.byHost = map[string]*line{}
	}
	if l.byHost[host] == nil {
		known := borne{facts: l.facts, host: host}
		l.byHost[host] = &line{tuner: tuner{fixed: l.lanes, bears: known.recall()}, borne: known, wishes: map[*spread]float64{}, quiet: map[*lane]time.Time{}}
	}
	return l.byHost[host]
}

// A borne remembers, beyond the process, how many lanes a host bears.
type borne struct {
	facts content.Facts
	host  string
}

// borneMemory is for how long a refusal counts: who shares the host's limit with us
// changes, and so do limits.
const borneMemory = 24 * time.Hour

// recall returns what an earlier run learnt, 0 for nothing.
func (b borne) recall() int {
	lanes, _ := content.Recall(b.facts, "lanes "+b.host, borneMemory)
	n, err := strconv.Atoi(lanes)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// tell tells the runs to come.
func (b borne) tell(lanes int) {
	content.Learn(b.facts, "lanes "+b.host, strconv.Itoa(lanes))
}

// A line is the way to one host, which all blobs that come from there share.
type line struct {
	borne borne

	mu     sync.Mutex
	tuner  tuner
	now    gauge
	open   int                 // answers that are being read
	quiet  map[*lane]time.Time // from when on a lane that waits for bytes is silent
	wishes map[*spread]float64 // seconds of work that another lane could share, of those that could use one
}

// join counts a lane that has asked for its first byte.
func (l *line) join() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.coming++
}

// begun counts a lane whose first byte came, delay after it was asked for.
func (l *line) begun(delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.coming--
	l.now.lanes++
	l.now.delay = delay
}

// ended takes back what begun counted.
func (l *line) ended() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.lanes--
}

// neverBegan takes back what join counted.
func (l *line) neverBegan() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.coming--
}

// opened counts an answer that a lane reads, delay after it was asked for. Where answers
// take longer than they did that is what is expected, until they do not any more.
func (l *line) opened(delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass()
	l.open++
	l.now.delay = max(delay, l.now.delay*7/8)
}

// closed takes back what opened counted.
func (l *line) closed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass()
	l.open--
}

// pass lets the time pass until now. The caller holds mu.
func (l *line) pass() {
	now := time.Now()
	if !l.now.at.IsZero() {
		l.now.flow += time.Duration(l.open) * now.Sub(l.now.at)
	}
	l.now.at = now
}

// waits notes that a lane waits for bytes from now on. It is silent where none come for
// longer than an answer takes, and than so much takes as may come at once.
func (l *line) waits(who *lane, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet[who] = now.Add(glance + l.now.delay + atOnce(cmp.Or(l.tuner.from.each(), unknownRate)))
}

// atOnce returns how long as much takes at rate bytes a second as may come at once: four
// records of TLS.
func atOnce(rate float64) time.Duration {
	const most = 64 << 10
	return time.Duration(most / rate * float64(time.Second))
}

// moved counts n bytes of one lane, which it waited for. While it was silent it was
// no lane.
func (l *line) moved(who *lane, n int64, waited time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	silent := max(0, time.Since(l.quiet[who]))
	delete(l.quiet, who)
	l.now.bytes += n
	l.now.waited += waited - silent
	l.now.flow -= silent
}

// tune lets the tuner look at what the line has done until now. The caller holds mu.
func (l *line) tune() {
	l.pass()
	now := l.now
	for _, from := range l.quiet {
		if now.at.After(from) {
			now.silent++
			now.flow -= now.at.Sub(from)
		}
	}
	l.tuner.look(now)
}

// admit reports whether s, which has so many seconds of work to share, may have one
// more lane, and counts it as one that comes. Of several blobs that has it which would
// be done last.
func (l *line) admit(s *spread, wish float64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tune()
	if wish <= 0 {
		delete(l.wishes, s)
		return false
	}
	l.wishes[s] = wish
	if l.now.lanes+l.now.coming >= l.tuner.allowed() {
		return false
	}
	for _, other := range l.wishes {
		if other > wish {
			return false
		}
	}
	l.now.coming++
	return true
}

// forget ends what admit has noted of s.
func (l *line) forget(s *spread) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.wishes, s)
}

// surplus reports whether there are more lanes than the line is worth.
func (l *line) surplus() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tune()
	return l.now.lanes > l.tuner.allowed()
}

// single reports whether the line is worth one lane only, as far as is known.
func (l *line) single() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tuner.allowed() <= 1
}

// worth returns how many lanes bring something, as far as is known.
func (l *line) worth() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tuner.most - l.tuner.spare
}

// busy returns how many lanes the line has, those that come among them.
func (l *line) busy() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.lanes + l.now.coming
}

// look lets the tuner look at the line, and returns what rate does.
func (l *line) look() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tune()
	return l.tuner.from.each()
}

// rate returns the bytes a second that one lane was last seen to bring, 0 where
// that is not known.
func (l *line) rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tuner.from.each()
}

// delay returns how long a first byte was last waited for.
func (l *line) delay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.delay
}

// refused notes that the host did not let a lane in, and remembers how many it bears
// where others are at work: else it says nothing about lanes. Those that come are taken
// for let in, until they are refused too.
func (l *line) refused() {
	l.mu.Lock()
	alone, lanes := l.now.lanes == 0, l.now.lanes+l.now.coming
	if alone {
		l.tuner.turnedAway(time.Now(), 1)
	} else {
		l.tuner.refused(lanes)
	}
	l.mu.Unlock()
	if !alone {
		l.borne.tell(lanes)
	}
}

// full notes that our own settings did not let a lane in: others have what they
// allow, for a while.
func (l *line) full() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tuner.turnedAway(time.Now(), l.now.lanes)
}

// broke notes that a lane failed.
func (l *line) broke() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tuner.rested(time.Now(), l.tuner.most-1)
}
