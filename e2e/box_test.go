package e2e

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A box is one test's own machine: a home, a working folder, and clients that see nothing of the user's.
type box struct {
	t    *testing.T
	Home string // holds every XDG folder
	Dir  string // where clients run; relative paths are in it
	env  []string
}

// A call is one run of a client.
type call struct {
	Tool  string
	Args  []string
	Stdin io.Reader
	Env   []string // beside the box's
}

// A result is what a call left.
type result struct {
	Stdout, Stderr string
	Code           int
	RSS            int64 // peak resident set in bytes; 0 where the system does not tell
	Took           time.Duration
}

func newBox(t *testing.T) *box {
	t.Helper()
	root := shortFolder(t)
	b := &box{t: t, Home: filepath.Join(root, "home"), Dir: filepath.Join(root, "work")}
	for _, dir := range []string{b.Home, b.Dir, filepath.Join(root, "tmp"), filepath.Join(root, "run")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.env = []string{
		"HOME=" + b.Home,
		"WHERRY_OWN_ONLY=1", // what this machine knows about registries is nobody's here
		"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin",
		"TMPDIR=" + filepath.Join(root, "tmp"),
		"XDG_CONFIG_HOME=" + filepath.Join(b.Home, ".config"),
		"XDG_CACHE_HOME=" + filepath.Join(b.Home, ".cache"),
		"XDG_DATA_HOME=" + filepath.Join(b.Home, ".local/share"),
		"XDG_STATE_HOME=" + filepath.Join(b.Home, ".local/state"),
		"XDG_RUNTIME_DIR=" + filepath.Join(root, "run"),
		"LC_ALL=C.UTF-8",
	}
	// podman and skopeo trust what they are told to read; the signatures policy is not under test.
	b.write(filepath.Join(b.Home, ".config/containers/policy.json"), `{"default":[{"type":"insecureAcceptAnything"}]}`)
	return b
}

// shortFolder is a test's folder whose path stays short, for sockets (under 108 bytes) and podman (under 50).
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "w") //nolint:usetesting // t.TempDir has the test's name in its path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the test's folder: %v", err)
		}
	})
	return dir
}

// in is the same box for a subtest, whose failures are then its own.
func (b *box) in(t *testing.T) *box {
	t.Helper()
	same := *b
	same.t = t
	return &same
}

// path returns the absolute path of a file in the box's working folder.
func (b *box) path(name string) string { return filepath.Join(b.Dir, name) }

func (b *box) write(path, text string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// run runs a client to its end and returns what it left, whatever its exit code.
func (b *box) run(c call) result {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), tool(b.t, c.Tool), c.Args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = b.Dir, c.Stdin, &stdout, &stderr
	cmd.Env = append(append([]string{}, b.env...), c.Env...)
	start := time.Now()
	err := cmd.Run()
	r := result{Stdout: stdout.String(), Stderr: stderr.String(), Took: time.Since(start)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		b.t.Fatalf("%s: %v", c.Tool, err)
	}
	r.RSS = peakRSS(cmd.ProcessState)
	return r
}

// must runs a client, wants exit code 0, and returns its standard output without the last newline.
func (b *box) must(c call) string {
	b.t.Helper()
	r := b.run(c)
	if r.Code != 0 {
		b.t.Fatalf("%s %s: exit code %d\nstdout: %s\nstderr: %s", c.Tool, strings.Join(c.Args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// wherry runs the binary under test and wants exit code 0.
func (b *box) wherry(args ...string) string {
	b.t.Helper()
	return b.must(call{Tool: "wherry", Args: args})
}

// wherryFails runs the binary under test, wants that exit code, and returns its standard error.
func (b *box) wherryFails(code int, args ...string) string {
	b.t.Helper()
	r := b.run(call{Tool: "wherry", Args: args})
	if r.Code != code {
		b.t.Fatalf("wherry %s: exit code %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), r.Code, code, r.Stdout, r.Stderr)
	}
	return r.Stderr
}

func (b *box) crane(args ...string) string {
	b.t.Helper()
	return b.must(call{Tool: "crane", Args: args})
}

// skopeo runs one of its commands with TLS left out, as our registries on loopback have none.
func (b *box) skopeo(command string, args ...string) string {
	b.t.Helper()
	all := []string{"--insecure-policy", command}
	switch command {
	case "copy", "sync":
		all = append(all, "--src-tls-verify=false", "--dest-tls-verify=false")
	case "inspect", "list-tags", "delete", "login", "logout":
		all = append(all, "--tls-verify=false")
	}
	return b.must(call{Tool: "skopeo", Args: append(all, args...)})
}

// podman runs with a store of its own in the box.
func (b *box) podman(args ...string) string {
	b.t.Helper()
	return b.must(b.podmanCall(b.podmanDriver(), args...))
}

func (b *box) podmanCall(driver string, args ...string) call {
	own := []string{
		"--root", filepath.Join(b.Home, "podman"), "--runroot", filepath.Join(b.Home, "run"),
		"--tmpdir", filepath.Join(b.Home, "podman-tmp"), "--storage-driver", driver, "--cgroup-manager", "cgroupfs", "--events-backend", "none",
	}
	return call{Tool: "podman", Args: append(own, args...)}
}

// podmanDriver is overlay where the machine allows it, else vfs, which copies every layer and takes many times as long.
func (b *box) podmanDriver() string {
	b.t.Helper()
	driver.Do(func() {
		driver.name = "vfs"
		if b.run(b.podmanCall("overlay", "info")).Code == 0 {
			driver.name = "overlay"
		}
	})
	return driver.name
}

var driver struct {
	sync.Once
	name string
}

func (b *box) umoci(args ...string) string {
	b.t.Helper()
	return b.must(call{Tool: "umoci", Args: args})
}

// eachFile reads every regular file of the box that is small enough to be text.
func (b *box) eachFile(do func(path, text string)) {
	b.t.Helper()
	err := filepath.WalkDir(filepath.Dir(b.Home), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if info, err := entry.Info(); err != nil || info.Size() > 1<<20 {
			return err
		}
		text, err := os.ReadFile(path)
		do(path, string(text))
		return err
	})
	if err != nil {
		b.t.Error(err)
	}
}
