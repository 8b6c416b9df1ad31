package cli

import (
	"bytes"
	"maps"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// testFactory returns a factory with that environment and an empty home.
func testFactory(t *testing.T, env map[string]string) *Factory {
	t.Helper()
	return newFactory(Stdio{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}, testEnv(t, env))
}

func testEnv(t *testing.T, env map[string]string) func(string) string {
	t.Helper()
	all := map[string]string{"HOME": t.TempDir(), "WHERRY_OWN_ONLY": "1"}
	maps.Copy(all, env)
	return func(name string) string { return all[name] }
}

// An outcome is what a command line gave.
type outcome struct {
	code        int
	out, errors string
}

// run runs a command line in an empty home.
func run(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	code := Main(t.Context(), args, Stdio{In: strings.NewReader(""), Out: &out, Err: &errs}, testEnv(t, nil))
	return outcome{code, out.String(), errs.String()}
}

// everyVerb lists all commands, those below others too; of commands of docker that
// wherry answers with a line there is nothing else to be known.
func everyVerb(t *testing.T) []*cobra.Command {
	t.Helper()
	var walk func(c *cobra.Command) []*cobra.Command
	walk = func(c *cobra.Command) []*cobra.Command {
		var all []*cobra.Command
		for _, below := range c.Commands() {
			if _, line := foreign([]string{below.Name()}); !line || !below.Hidden {
				all = append(append(all, below), walk(below)...)
			}
		}
		return all
	}
	return walk(newRoot(testFactory(t, nil)))
}

func TestEveryHelpHasTheExitCodes(t *testing.T) {
	for _, cmd := range everyVerb(t) {
		got := run(t, append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		if got.code != 0 || got.errors != "" {
			t.Errorf("%s --help: exit code %d, %s", cmd.CommandPath(), got.code, got.errors)
		}
		if cmd.Name() != "help" && !strings.Contains(got.out, "0 done · 1 failed · 2 usage · 3 partly done · 4 not found · 5 not authorised") {
			t.Errorf("%s --help does not have the exit codes:\n%s", cmd.CommandPath(), got.out)
		}
	}
}

func TestAWrongCommandLineIsOneLineAndAHint(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"no-such-verb"}, `there is no verb "no-such-verb"`},
		{[]string{"inspct"}, "did you mean inspect?"},
		{[]string{"inspect"}, "takes 1 argument, not 0"},
		{[]string{"inspect", "a", "b"}, "takes 1 argument, not 2"},
		{[]string{"login", "a", "b"}, "takes at most 1 argument, not 2"},
		{[]string{"version", "x"}, "takes no argument, not 1"},
		{[]string{"inspect", "--no-such-flag", "a"}, "unknown flag: --no-such-flag"},
		{[]string{"inspect", "--platform", "linux", "a"}, "os/arch"},
		{[]string{"version", "--json", "--format", "{{.}}"}, "contradict"},
		{[]string{"version", "--format", "{{"}, "unclosed action"},
		{[]string{"version", "--progress", "loud"}, "none of auto"},
		{[]string{"version", "--retries", "0"}, "less than one"},
		{[]string{"version", "--stall-timeout", "0s"}, "no time at all"},
		{[]string{"version", "--max-wait", "-1s"}, "less than nothing"},
		{[]string{"version", "--username", "u"}, "go together"},
		{[]string{"version", "--dst-password-stdin"}, "go together"},
		{[]string{"version", "--limit-rate", "fast"}, "no rate"},
		{[]string{"version", "--limit-rate", "5"}, "a rate has a unit"},
		{[]string{"blob", "nginx"}, "named by its digest"},
		{[]string{"manifest", "inspect"}, "takes at least 1 argument, not 0"},
		{[]string{"manifest", "inspect", "a", "b", "c"}, "takes at most 2 arguments, not 3"},
		{[]string{"manifest", "inspect", "oci:a", "b"}, "is in no registry"},
		{[]string{"manifest", "create", "a"}, "takes at least 2 arguments, not 1"},
		{[]string{"manifest", "create", "a", "oci:b"}, "copy it to one first"},
		{[]string{"manifest", "push", "a@sha256:" + strings.Repeat("0", 64)}, "named by a tag"},
		{[]string{"tags", "nginx:1"}, "names one image"},
		{[]string{"login", "-p", "secret"}, "--password-stdin"},
		{[]string{"login", "ghcr.io"}, "no terminal"},
		{[]string{"login", "ghcr.io", "--password-stdin"}, "goes with --username"},
		{[]string{"repos", "ghcr.io/user"}, "without a repository"},
		{[]string{"tags", "--plain-http", "a b", "nginx"}, "plain ASCII"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			got := run(t, tt.args...)
			if got.code != 2 || got.out != "" {
				t.Errorf("exit code %d, output %q, want 2 and none", got.code, got.out)
			}
			first, rest, _ := strings.Cut(got.errors, "\n")
			if !strings.HasPrefix(first, "wherry: ") || !strings.Contains(first, tt.want) {
				t.Errorf("says %q, want …%s…", first, tt.want)
			}
			if rest != "" && (!strings.HasPrefix(rest, "hint: ") || strings.Count(rest, "\n") != 1) {
				t.Errorf("more than a line and a hint:\n%s", got.errors)
			}
			if strings.Contains(got.errors, "secret") {
				t.Error("the password is shown")
			}
		})
	}
}

