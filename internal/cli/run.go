package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/render"
)

// Run makes a command of cmd, which has its flags, and do. A result that comes
// with an error is shown as well: it is what was done before something failed.
func (f *Factory) Run(cmd *cobra.Command, do func(ctx context.Context, args []string) (render.Result, error)) *cobra.Command {
	cmd.DisableFlagsInUseLine = true
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err: err, command: cmd.CommandPath()}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.verb = cmd
		if err := f.Flags.check(); err != nil {
			return err
		}
		// An empty variable in a script shall not make prune empty another store.
		if f.Flags.Store == "" && cmd.Flags().Changed("store") {
			return usagef("--store takes a folder, and got nothing")
		}
		f.noteEnds(args)
		result, err := do(f.tellRetries(cmd.Context()), args)
		p := render.Printer{Out: f.Out, Format: f.Flags.format(), Quiet: f.Flags.Quiet}
		if err != nil && isEmpty(result) {
			return err
		}
		return errors.Join(err, p.Print(result))
	}
	return cmd
}

// isEmpty reports whether there is nothing to show.
func isEmpty(r render.Result) bool {
	return r.Value == nil && r.Listing == nil && r.Raw == nil && r.Tables == nil && r.Lines == nil && r.Quiet == nil
}
