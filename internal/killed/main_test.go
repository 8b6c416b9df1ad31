// Package killed kills the program at random moments of its work, as kill -9
// does, and looks at what it leaves behind.
package killed

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is cmd/wherry, built without the race detector.
var program string

func TestMain(m *testing.M) { os.Exit(built(m)) }

// built builds the program and runs the tests.
func built(m *testing.M) int {
	folder, err := os.MkdirTemp("", "wherry-killed-")
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
	build := exec.Command("go", "build", "-trimpath", "-o", program, "../../cmd/wherry") //nolint:noctx // the tests' time ends it
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// wherry returns a process of the program that has a home of its own.
func wherry(t *testing.T, home string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "USERPROFILE=" + home, "TMPDIR=" + os.TempDir()}
	for _, name := range []string{"SYSTEMROOT", "TEMP", "TMP"} {
		cmd.Env = append(cmd.Env, name+"="+os.Getenv(name))
	}
	return cmd
}

// finish runs the program to its end, which is a good one, and returns how long
// that took.
func finish(t *testing.T, home string, args ...string) time.Duration {
	t.Helper()
	cmd := wherry(t, home, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("wherry %s: %v\n%s", strings.Join(args, " "), err, &said)
	}
	return time.Since(start)
}

// killWhen runs the program and kills it when the channel that began returns is
// told to. It reports whether the program was still at work.
func killWhen[T any](t *testing.T, cmd *exec.Cmd, began func() <-chan T) (killed bool) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	when := began()
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("it ended by itself: %v", err)
		}
		return false
	case <-when:
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return <-ended != nil
}
