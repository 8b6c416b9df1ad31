package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A toolLog counts the tests that were skipped, by what they lacked.
type toolLog struct {
	mu    sync.Mutex
	tests map[string]int
}

var missing toolLog

// skip ends the test for want of something: a failure in CI, where everything is installed.
func (l *toolLog) skip(t *testing.T, lacks string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing, and CI has to try everything", lacks)
	}
	l.mu.Lock()
	if l.tests == nil {
		l.tests = map[string]int{}
	}
	l.tests[lacks]++
	l.mu.Unlock()
	t.Skipf("%s is missing", lacks)
}

// summary is the one line at the end of a run.
func (l *toolLog) summary() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var parts []string
	total := 0
	for _, name := range slices.Sorted(maps.Keys(l.tests)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, l.tests[name]))
		total += l.tests[name]
	}
	if total == 0 {
		return "e2e: no test was skipped"
	}
	return fmt.Sprintf("e2e: %d tests were skipped for want of: %s", total, strings.Join(parts, ", "))
}

// tool returns the path of a program, or skips the test. Pinned programs come from the folder .ci/tools fills, wherry
// is built or named by WHERRY_BIN, all others are looked up in PATH and the sbin folders.
func tool(t *testing.T, name string) string {
	t.Helper()
	if name == "wherry" {
		return wherryBinary(t)
	}
	if version, ok := pins(t)[name]; ok {
		if p := filepath.Join(toolFolder(), name+"-"+version); isProgram(p) {
			return p
		}
		missing.skip(t, name+" "+version+" (.ci/tools "+name+")")
	}
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if p := filepath.Join(dir, name); isProgram(p) {
			return p
		}
	}
	missing.skip(t, name)
	return ""
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

func toolFolder() string {
	if dir := os.Getenv("WHERRY_TOOLS"); dir != "" {
		return dir
	}
	return filepath.Join(cacheFolder(), "wherry-tools")
}

// cacheFolder is where .ci/tools and bench/make-real.sh put what takes long to make.
func cacheFolder() string {
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return dir
	}
	return filepath.Join(os.Getenv("HOME"), ".cache")
}

// pins reads .ci/versions: the version of each program by its name.
func pins(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../.ci/versions")
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if key, version, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			name := strings.ReplaceAll(strings.TrimSuffix(key, "_version"), "_", "-")
			versions[name] = version
		}
	}
	return versions
}

// built is the folder of the binary that was built here, empty where WHERRY_BIN names one.
var built string

var buildOnce = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("WHERRY_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "wherry-e2e-")
	if err != nil {
		return "", err
	}
	built = dir
	bin := filepath.Join(dir, "wherry")
	build := exec.Command("go", "build", "-o", bin, "./cmd/wherry")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

func wherryBinary(t *testing.T) string {
	t.Helper()
	bin, err := buildOnce()
	if err != nil {
		t.Fatalf("build wherry: %v", err)
	}
	return bin
}

func removeBuild() {
	if built != "" {
		_ = os.RemoveAll(built)
	}
}

// realImage returns the path of an archive that bench/make-real.sh made: app-v1.tar, app-v2.tar, app-v1-arm64.tar or
// big.tar. The first call on a machine makes them, which takes minutes.
func realImage(t *testing.T, file string) string {
	t.Helper()
	dir := filepath.Join(cacheFolder(), "wherry-images")
	path := filepath.Join(dir, file)
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return path
	}
	if os.Getuid() != 0 {
		missing.skip(t, "root (bench/make-real.sh)")
	}
	for _, name := range []string{"debootstrap", "dpkg", "apt-get", "flock"} {
		tool(t, name)
	}
	if out, err := makeReal(tool(t, "crane"), dir); err != nil {
		t.Fatalf("bench/make-real.sh: %v\n%s", err, out)
	}
	return path
}

// makeReal runs bench/make-real.sh, which waits where another run is at it.
func makeReal(crane, dir string) ([]byte, error) {
	path, err := os.MkdirTemp("", "wherry-e2e-path-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(path) }()
	if err := os.Symlink(crane, filepath.Join(path, "crane")); err != nil {
		return nil, err
	}
	script := exec.Command("../bench/make-real.sh", dir) //nolint:noctx // what it makes is for all tests, not for the first
	script.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
	return script.CombinedOutput()
}

// sample returns the path of a small archive of testdata/images.
func sample(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../testdata/images", file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}
