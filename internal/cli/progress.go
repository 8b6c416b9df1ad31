package cli

import (
	"cmp"
	"time"

	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/transfer"
)

// progressMode returns how progress is shown: as the flag says, else not at all
// with --quiet, else as the configuration says. It is never term.Auto.
func (f *Factory) progressMode() (term.Mode, error) {
	mode := f.Flags.Progress
	if mode == "" && f.Flags.Quiet {
		return term.None, nil
	}
	if mode == "" {
		config, err := f.Config()
		if err != nil {
			return "", err
		}
		if err := mode.Set(cmp.Or(config.Progress, string(term.Auto))); err != nil {
			return "", usagef("%s: progress: %w", config.path, err)
		}
	}
	return mode.On(f.Err.Output()), nil
}

// waiting shows that a host asked to wait, as progress is shown.
func (f *Factory) waiting(host string, until time.Time) {
	mode, err := f.progressMode()
	if err != nil {
		return // the configuration is wrong, which is an error of its own
	}
	f.Err.Wait(mode, host, until)
}

// jobs returns how many blobs are in flight: as the flag says, else as the
// configuration does; 0 leaves it to the engine.
func (f *Factory) jobs(flag int) (int, error) {
	if flag < 0 || flag == 0 && f.verb != nil && f.verb.Flags().Changed("jobs") {
		return 0, usagef("--jobs %d is less than one", flag)
	}
	if flag > 0 {
		return flag, nil
	}
	config, err := f.Config()
	if err != nil || config.Jobs == nil {
		return 0, err
	}
	return *config.Jobs, nil
}

// observer returns what a copier tells p. Where only one image goes to one
// place its summary says all there is to say at its end, except to programs.
func observer(p term.Progress, mode term.Mode, plan *transfer.Plan) func(transfer.Event) {
	if _, copies := plan.Forecast().Failed(); copies > 1 || mode == term.JSON {
		return p.Observe
	}
	return withoutImages(p.Observe)
}

// withoutImages passes on to observe what is not about an image as a whole.
func withoutImages(observe func(transfer.Event)) func(transfer.Event) {
	return func(e transfer.Event) {
		if e.Kind != transfer.ImageDone {
			observe(e)
		}
	}
}
