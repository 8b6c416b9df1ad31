package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// Warn writes a warning to standard error: one line, and safe to look at.
func (f *Factory) Warn(format string, args ...any) {
	// Nobody is left to warn where standard error is gone.
	_, _ = io.WriteString(f.Err, "wherry: warning: "+oneLine(fmt.Sprintf(format, args...))+"\n")
}

// Note writes to standard error what the user should know and need not mind,
// unless --quiet is given.
func (f *Factory) Note(format string, args ...any) {
	if !f.Flags.Quiet {
		_, _ = io.WriteString(f.Err, "wherry: "+oneLine(fmt.Sprintf(format, args...))+"\n")
	}
}

// warnings is the log where neither --verbose nor --debug is given: it passes on
// what the user must know, each once.
type warnings struct {
	f    *Factory
	said sync.Map
}

// Enabled implements [slog.Handler].
func (w *warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements [slog.Handler].
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(", %s %v", a.Key, a.Value)
		return true
	})
	if _, again := w.said.LoadOrStore(line, true); !again {
		w.f.Warn("%s", line)
	}
	return nil
}

// WithAttrs implements [slog.Handler]: what is said of all lines is left out.
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements [slog.Handler].
func (w *warnings) WithGroup(string) slog.Handler { return w }
