package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A sample is one run of one tool.
type sample struct {
	Wall     float64 `json:"wall_s"`
	CPU      float64 `json:"cpu_s"` // user and system
	RSS      int64   `json:"rss"`   // peak resident set in bytes; 0 where the system does not tell
	Requests int     `json:"requests"`
	Conns    int     `json:"connections,omitempty"` // opened over the link, where there is one
	AtOnce   int     `json:"at_once,omitempty"`     // of them, at most
	Exit     int     `json:"exit,omitempty"`
}

const (
	measureWord = "measure" // the first argument that makes this program a stopwatch
	noSync      = "-"       // instead of a folder: nothing is synced
	runTime     = 10 * time.Minute
)

// clock runs a tool in a new home within dir. Where the tool fails there is a sample beside the error, if its exit status
// is known. A process of this program stands between: on Linux a child's peak memory
// starts at what its parent had when it forked, and the stopwatch has little.
func clock(ctx context.Context, t tool, args []string, syncFolder, dir string) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return sample{}, err
	}
	home := filepath.Join(dir, "home")
	for _, d := range []string{home, filepath.Join(dir, "tmp"), filepath.Join(dir, "run"), filepath.Join(dir, "work")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return sample{}, err
		}
	}
	cmd := exec.CommandContext(ctx, self, append([]string{measureWord, syncFolder, t.path}, args...)...)
	cmd.Dir = filepath.Join(dir, "work")
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=" + home, "TMPDIR=" + filepath.Join(dir, "tmp"),
		"XDG_CONFIG_HOME=" + filepath.Join(home, ".config"), "XDG_CACHE_HOME=" + filepath.Join(home, ".cache"),
		"XDG_DATA_HOME=" + filepath.Join(home, ".local/share"), "XDG_STATE_HOME=" + filepath.Join(home, ".local/state"),
		"XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"),
	}, t.env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return sample{}, fmt.Errorf("%s %s: %w\n%s", t.name, strings.Join(args, " "), err, lastLines(stderr.String(), 6))
	}
	var s sample
	if err := json.Unmarshal(stdout.Bytes(), &s); err != nil {
		return sample{}, fmt.Errorf("stopwatch: %w", err)
	}
	if s.Exit != 0 {
		return s, fmt.Errorf("%s %s: exit status %d\n%s", t.name, strings.Join(args, " "), s.Exit, lastLines(stderr.String(), 6))
	}
	return s, nil
}

// measured runs a command, prints a sample of it as JSON, and returns its exit code. What the command prints goes to
// standard error. The time of flushing folder to disk is part of the sample.
func measured(folder string, command []string) int {
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // it ends with this process: see orphanless
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = orphanless()
	start := time.Now()
	err := cmd.Run()
	exit := new(exec.ExitError)
	if errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	if err == nil && folder != noSync {
		err = flush(folder)
	}
	wall := time.Since(start)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	state := cmd.ProcessState
	out, err := json.Marshal(sample{
		Wall: wall.Seconds(), CPU: (state.UserTime() + state.SystemTime()).Seconds(), RSS: peakRSS(state), Exit: state.ExitCode(),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(string(out))
	return 0
}

// flush writes the file system that folder is on to its disk.
func flush(folder string) error {
	out, err := exec.Command("sync", "-f", folder).CombinedOutput() //nolint:noctx // the kernel does not stop halfway
	if err != nil {
		return fmt.Errorf("sync -f %s: %w: %s", folder, err, out)
	}
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
