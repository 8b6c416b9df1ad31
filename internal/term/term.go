// Package term knows the terminal: what standard output and standard error
// are, how outside text is made harmless before it is shown, and how a copy
// under way is shown on standard error.
//
// It reads no environment of its own; whoever opens an [Output] hands it down.
package term

import (
	"io"
	"os"

	"golang.org/x/term"
)

// An Output is standard output or standard error, and what is known of it.
type Output struct {
	io.Writer

	TTY     bool // a terminal that can move its cursor
	Color   bool // a terminal whose user wants colour
	Animate bool // a terminal with a size, somebody looks at it: not the log of a CI run
	Width   int  // columns of a terminal; 0 where nobody can tell
}

// Open finds out what w is. getenv looks up NO_COLOR (https://no-color.org),
// TERM and CI; it may be nil.
func Open(w io.Writer, getenv func(string) string) Output {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return Output{Writer: w}
	}
	o := Output{Writer: w, TTY: true}
	if getenv == nil {
		return o
	}
	o.TTY = getenv("TERM") != "dumb"
	o.Color = o.TTY && getenv("NO_COLOR") == ""
	width, _, err := term.GetSize(int(file.Fd()))
	if err == nil && o.TTY {
		o.Width = max(0, width)
	}
	o.Animate = o.Width > 0 && getenv("CI") == ""
	return o
}

// IsTerminal reports whether v, a reader or writer, is a terminal of whatever
// kind: no place for an archive.
func IsTerminal(v any) bool {
	file, ok := v.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
