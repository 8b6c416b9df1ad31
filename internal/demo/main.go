// Demo shows what wherry does, on a machine without a registry: it starts two
// in its own process, on loopback, puts a real image into one of them, and runs
// the real binary, bin/wherry, against them.
//
//	make demo
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	binary, err := filepath.Abs(filepath.Join("bin", "wherry"))
	if err != nil {
		return err
	}
	images, err := filepath.Abs(filepath.Join("testdata", "images"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(binary); err != nil {
		return fmt.Errorf("run it with make demo, which builds the binary first: %w", err)
	}
	dir, err := os.MkdirTemp("", "wherry-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	s := &stage{binary: binary, images: images, dir: dir, watched: term.IsTerminal(int(os.Stderr.Fd()))}
	defer s.close()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	return s.play(ctx)
}

// play runs the commands of the demo.
func (s *stage) play(ctx context.Context) error {
	from, to := s.origin.Host(), s.mirror.Host()
	scenes := []struct {
		say  string
		args string
	}{
		{"Copy an image for two platforms from one registry to the other, byte for byte.", "copy " + from + "/library/alpine:3.20 " + to + "/mirror/alpine:3.20"},
		{"Again: all is there, so nothing moves.", "copy " + from + "/library/alpine:3.20 " + to + "/mirror/alpine:3.20"},
		{"Look at it without pulling it.", "inspect " + to + "/mirror/alpine:3.20"},
		{"What tags are there, and what are they?", "tags -l " + from + "/library/alpine"},
		{"What is in it, from which layer?", "files -l --platform linux/amd64 " + to + "/mirror/alpine:3.20 etc/apk"},
		{"One file of it.", "cat --platform linux/amd64 " + to + "/mirror/alpine:3.20 etc/alpine-release"},
		{"How do the two images differ?", "diff --only settings,packages " + from + "/library/alpine:3.20-amd64 " + from + "/library/alpine:3.20-arm64"},
		{"What takes the space?", "analyze --platform linux/amd64 " + to + "/mirror/alpine:3.20"},
		{"Save it to a file that docker load, podman load and OCI tools read.", "save --platform all -o alpine.tar " + to + "/mirror/alpine:3.20"},
		{"Load the file into a registry; no daemon takes part.", "load -i alpine.tar --to " + from + "/loaded"},
		{"One platform only, into an OCI layout on disk.", "copy --platform linux/amd64 alpine.tar oci:layout:alpine"},
		{"The digest is the same wherever the image went.", "digest " + from + "/loaded/alpine:3.20"},
	}
	for _, scene := range scenes {
		fmt.Printf("\n# %s\n$ wherry %s\n", scene.say, scene.args)
		if err := s.wherry(ctx, strings.Fields(scene.args)...); err != nil {
			return err
		}
	}
	fmt.Println("\nThat was all: no daemon, no root, and nothing stays behind.")
	s.stay(ctx)
	return nil
}

// stay keeps the registries for who sits before a terminal and wants to try more.
func (s *stage) stay(ctx context.Context) {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return
	}
	fmt.Printf("\nThe registries stay until Ctrl-C, for commands in another window:\n  %s inspect %s/library/alpine:3.20\n", s.binary, s.origin.Host())
	<-ctx.Done()
}

// wherry runs the binary where the audience sees it.
func (s *stage) wherry(ctx context.Context, args ...string) error {
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("wherry %s: %w", args[0], err)
	}
	return nil
}

// command returns a run of the binary in the demo's folder, with a home of its
// own: it neither reads nor writes the user's settings.
func (s *stage) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.binary, args...) //nolint:gosec // our own binary
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Dir = s.dir
	cmd.Env = []string{"HOME=" + s.dir, "USERPROFILE=" + s.dir, "TMPDIR=" + s.dir, "WHERRY_OWN_ONLY=1"}
	for _, name := range []string{"PATH", "TERM", "COLORTERM", "NO_COLOR", "CI", "SystemRoot"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}
