package term

import (
	"errors"
	"slices"
	"strings"

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

// Size returns a number of bytes for people, in as many digits as docker's client shows
// while it works: 1.234MB.
func Size(n int64) string { return units.HumanSize(float64(n)) }
