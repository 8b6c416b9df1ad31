package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/wherry-dev/wherry/internal/term"
)

// Main runs one command line, args without the program's name, and returns the
// exit code. env gives one environment variable.
func Main(ctx context.Context, args []string, stdio Stdio, env func(string) string) int {
	// net/http writes what a server sends unasked to this logger, as it is: that
	// may repeat a secret. What goes wrong is told by errors.
	log.SetOutput(io.Discard)
	return newFactory(stdio, env).execute(ctx, joined(args, stdio, env)) //nolint:contextcheck // commands get theirs from ExecuteContext
}

// execute runs one command line and returns the exit code.
func (f *Factory) execute(ctx context.Context, args []string) int {
	root := newRoot(f) //nolint:contextcheck // the same
	help := &helpOutput{w: f.Out}
	root.SetOut(help)
	root.SetArgs(args)
	if isCompletion(args) {
		completeFlags(root)
	}
	err := root.ExecuteContext(ctx)
	err = cmp.Or(err, help.err, f.closeStore())
	f.Err.Clear()
	if _, silent := errors.AsType[*silentError](err); err != nil && !silent && !isUnread(err) {
		f.report(ctx, err)
	}
	return codeOf(ctx, err)
}

// report writes err, a line for each failure, and what can be done about it.
func (f *Factory) report(ctx context.Context, err error) {
	if context.Cause(ctx) != nil && errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}
	var b strings.Builder
	for _, e := range flatten(err) {
		fmt.Fprintf(&b, "wherry: %s\n", oneLine(e.Error()))
	}
	if hint := f.hint(err); hint != "" {
		fmt.Fprintf(&b, "hint: %s\n", oneLine(hint))
	}
	// Nobody is left to tell where standard error is gone.
	_, _ = f.Err.Write([]byte(b.String()))
}

// flatten takes joined errors apart; what wraps a join stays one error.
func flatten(err error) []error {
	if partly, ok := err.(*PartlyError); ok { //nolint:errorlint // only the outermost is transparent
		return flatten(partly.Err)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || err.Error() != errors.Join(joined.Unwrap()...).Error() {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

// oneLine makes outside text safe to print on a line.
func oneLine(s string) string {
	return term.Safe(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
}
