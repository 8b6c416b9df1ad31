package term

import (
	"encoding/json"
	"math"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Wait shows that requests to host wait until then, because the host asked for
// it: in the mode TTY with a line that counts down and goes away by itself, else
// with one line now.
func (s *Screen) Wait(m Mode, host string, until time.Time) {
	switch m.On(s.out) {
	case TTY:
		s.countDown(host, until)
	case JSON:
		end := until.UTC()
		s.say(event{Event: "wait", Time: time.Now().UTC(), Host: host, Until: &end})
	case None:
	default:
		// A standard error that is gone does not stop a copy.
		_, _ = s.Write([]byte(Safe(host) + " asks to wait: going on in " + left(until) + "\n"))
	}
}

// say writes a line for programs.
func (s *Screen) say(e event) {
	raw, err := json.Marshal(e)
	if err != nil {
		return // strings and numbers are always JSON
	}
	_, _ = s.Write(append(raw, '\n')) // a standard error that is gone does not stop a copy
}

// left is the time until then, in whole seconds.
func left(until time.Time) string {
	return (time.Duration(math.Ceil(max(0, time.Until(until)).Seconds())) * time.Second).String()
}

// A wait is the line about one host that asked for it.
type wait struct {
	until atomic.Pointer[time.Time]
	line  *mpb.Bar // nil where it is not shown
	alarm *time.Timer
}

func (s *Screen) countDown(host string, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waits[host]
	if w != nil {
		w.until.Store(&until)
		w.alarm.Reset(time.Until(until))
		return
	}
	if s.bars == nil {
		s.bars, s.ownBars = s.newBars(), true
	}
	w = &wait{}
	w.until.Store(&until)
	w.alarm = time.AfterFunc(time.Until(until), func() { s.lift(host) })
	if s.waits == nil {
		s.waits = map[string]*wait{}
	}
	s.waits[host] = w
	s.draw(host, w)
}

// newBars returns bars on the screen, none so far.
func (s *Screen) newBars() *mpb.Progress {
	options := []mpb.ContainerOption{mpb.WithOutput(s.out.Writer), mpb.WithAutoRefresh()}
	if !s.out.TTY {
		options = append(options, mpb.WithWidth(lineWidth))
	}
	return mpb.New(options...)
}

// draw adds the line of w to the bars that are shown.
func (s *Screen) draw(host string, w *wait) {
	text := decor.Any(func(decor.Statistics) string {
		return Safe(host) + " asks to wait: going on in " + left(*w.until.Load())
	})
	line, err := s.bars.Add(0, mpb.NopStyle().Build(), mpb.BarPriority(math.MinInt), mpb.PrependDecorators(text))
	if err != nil {
		return // bars that have ended show nothing any more
	}
	w.line = line
}

// lift takes down the line about host, whose time is over.
func (s *Screen) lift(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waits[host]
	if w == nil {
		return
	}
	if more := time.Until(*w.until.Load()); more > 0 { // it was made longer while this alarm went off
		w.alarm.Reset(more)
		return
	}
	delete(s.waits, host)
	w.erase()
	if s.ownBars && len(s.waits) == 0 {
		s.endOwn()
	}
}

func (w *wait) erase() {
	if w.line != nil {
		w.line.Abort(true)
		w.line = nil
	}
}

// endOwn ends bars that had nothing but such lines.
func (s *Screen) endOwn() {
	s.bars.Wait()
	s.bars, s.ownBars = nil, false
}

// show puts bars in the place of those that were shown. Lines about hosts that
// are waited for go there too.
func (s *Screen) show(bars *mpb.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waits {
		w.erase()
	}
	if s.ownBars {
		s.endOwn()
	}
	s.bars = bars
	if bars == nil && len(s.waits) > 0 {
		s.bars, s.ownBars = s.newBars(), true
	}
	for host, w := range s.waits {
		s.draw(host, w)
	}
}

// Clear takes down all lines about hosts that are waited for.
func (s *Screen) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for host, w := range s.waits {
		w.alarm.Stop()
		w.erase()
		delete(s.waits, host)
	}
	if s.ownBars {
		s.endOwn()
	}
}
