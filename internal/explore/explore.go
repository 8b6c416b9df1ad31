// Package explore shows the layers and files of an image on a full screen, for
// somebody at a terminal to go through: the layers on the left, on the right what
// the one that is chosen adds, changes and removes, or the files of all of them.
package explore

import (
	"context"
	"errors"
	"io"

	tea "charm.land/bubbletea/v2"

	"github.com/wherry-dev/wherry/image"
)

// An Image is what is shown. Its texts are made harmless here.
type Image struct {
	Name   string
	Facts  string // a line about all of it
	Layers []Layer
	Tree   *image.Tree
	Wasted []image.WastedPath
}

// A Layer is one layer of an image.
type Layer struct {
	Size    int64 // bytes of its files
	Command string
}

// A Terminal is where an image is shown.
type Terminal struct {
	In  io.Reader
	Out io.Writer
	Env []string // what TERM, COLORTERM and NO_COLOR are, as in an environment
}

// Run shows img until its user has seen enough, or ctx ends, whose cause is the
// error then.
func Run(ctx context.Context, img Image, on Terminal) error {
	p := tea.NewProgram(New(img), tea.WithContext(ctx), tea.WithInput(on.In), tea.WithOutput(on.Out), tea.WithEnvironment(on.Env), tea.WithoutSignalHandler())
	_, err := p.Run()
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, tea.ErrProgramKilled) {
		return cause
	}
	return err
}
