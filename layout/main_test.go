package layout

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

// asChild is the variable that makes the test binary be a process of a test.
const asChild = "WHERRY_LAYOUT_TEST_CHILD"

// children are what a child process can be.
var children = map[string]func(args []string) error{
	"rounds": roundsChild,
	"put":    putChild,
	"dir":    dirChild,
	"pulls":  pullsChild,
}

func TestMain(m *testing.M) {
	if run, ok := children[os.Getenv(asChild)]; ok {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child returns a process that does what children has under name.
func child(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	// With the race detector in it a process else sleeps for a second at its end.
	cmd.Env = append(os.Environ(), asChild+"="+name, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}
