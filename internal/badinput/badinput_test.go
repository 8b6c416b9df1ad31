// Package badinput gives wherry everything that is broken, hostile or odd, through its real command line. The tables
// are by what is bad: references, manifests, layers, archives, layouts. Each case has its exit code and what it says,
// and after each the destination is as it was, memory stayed under 128 MiB, and it took under 10 seconds.
package badinput

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// measureWord as first argument makes this program a stopwatch for a command.
const measureWord = "measure"

// program is the wherry under test. It is built without the race detector, which would be measured too.
var program string

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == measureWord {
		os.Exit(measure(os.Args[2], os.Args[3:]))
	}
	os.Exit(built(m))
}

// built builds wherry and runs the tests.
func built(m *testing.M) int {
	folder, err := os.MkdirTemp("", "wherry-badinput-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := os.RemoveAll(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	program = filepath.Join(folder, "wherry.exe")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/wherry-dev/wherry/cmd/wherry") //nolint:noctx // the tests' time ends it
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build wherry: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A sample is what a process was and cost.
type sample struct {
	Code int
	RSS  int64 // peak resident set in bytes; 0 where the system does not tell
	Took time.Duration
}

// measure runs a command and writes a sample of it to file. This process stands between wherry and the tests because
// on Linux a child's peak memory starts at what its parent had, and the tests have a lot.
func measure(file string, command []string) int {
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // the tests' time ends it
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	start := time.Now()
	err := cmd.Run()
	s := sample{Took: time.Since(start)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Code, s.RSS = cmd.ProcessState.ExitCode(), peakRSS(cmd.ProcessState)
	raw, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
