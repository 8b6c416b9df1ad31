package transfer

import (
	"math"
	"time"
)

const (
	mostLanes = 32        // of one host, all blobs together
	fastLine  = 128 << 20 // bytes a second over one line, where more lanes have nothing to win

	glance    = 150 * time.Millisecond // how long rates are measured
	shortRest = time.Second            // after lanes that gained nothing, until more are tried again
	longRest  = 30 * time.Second
)

// A tuner finds how many lanes a host is worth. More are tried for as long as
// each brings at least half of what those before it bring; what brings less is
// taken back, and tried again after a rest. It is told the time and asks for
// nothing.
type tuner struct {
	fixed int // lanes, whatever they bring; 0 is to be found
	most  int // lanes that may be at work
	bears int // lanes the host bears; 0 is not known

	from   yield     // what a trial is compared with
	trial  bool      // more lanes than those of from are being tried
	tried  time.Time // when the last lane of the trial had begun
	gained bool      // they brought more when they were last looked at
	until  time.Time // no trial before
	rest   time.Duration

	begun gauge // what the look that is under way began with
}

// A gauge is what a line has done until a moment.
type gauge struct {
	at     time.Time
	lanes  int           // that bytes come over
	coming int           // that wait for their first byte
	delay  time.Duration // that the last of them waited for it
	bytes  int64
	flow   time.Duration // answers were open, all together
	waited time.Duration // of that, for the network
}

// A yield is what a number of lanes brings.
type yield struct {
	lanes int
	rate  float64 // bytes a second
}

// each returns what one lane brings, 0 where that is not known.
func (y yield) each() float64 {
	if y.lanes == 0 {
		return 0
	}
	return y.rate / float64(y.lanes)
}

// look takes what the line has done until now, and decides now and then.
func (t *tuner) look(now gauge) {
	if t.fixed > 0 && !now.at.Before(t.until) {
		t.most = t.bearable(t.fixed)
	}
	t.most = max(t.most, 1)
	if now.lanes != t.begun.lanes {
		t.begun, t.tried = now, now.at
		return
	}
	if now.lanes == 0 || now.coming > 0 || now.at.Sub(t.begun.at) < glance {
		return
	}
	if now.lanes > t.most && now.at.Before(t.until.Add(shortRest)) {
		t.begun = now // those that are too many go when they are through: no trial begins with them
		return
	}
	if now.bytes == t.begun.bytes {
		return // the pause counts when it is over
	}
	flow := now.flow - t.begun.flow
	// Some may be between two answers, which leaves more to the others: that is
	// waited for, unless nothing is known yet, or it is so all the time.
	looked := now.at.Sub(t.begun.at)
	full := float64(flow) >= 0.8*float64(now.lanes)*float64(looked)
	if !full && t.from.lanes > 0 && looked < 6*glance {
		return
	}
	got := yield{now.lanes, float64(now.bytes-t.begun.bytes) / flow.Seconds() * float64(now.lanes)}
	busy := float64(now.waited-t.begun.waited) / float64(flow)
	if t.trial && now.lanes > t.from.lanes && !t.gains(got) {
		t.doubt(now, got)
		return
	}
	if t.trial && t.rest > 0 && !t.gained {
		t.gained, t.begun = true, now // where more lanes gained nothing before, once may be chance
		return
	}
	if t.trial {
		t.rest = 0
	}
	t.trial, t.gained, t.begun = false, false, now
	if got.lanes == t.from.lanes {
		// Some lines pause: the next trial is compared with what is usual.
		got.rate = (got.rate + 2*t.from.rate) / 3
	}
	t.from = got
	if t.fixed > 0 || now.at.Before(t.until) || got.rate > fastLine || busy < 0.5 {
		return
	}
	t.grow(got.lanes)
}

// gains reports whether the lanes that are tried bring half of what those before
// them bring.
func (t *tuner) gains(got yield) bool {
	more := float64(got.lanes)/float64(t.from.lanes) - 1
	return got.rate/t.from.rate-1 >= more/2
}

// doubt looks at a trial again, and ends it when that does not help either. New
// connections take some round trips to become as fast as others.
func (t *tuner) doubt(now gauge, got yield) {
	t.begun, t.gained = now, false
	if now.at.Sub(t.tried) < max(3*glance, 6*now.delay) {
		return
	}
	worth := math.Ceil(got.rate/t.from.rate*float64(t.from.lanes) - 0.25)
	t.most, t.trial = min(max(int(worth), t.from.lanes), got.lanes), false
	t.rest = min(max(2*t.rest, shortRest), longRest)
	t.until = now.at.Add(t.rest)
}

// grow tries more lanes.
func (t *tuner) grow(lanes int) {
	const few = 4 // which hosts bear as a rule
	more := max(1, lanes)
	switch {
	case t.rest > 0:
		more = max(1, lanes/4)
	case lanes < few:
		more = few - lanes
	case lanes == few:
		more = 1
	}
	most := t.bearable(min(lanes+more, mostLanes))
	if most <= lanes {
		return
	}
	t.most, t.trial = most, true
}

// bearable returns lanes, or what the host bears where that is less.
func (t *tuner) bearable(lanes int) int {
	if t.bears == 0 {
		return lanes
	}
	return min(lanes, t.bears)
}

// refused notes that the host bears no more than lanes.
func (t *tuner) refused(lanes int) {
	t.bears = lanes
	t.most, t.trial = min(t.most, t.bears), false
}

// rested notes that there are to be no more than so many lanes for a while.
func (t *tuner) rested(now time.Time, lanes int) {
	t.most, t.trial = max(1, lanes), false
	t.until = now.Add(shortRest)
}
