// Package badinput gives wherry everything that is broken, hostile or odd, through its real command line. The tables
// are by what is bad: references, manifests, layers, archives, layouts. Each case has its exit code and what it says,
// and after each the destination is as it was, memory stayed under 128 MiB, and it took under 10 seconds.
package badinput

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// program is the wherry under test, and stopwatch measures it. Neither has the race detector in it, which would be
// measured too.
var program, stopwatch string

func TestMain(m *testing.M) { os.Exit(built(m)) }

// built builds both programs and runs the tests.
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
	program, stopwatch = filepath.Join(folder, "wherry.exe"), filepath.Join(folder, "stopwatch.exe")
	for file, pkg := range map[string]string{program: "../../cmd/wherry", stopwatch: "./testdata/stopwatch"} {
		build := exec.Command("go", "build", "-trimpath", "-o", file, pkg) //nolint:noctx // the tests' time ends it
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", pkg, err, out)
			return 1
		}
	}
	return m.Run()
}

// A sample is what a process was and cost.
type sample struct {
	Code int
	RSS  int64 // peak resident set in bytes; 0 where the system does not tell
	Took time.Duration
}

// readSample reads what stopwatch wrote.
func readSample(tb testing.TB, file string) sample {
	tb.Helper()
	raw, err := os.ReadFile(file)
	must(tb, err)
	var s sample
	_, err = fmt.Sscan(string(raw), &s.Code, &s.RSS, (*int64)(&s.Took))
	must(tb, err)
	return s
}
