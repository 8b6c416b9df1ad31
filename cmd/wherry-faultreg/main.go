// Wherry-faultreg serves an image on loopback while something goes wrong, one of
// the faults of docs/reliability.md, until it is interrupted. It tells then what it
// was asked for.
//
//	wherry-faultreg -fault rst-half -blob middle -times 3
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/wherry-dev/wherry/internal/faults"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := faults.Command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
