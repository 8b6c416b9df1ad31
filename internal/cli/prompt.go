package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// An echo says whether what is typed is shown.
type echo uint8

const (
	aloud echo = iota
	hidden
)

// prompt asks a question at the terminal and returns the answer. Where ctx ends
// meanwhile, the terminal is put back in order.
func (f *Factory) prompt(ctx context.Context, question string, e echo) (string, error) {
	in, ok := f.In.(*os.File)
	if !ok {
		return "", errors.New("standard input is no terminal")
	}
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(f.Err, question); err != nil {
		return "", err
	}
	type answer struct {
		text string
		err  error
	}
	// A read from a terminal cannot be cut short: it is left behind when ctx ends,
	// and the process with it.
	answers := make(chan answer, 1)
	go func() {
		if e == hidden {
			raw, err := term.ReadPassword(fd)
			answers <- answer{string(raw), err}
			return
		}
		text, err := f.readLine()
		answers <- answer{strings.TrimSpace(text), err}
	}()
	select {
	case a := <-answers:
		if e == hidden {
			_, _ = io.WriteString(f.Err, "\n") // the one that was typed is not shown
		}
		return a.text, a.err
	case <-ctx.Done():
		_, _ = io.WriteString(f.Err, "\n")
		return "", errors.Join(context.Cause(ctx), term.Restore(fd, before))
	}
}
