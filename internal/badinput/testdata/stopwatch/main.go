// Stopwatch runs a command and writes its exit code, peak memory in bytes and time in nanoseconds to a file. It stands
// between wherry and the tests because on Linux a child's peak memory starts at what its parent had, and tests have a
// lot. It is small and starts in no time.
//
//	stopwatch FILE COMMAND [ARGUMENT…]
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "stopwatch:", err)
		os.Exit(1)
	}
}

func run(file string, command []string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	sample := fmt.Sprintf("%d %d %d\n", cmd.ProcessState.ExitCode(), peakRSS(cmd.ProcessState), took)
	return os.WriteFile(file, []byte(sample), 0o600)
}
