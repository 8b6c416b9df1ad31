package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/registry"
)

// helpers puts credential helpers, which are shell scripts by name, into PATH, and
// returns the folder they run with as DIR.
func helpers(t *testing.T, scripts map[string]string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the helpers are shell scripts")
	}
	dir := t.TempDir()
	for name, script := range scripts {
		path := filepath.Join(dir, "docker-credential-"+name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\nread -r host\necho \"$1 $host\" >> \"$DIR/"+name+".log\"\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("DIR", dir)
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return dir
}

// logOf returns what a helper was asked, a line each.
func logOf(t *testing.T, dir, name string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name+".log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(strings.ReplaceAll(string(raw), "get ", ""))
}

// says is a helper that has a credential for every host.
func says(user string) string { return `echo '{"Username": "` + user + `", "Secret": "p"}'` }

const saysNothing = "echo credentials not found in native keychain; exit 1"

func TestWhoIsAskedInWhichOrder(t *testing.T) {
	const noted = `"auths": {"q.io": {"username": "file"}, "q.io/team": {"username": "part"}}`
	for _, tt := range []struct {
		name       string
		conf       string // registries.conf
		file       string // podman's
		repository string
		want       string // the user
		asked      string // helpers that ran
	}{
		{"the file alone", "", `{` + noted + `}`, "a", "file", ""},
		{"a part of the host", "", `{` + noted + `}`, "team/a", "part", ""},
		{"the helper for all before the file", "", `{"credsStore": "one", ` + noted + `}`, "a", "one", "one"},
		{"a part of the host before the helper for all", "", `{"credsStore": "one", ` + noted + `}`, "team/a", "part", ""},
		{"the helper for the host before all", "", `{"credHelpers": {"q.io": "two"}, "credsStore": "one", ` + noted + `}`, "team/a", "two", "two"},
		{"the file where its helper has nothing", "", `{"credHelpers": {"q.io": "none"}, ` + noted + `}`, "team/a", "part", "none"},
		{"the helper for a pattern", "", `{"credHelpers": {"*.io": "two"}, "credsStore": "one"}`, "a", "two", "two"},
		{"the file before the helper for a pattern", "", `{"credHelpers": {"*.io": "two"}, ` + noted + `}`, "a", "file", ""},
		{"a host before a pattern", "", `{"credHelpers": {"*.io": "two", "q.io": "one"}}`, "a", "one", "one"},
		{"nobody for another host", "", `{"credHelpers": {"q.io.example": "two", "*.q.io": "two"}}`, "a", "", ""},
		{"helpers that registries.conf names", "credential-helpers = ['none', 'two']", `{` + noted + `}`, "a", "two", "none two"},
		{"helpers before the file", "credential-helpers = ['none', 'containers-auth.json', 'two']", `{` + noted + `}`, "a", "file", "none"},
		{"helpers behind the file", "credential-helpers = ['containers-auth.json', 'two']", `{}`, "a", "two", "two"},
		{"not the file where it is not named", "credential-helpers = ['none']", `{` + noted + `}`, "a", "", "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := helpers(t, map[string]string{"one": says("one"), "two": says("two"), "none": saysNothing})
			home := t.TempDir()
			write(t, home, map[string]string{".config/containers/auth.json": tt.file, "registries.conf": tt.conf})
			f := testFactory(t, map[string]string{
				"HOME": home, "WHERRY_OWN_ONLY": "", "CONTAINERS_REGISTRIES_CONF": home + "/registries.conf", "CONTAINERS_REGISTRIES_CONF_DIR": home,
			})
			got, err := (&credentials{f: f}).find(t.Context(), "q.io", tt.repository)
			if err != nil || got.Username != tt.want {
				t.Errorf("got %q from %s, want %q; %v", got.Username, got.from, tt.want, err)
			}
			var asked []string
			for _, name := range []string{"none", "one", "two"} {
				if len(logOf(t, dir, name)) > 0 {
					asked = append(asked, name)
				}
			}
			if got := strings.Join(asked, " "); got != tt.asked {
				t.Errorf("%q were asked, want %q", got, tt.asked)
			}
		})
	}
}

func TestAFileThatIsNamedIsTheOnlyPlace(t *testing.T) {
	dir := helpers(t, map[string]string{"one": says("one")})
	home := t.TempDir()
	write(t, home, map[string]string{"registries.conf": "credential-helpers = ['one']", "auth.json": `{}`})
	f := testFactory(t, map[string]string{"HOME": home, "WHERRY_OWN_ONLY": "", "CONTAINERS_REGISTRIES_CONF": home + "/registries.conf"})
	f.Flags.AuthFile = home + "/auth.json"
	if got := lookUp(t, f, "q.io"); got != (registry.Credential{}) || len(logOf(t, dir, "one")) > 0 {
		t.Errorf("got %q, and the helper was asked for %v", got.Username, logOf(t, dir, "one"))
	}
}

