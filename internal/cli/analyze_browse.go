package cli

import (
	"context"
	"fmt"

	"github.com/wherry-dev/wherry/internal/explore"
	"github.com/wherry-dev/wherry/internal/term"
)

// checkBrowse refuses to browse where that cannot be, before anything is read.
func (o analyzeOptions) checkBrowse(f *Factory) error {
	switch {
	case !o.Browse:
		return nil
	case f.Flags.asked() || o.Compat.given() || f.Flags.Quiet:
		return usagef("--interactive shows the image on the screen, and --json, --format, --compat and --quiet write it: they contradict each other")
	case !f.Out.TTY || !term.IsTerminal(f.In):
		return usagef("--interactive needs a terminal that can move its cursor, for input and output")
	}
	return nil
}

// browse shows r until its user has seen enough.
func (f *Factory) browse(ctx context.Context, r AnalyzeResult) error {
	img := explore.Image{
		Name:   r.Name,
		Facts:  fmt.Sprintf("efficiency %s, %s wasted, %s hidden", percent(r.Efficiency), term.Size(r.WastedBytes), term.Size(r.HiddenBytes)),
		Tree:   r.inside.Tree,
		Wasted: r.inside.Waste.Paths,
	}
	for _, l := range r.Layers {
		img.Layers = append(img.Layers, explore.Layer{Size: l.Size, Command: l.Command})
	}
	on := explore.Terminal{In: f.In, Out: f.Out.Writer}
	for _, name := range []string{"TERM", "COLORTERM", "NO_COLOR", "TMUX", "WT_SESSION"} {
		if value := f.Env(name); value != "" {
			on.Env = append(on.Env, name+"="+value)
		}
	}
	return explore.Run(ctx, img, on)
}
