package transfer

import (
	"math"
	"time"
)

const (
	mostLanes = 32        // of one host, all blobs together
	few       = 4         // which hosts bear as a rule
	fastLine  = 128 << 20 // bytes a second over one line, where more lanes have nothing to win

	fewBytes = 128 << 10 // that say little about a rate

	glance    = 150 * time.Millisecond // how long rates are measured
	shortRest = time.Second            // after lanes that gained nothing, until more are tried again
	longRest  = 30 * time.Second
	longLoan  = 5 * time.Second // without need, until a lane that was lent goes
)

// A tuner finds how many lanes a host is worth. More are tried for as long as
// each brings at least half of what those before it bring; what brings less is
// taken back, but for one, and tried again after a rest. Beside these others stand
// in for lanes that are silent. It is told the time and asks for nothing.
type tuner struct {
	fixed int // lanes, whatever they bring; 0 is to be found
	most  int // lanes that are to bring something
	lent  int // lanes more, which stand in for those that are silent
	bears int // lanes the host bears; 0 is not known

	from   yield     // what a trial is compared with
	held   int       // lanes at that time, without those that stood in
	spare  int       // of held, for the time that others have between two answers
	trial  bool      // more lanes than those of from are being tried
	asks   bool      // the one more asks whether the host bears more than few
	tried  time.Time // when the last lane of the trial had begun
	gained bool      // they brought more when they were last looked at
	until  time.Time // no trial before
	rest   time.Duration
	needed time.Time // when those that were lent were last of use
	turned time.Time // none is lent before

	begun gauge // what the look that is under way began with
}

// A gauge is what a line has done until a moment.
type gauge struct {
	at     time.Time
	lanes  int           // that bytes come over
	silent int           // of these, that nothing has come over for a while
	coming int           // that wait for their first byte
	delay  time.Duration // that the last of them waited for it
	bytes  int64
	flow   time.Duration // answers were open and not silent, all together
	waited time.Duration // of that, for the network
}

// A yield is what a number of lanes brings.
type yield struct {
	lanes   int
	flowing float64 // of these on average, that had an answer and were not silent
	rate    float64 // bytes a second
}

// each returns what one lane brings while it is not silent, 0 where that is not
// known.
func (y yield) each() float64 {
	if y.flowing == 0 {
		return 0
	}
	return y.rate / y.flowing
}

// look takes what the line has done until now, and decides now and then.
func (t *tuner) look(now gauge) {
	if t.fixed > 0 && !now.at.Before(t.until) {
		t.most = t.bearable(t.fixed)
	}
	t.most = max(t.most, 1)
	t.lend(now)
	if t.asks && now.lanes > few && now.coming == 0 {
		t.asks, t.most = false, t.bearable(2*few)
	}
	if now.lanes != t.begun.lanes {
		t.begun, t.tried = now, now.at
		return
	}
	if now.lanes > t.allowed() && now.at.Before(t.until.Add(shortRest)) {
		t.begun = now // those that are too many go when they are through: no trial begins with them
		return
	}
	if got, ok := t.measured(now); ok {
		t.judge(now, got)
	}
}

// measured returns what the lanes brought since the look began, where that can be
// told.
func (t *tuner) measured(now gauge) (got yield, ok bool) {
	looked, flow := now.at.Sub(t.begun.at), now.flow-t.begun.flow
	if now.lanes == 0 || now.coming > 0 || looked < glance {
		return yield{}, false
	}
	if now.bytes == t.begun.bytes || flow <= 0 {
		return yield{}, false // the pause counts when it is over
	}
	if now.bytes-t.begun.bytes < fewBytes && looked < 10*glance {
		return yield{}, false // one record more or less would make another rate
	}
	// Some may be between two answers, which leaves more to the others: that is
	// waited for, unless nothing is known yet, or it is so all the time.
	full := float64(flow) >= 0.8*float64(now.lanes)*float64(looked)
	if !full && t.from.lanes > 0 && looked < 6*glance {
		return yield{}, false
	}
	return yield{now.lanes, float64(flow) / float64(looked), float64(now.bytes-t.begun.bytes) / looked.Seconds()}, true
}

