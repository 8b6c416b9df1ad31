// Wherry carries container images between registries, layouts and archives
// without a daemon.
package main

import (
	"context"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/wherry-dev/wherry/internal/cli"
)

// grace is for how long what is under way may clean up after a signal. Opening a
// pipe to which nobody writes, for one, cannot be given up.
const grace = 10 * time.Second

func main() {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // where GOMEMLIMIT says nothing
		debug.SetMemoryLimit(96 << 20) // whatever is read, garbage is collected early enough to stay below 128 MiB
	}
	if os.Getenv("GOGC") == "" {
		// What a verb leaves behind is mostly gone with the process. A copy has so little of it that its peak stays.
		debug.SetGCPercent(400)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a write that nobody reads is an error, not the end
	go func() {
		interrupted := cli.InterruptedError{Signal: <-signals}
		cancel(interrupted)
		select {
		case again := <-signals: // the second signal does not wait
			interrupted.Signal = again
		case <-time.After(grace):
		}
		os.Exit(interrupted.Code())
	}()
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Getenv))
}
