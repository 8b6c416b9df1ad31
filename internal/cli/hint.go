package cli

import (
	"errors"

	"github.com/wherry-dev/wherry/content"
)

// hint returns what can be done about err, or nothing. It is the only place
// that turns a class of failure into advice.
func (f *Factory) hint(err error) string {
	var usage *usageError
	switch {
	case errors.As(err, &usage) && usage.command != "":
		return "see: " + usage.command + " --help"
	case errors.Is(err, content.ErrNoSpace):
		return "make room on the disk and run the same command again: it goes on from what is there"
	case errors.Is(err, content.ErrUnauthorized):
		return "log in with: wherry login HOST"
	case errors.Is(err, content.ErrRateLimited):
		return "run the same command again later, or let it wait longer with --max-wait"
	}
	return ""
}