func TestAHelperIsAskedOnceForAHost(t *testing.T) {
	dir := helpers(t, map[string]string{"one": says("one"), "none": saysNothing, "broken": "exit 3"})
	home := t.TempDir()
	write(t, home, map[string]string{".docker/config.json": `{"credHelpers": {"q.io": "one", "n.io": "none", "b.io": "broken"}, "credsStore": "one"}`})
	f := testFactory(t, map[string]string{"HOME": home})
	c := &credentials{f: f}
	for _, host := range []string{"q.io", "n.io", "b.io", "docker.io"} {
		for _, repository := range []string{"a", "b", "c"} {
			if _, err := c.find(t.Context(), host, repository); (err != nil) != (host == "b.io") {
				t.Errorf("%s/%s: %v", host, repository, err)
			}
		}
	}
	if got := strings.Join(logOf(t, dir, "one"), " "); got != "q.io https://index.docker.io/v1/" {
		t.Errorf("the helper was asked for %s, want each host once", got)
	}
	for _, name := range []string{"none", "broken"} {
		if got := logOf(t, dir, name); len(got) != 1 {
			t.Errorf("%s was asked for %v, want its host once", name, got)
		}
	}
	// Who asks twice was refused what it had; the others get what is new then.
	for _, repository := range []string{"a", "b", "c"} {
		if _, err := c.find(t.Context(), "q.io", repository); err != nil {
			t.Fatal(err)
		}
	}
	if got := logOf(t, dir, "one"); len(got) != 3 {
		t.Errorf("the helper was asked for %v, want q.io once more", got)
	}
}

func TestPodmansNameOfDockerHubIsAskedForToo(t *testing.T) {
	dir := helpers(t, map[string]string{"one": `if [ "$host" = docker.io ]; then ` + says("ann") + `; else ` + saysNothing + `; fi`})
	got, err := helper("one").get(t.Context(), "docker.io")
	if err != nil || got.Username != "ann" {
		t.Errorf("got %q, %v; the helper was asked for %v", got.Username, err, logOf(t, dir, "one"))
	}
}

func TestAHelperKeepsDockerHubUnderTheNameOfWhoseFileItIs(t *testing.T) {
	for file, want := range map[string]string{".docker/config.json": hubKey, ".config/containers/auth.json": "docker.io"} {
		home := t.TempDir()
		write(t, home, map[string]string{file: `{"credHelpers": {"docker.io": "one"}}`})
		got, _, err := testFactory(t, map[string]string{"HOME": home}).keeper("docker.io")
		if err != nil || got.helper != "one" || got.key != want {
			t.Errorf("%s: %s under %s, want %s; %v", file, got.helper, got.key, want, err)
		}
	}
}

func TestAHelperThatHangsIsEndedWithItsChildren(t *testing.T) {
	dir := helpers(t, map[string]string{"slow": "(sleep 60; echo >> \"$DIR/survived\") & echo $! > \"$DIR/child\"; mv \"$DIR/child\" \"$DIR/pid\"; wait"})
	ctx, cancel := context.WithCancelCause(t.Context())
	tooLong := errors.New("too long")
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := os.Stat(filepath.Join(dir, "pid")); err == nil || t.Context().Err() != nil {
				cancel(tooLong)
				return
			}
		}
	}()
	began := time.Now()
	_, err := helper("slow").get(ctx, "q.io")
	if !errors.Is(err, tooLong) || !strings.Contains(err.Error(), "docker-credential-slow get") {
		t.Errorf("error %v", err)
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("it took %s", d)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	checkGone(t, strings.TrimSpace(string(raw)))
}

// checkGone waits for a process to end: it has been sent a signal.
func checkGone(t *testing.T, pid string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for {
		raw, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(raw), ") Z ") {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("process %s is still there: %s", pid, raw)
		}
	}
}

func TestAHelperThatLeavesSomethingRunningHasAnswered(t *testing.T) {
	helpers(t, map[string]string{"agent": "sleep 3 &\n" + says("ann")})
	if got, err := helper("agent").get(t.Context(), "q.io"); err != nil || got.Username != "ann" {
		t.Errorf("got %q, %v", got.Username, err)
	}
}

func TestAHelperSeesNoPasswordsOfOthers(t *testing.T) {
	helpers(t, map[string]string{"env": `echo "{\"Username\": \"ann\", \"Secret\": \"p$DOCKER_AUTH_CONFIG\"}"`})
	t.Setenv("DOCKER_AUTH_CONFIG", "s3cret")
	if got, err := helper("env").get(t.Context(), "q.io"); err != nil || got.Password != "p" {
		t.Errorf("the helper sees DOCKER_AUTH_CONFIG; %v", err)
	}
}

func TestNoSecretIsInAComplaint(t *testing.T) {
	helpers(t, map[string]string{
		"answers": `echo '{"Username": "ann", "Secret": "s3cret"}'; echo trace '{"Secret": "s3cret"}' >&2; exit 1`,
		"repeats": `echo "cannot store $host" >&2; exit 1`,
		"plain":   `echo "cannot store s3cret for ann" >&2; exit 1`,
	})
	_, err := helper("answers").get(t.Context(), "q.io")
	errs := []error{err}
	for _, name := range []string{"repeats", "plain"} {
		errs = append(errs, helper(name).store(t.Context(), "q.io", registry.Credential{Username: "ann", Password: "s3cret"}))
	}
	for _, err := range errs {
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "docker-credential-") {
			t.Errorf("error %v", err)
		}
	}
}
