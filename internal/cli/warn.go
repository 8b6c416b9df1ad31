package cli

import (
	"fmt"
	"io"
)

// Warn writes a warning to standard error: one line, and safe to look at.
func (f *Factory) Warn(format string, args ...any) {
	// Nobody is left to warn where standard error is gone.
	_, _ = io.WriteString(f.Err, "wherry: warning: "+oneLine(fmt.Sprintf(format, args...))+"\n")
}
