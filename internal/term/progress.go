package term

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"

	"github.com/wherry-dev/wherry/transfer"
)

// A Mode is a way to show progress. It is a flag's value: Set, String and Type
// are what pflag wants.
type Mode string

// The modes. The zero Mode is Auto.
const (
	Auto  Mode = "auto"  // TTY where somebody looks at a terminal, else Plain
	TTY   Mode = "tty"   // bars
	Plain Mode = "plain" // a line at most every ten seconds, and one for each image
	JSON  Mode = "json"  // one event a line
	None  Mode = "none"
)

var modes = []string{string(Auto), string(TTY), string(Plain), string(JSON), string(None)}

// Set takes one of the modes.
func (m *Mode) Set(s string) error {
	if !slices.Contains(modes, s) {
		return errors.New("none of " + strings.Join(modes, ", "))
	}
	*m = Mode(s)
	return nil
}

// String returns the mode as it is given.
func (m *Mode) String() string { return string(*m) }

// Type is how help texts call the value.
func (m *Mode) Type() string { return strings.Join(modes, "|") }

// On returns the mode m comes to on o: Auto no longer.
func (m *Mode) On(o Output) Mode {
	switch {
	case *m != Auto && *m != "":
		return *m
	case o.Animate:
		return TTY
	}
	return Plain
}

// A Progress shows what a run does.
type Progress interface {
	// Observe takes the run's events, one call at a time.
	Observe(e transfer.Event)

	// Close takes down what is still shown. It must be called, also after a
	// run that failed.
	Close()
}

// NewProgress shows a run on s.
func NewProgress(s *Screen, m Mode) Progress {
	switch m.On(s.out) {
	case TTY:
		return newBars(s)
	case JSON:
		return &events{screen: s}
	case None:
		return silent{}
	default:
		return &plain{screen: s}
	}
}

type silent struct{}

func (silent) Observe(transfer.Event) {}
func (silent) Close()                 {}

// paceEvery is how often the speed is measured.
const paceEvery = 500 * time.Millisecond

// paceWeight is what the latest measurement counts for.
const paceWeight = 0.25

// A pace is how far a run has come, and how fast it is.
type pace struct {
	mu     sync.Mutex
	total  int64            // bytes the plan moves
	done   int64            // bytes of finished blobs
	open   map[string]int64 // bytes of each blob under way
	moved  int64            // bytes that have arrived since the last measurement
	speed  float64          // bytes a second
	marked time.Time        // when the speed was measured last
}

// observe notes e.
func (p *pace) observe(e transfer.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := e.Desc.Digest.String()
	switch e.Kind {
	case transfer.RunStarted:
		p.total, p.open, p.marked = e.Bytes, map[string]int64{}, time.Now()
	case transfer.BlobProgress:
		p.moved += max(0, e.Bytes-p.open[key])
		p.open[key] = e.Bytes
	case transfer.BlobDone:
		delete(p.open, key)
		if e.Err == nil {
			p.done += e.Desc.Size
		}
	case transfer.BlobStarted, transfer.ImageDone, transfer.RunDone:
	}
	p.measure()
}

// measure takes the speed, a moving average, when it is time to.
func (p *pace) measure() {
	d := time.Since(p.marked)
	if d < paceEvery {
		return
	}
	now := float64(p.moved) / d.Seconds()
	if p.speed == 0 {
		p.speed = now
	}
	p.speed += paceWeight * (now - p.speed)
	p.moved, p.marked = 0, time.Now()
}

// bytes returns how many bytes are there, and how many there will be.
func (p *pace) bytes() (done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done = p.done
	for _, n := range p.open {
		done += n
	}
	return min(done, p.total), p.total
}

// String returns the speed and the time that is left, as far as they are known.
func (p *pace) String() string {
	done, total := p.bytes()
	p.mu.Lock()
	speed := p.speed
	p.mu.Unlock()
	if speed < 1 {
		return ""
	}
	s := Size(int64(speed)) + "/s"
	if done == total {
		return s
	}
	left := time.Duration(math.Ceil(float64(total-done)/speed)) * time.Second
	return s + ", " + left.String() + " left"
}

// Size returns a number of bytes as docker shows it: 1.5MB.
func Size(n int64) string { return units.HumanSize(float64(n)) }
