// Wherry carries container images between registries, layouts and archives
// without a daemon.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/wherry-dev/wherry/internal/cli"
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cancel(cli.InterruptedError{Signal: <-signals})
		os.Exit(cli.InterruptedError{Signal: <-signals}.Code()) // the second signal does not wait
	}()
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Getenv))
}