// judge decides after what the lanes brought.
func (t *tuner) judge(now gauge, got yield) {
	if t.trial && got.lanes > t.from.lanes && !t.gains(got) {
		t.doubt(now, got)
		return
	}
	if t.trial && t.rest > 0 && !t.gained {
		t.gained, t.begun = true, now // where more lanes gained nothing before, once may be chance
		return
	}
	if t.trial {
		t.rest, t.spare = 0, 0
	}
	busy := float64(now.waited-t.begun.waited) / float64(now.flow-t.begun.flow)
	t.trial, t.gained, t.begun = false, false, now
	if got.lanes == t.from.lanes {
		// Some lines are not the same all the time: the next trial is compared with what is usual.
		got.rate = (got.rate + 2*t.from.rate) / 3
		got.flowing = (got.flowing + 2*t.from.flowing) / 3
	}
	// Each blob has a lane of its own, which may be more than are allowed together.
	t.from, t.held = got, max(min(t.most, got.lanes), got.lanes-t.lent)
	if t.fixed > 0 || now.at.Before(t.until) || got.rate > fastLine || busy < 0.5 {
		return
	}
	t.grow()
}

// lend lets others stand in for lanes that are silent, and takes back what nobody
// needed for a while. Where all are silent at once it may be the line: then there are
// twice as many at most, of which few wait for their first byte.
func (t *tuner) lend(now gauge) {
	there := now.lanes + now.coming
	needed := now.silent > 0 && there-now.silent <= t.most
	switch {
	case t.fixed > 0 || now.at.Before(t.turned):
		return
	case needed:
		t.needed = now.at
	case t.lent > 0 && now.at.Sub(t.needed) > longLoan:
		t.lent, t.needed = t.lent-1, now.at
	}
	most := max(few, 3*t.most)
	if now.silent == now.lanes {
		most = max(few, t.most)
	}
	if needed && there-now.silent < min(t.most, max(few, now.lanes-now.silent)) && there >= t.allowed() && t.lent < most {
		t.lent++
	}
}

// allowed returns how many lanes there may be, the silent among them.
func (t *tuner) allowed() int { return t.bearable(min(t.most+t.lent, max(mostLanes, t.fixed))) }

// gains reports whether the lanes that are tried bring half of what those before
// them bring. Where so many were silent that no more flowed, they bring as much.
func (t *tuner) gains(got yield) bool {
	more := max(0, got.flowing/t.from.flowing-1)
	return got.rate/t.from.rate-1 >= more/2
}

// doubt looks at a trial again, and ends it when that does not help either. New
// connections take some round trips to become as fast as others.
func (t *tuner) doubt(now gauge, got yield) {
	t.begun, t.gained = now, false
	if now.at.Sub(t.tried) < max(3*glance, 6*now.delay) {
		return
	}
	worth := int(math.Ceil(got.rate/t.from.rate*float64(t.held-t.spare) - 0.25))
	t.spare = 1
	t.most, t.trial = min(max(worth+t.spare, t.held), t.most), false
	t.rest = min(max(2*t.rest, shortRest), longRest)
	t.until = now.at.Add(t.rest)
}

// grow tries more lanes.
func (t *tuner) grow() {
	lanes, more := t.held, max(1, t.held)
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
	t.most, t.trial, t.asks = most, true, lanes == few && t.rest == 0
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
	t.bears, t.lent = lanes, 0
	t.most, t.trial, t.asks = min(t.most, t.bears), false, false
}

// rested notes that there are to be no more than so many lanes for a while.
func (t *tuner) rested(now time.Time, lanes int) {
	t.most, t.trial, t.asks = max(1, lanes), false, false
	t.until = now.Add(shortRest)
}

// turnedAway is rested where a lane was turned away: for as long none stands in
// for another.
func (t *tuner) turnedAway(now time.Time, lanes int) {
	t.rested(now, lanes)
	t.lent, t.turned = 0, t.until
}
