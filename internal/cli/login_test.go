package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/wherry-dev/wherry/internal/testregistry"
)

func TestLoginsAndLogoutsAtOnceLoseNothing(t *testing.T) {
	const many = 20
	path := filepath.Join(t.TempDir(), "new", "auth.json")
	hosts := make([]string, many)
	for i := range hosts {
		config, err := testregistry.ParseConfig("basic=ann:s3cret")
		if err != nil {
			t.Fatal(err)
		}
		hosts[i] = testregistry.Start(t, config).Host()
	}
	login := func(host string) []string { return []string{"login", host, "-u", "ann", "--password-stdin"} }
	logout := func(host string) []string { return []string{"logout", host} }

	atOnce(t, path, login, hosts)
	entries := entriesIn(t, path)
	for _, host := range hosts {
		if _, ok := entries[host]; !ok {
			t.Errorf("the credential for %s is lost", host)
		}
	}
	if fi, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", fi.Mode(), err)
	}

	atOnce(t, path, logout, hosts[1:])
	if left := entriesIn(t, path); len(left) != 1 || left[hosts[0]] == nil {
		t.Errorf("%d credentials are left, want that for %s alone", len(left), hosts[0])
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("there are %v, %v: locks or temporary files stay behind", files, err)
	}
}

// atOnce runs a command line for each host, all at the same time, with path as
// the file of credentials.
func atOnce(t *testing.T, path string, line func(host string) []string, hosts []string) {
	t.Helper()
	env := testEnv(t, map[string]string{"REGISTRY_AUTH_FILE": path})
	var all sync.WaitGroup
	for _, host := range hosts {
		all.Go(func() {
			var out, errs bytes.Buffer
			if code := Main(t.Context(), line(host), Stdio{In: strings.NewReader("s3cret\n"), Out: &out, Err: &errs}, env); code != 0 {
				t.Errorf("%v: exit code %d, %s", line(host), code, errs.String())
			}
		})
	}
	all.Wait()
}

func entriesIn(t *testing.T, path string) map[string]json.RawMessage {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Auths map[string]json.RawMessage }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return file.Auths
}

func TestOneOfSeveralSpellingsOfAHostCountsAlways(t *testing.T) {
	home := t.TempDir()
	write(t, home, map[string]string{".docker/config.json": `{"auths": {
		"https://q.io": {"username": "https"}, "http://q.io/v1/": {"username": "v1"}, "http://q.io": {"username": "http"}}}`})
	for range 20 {
		if got := lookUp(t, testFactory(t, map[string]string{"HOME": home}), "q.io"); got.Username != "http" {
			t.Fatalf("got %q, want the same each time", got.Username)
		}
	}
}