// The rows of the bad-input catalogue for references, through the command line.
func TestAWrongReferenceExitsWith2(t *testing.T) {
	tests := []string{
		"UPPER/Repo", "repo:", ":tag", "@sha256:", "a//b", "a/", "a..b", "a___b", "-a",
		"ghсr.io/a", "a\u202eb", "a\u200db", "a\x00b", "a\nb", "%2e%2e",
		"../x", `C:\x`, "oci:", "dir with space:tag", "a:" + strings.Repeat("t", 129), strings.Repeat("a", 256) + ":t",
		"host:99999/x", "[::1", "store:A", "bundle:a", "docker-daemon:a", "containers-storage:a", "",
	}
	for _, arg := range tests {
		t.Run(arg, func(t *testing.T) {
			got := run(t, "inspect", "--", arg)
			if got.code != 2 || got.out != "" {
				t.Errorf("exit code %d, output %q, want 2 and none", got.code, got.out)
			}
			line, hint, _ := strings.Cut(got.errors, "\n")
			if !strings.HasPrefix(line, "wherry: ") || hint != "" && (!strings.HasPrefix(hint, "hint: ") || strings.Count(hint, "\n") != 1) {
				t.Errorf("not one line and a hint: %q", got.errors)
			}
			for _, r := range line + strings.TrimSuffix(hint, "\n") {
				if r < 0x20 || r > 0x7e && r != '…' {
					t.Errorf("%U reaches the terminal: %q", r, got.errors)
				}
			}
		})
	}
}

func TestVersionHasAllForms(t *testing.T) {
	if got := run(t, "version"); got.code != 0 || !strings.HasPrefix(got.out, "wherry ") || got.errors != "" {
		t.Errorf("version: %+v", got)
	}
	if got := run(t, "version", "-q"); got.out != version()+"\n" {
		t.Errorf("version -q: %q", got.out)
	}
	if got := run(t, "version", "--format", "{{.OS | upper}}"); got.out != strings.ToUpper(runtime.GOOS)+"\n" {
		t.Errorf("version --format: %q", got.out)
	}
	if got := run(t, "--json", "version"); !strings.Contains(got.out, `"version": "`+version()+`"`) {
		t.Errorf("version --json: %q", got.out)
	}
}

func TestATerminalGetsManifestsEscaped(t *testing.T) {
	raw := []byte("{\"a\": \"\u009b31m\u202e\"}\n\n")
	tests := []struct {
		name string
		tty  bool
		want string
	}{
		{"a pipe gets every byte", false, string(raw)},
		{"a terminal gets what it can show", true, "{\"a\": \"\\u{9b}31m\\u{202e}\"}\n"},
	}
	for _, tt := range tests {
		f := testFactory(t, nil)
		f.Out.TTY = tt.tty
		var b bytes.Buffer
		if _, err := f.exact(raw).WriteTo(&b); err != nil || b.String() != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.name, b.String(), err, tt.want)
		}
	}
}
