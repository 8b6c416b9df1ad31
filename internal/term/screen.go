package term

import (
	"sync"

	"github.com/vbauerster/mpb/v8"
)

// A Screen is standard error, shared by log lines and progress: what is written
// to it while bars are shown stands above them, whole. It may be used by several
// goroutines.
type Screen struct {
	out Output

	mu      sync.Mutex
	bars    *mpb.Progress // nil where none are shown
	ownBars bool          // they have nothing but lines about hosts that are waited for
	waits   map[string]*wait
}

// NewScreen returns the Screen of o, which is standard error.
func NewScreen(o Output) *Screen { return &Screen{out: o} }

// Output returns what the screen is shown on.
func (s *Screen) Output() Output { return s.out }

// Write shows p, whole lines.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bars != nil {
		// Bars that have ended take nothing: then the line goes out as ever.
		if n, err := s.bars.Write(p); err == nil {
			return n, nil
		}
	}
	return s.out.Write(p)
}
