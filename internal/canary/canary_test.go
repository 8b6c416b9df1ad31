// Package canary looks for secrets where none belongs. Every verb meets every failure, each secret that a run has to do
// with is a canary, and no canary may be in what the run writes: standard output and error, however much is asked for
// there, and every file that it leaves. What must be in a file, as the credential is that login keeps, is named beside
// the verb.
//
// A verb without a case fails the tests, and so does a case without a verb.
package canary

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(prepared(m)) }

// prepared makes what all worlds share, runs the tests, and looks at what they left outside their folders.
func prepared(m *testing.M) int {
	folder, err := os.MkdirTemp("", "wherry-canary-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := share(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := leftBehind(filepath.Join(folder, "temporary")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// leftBehind looks for canaries in the files that runs left outside their folders, as temporary ones.
func leftBehind(folder string) error {
	return filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if found := anything.find(path + "\n" + string(raw)); len(found) > 0 {
			return fmt.Errorf("%s was left behind, with %s", path, found[0])
		}
		return nil
	})
}

// modes are how much is asked for. The first meets every failure with every verb, the others every third in turn.
var modes = [][]string{
	{"--debug", "--json"}, {"--debug"}, {"--json"}, {"--verbose"}, {}, {"--progress", "json"}, {"--debug", "--progress", "json"},
}

func TestNoVerbLeaksUnderAnyFailure(t *testing.T) {
	all := lines(t)
	for i, f := range failures() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, f)
			for turn, l := range all {
				if f.stall > 0 && l.verb == "doctor" && !l.first {
					continue // it takes its time
				}
				other := modes[1+(i+turn)%(len(modes)-1)]
				if l.first {
					w.run(l.verbCase, l.line, modes[0]...)
				} else {
					w.run(l.verbCase, l.line, other...)
				}
				if l.first && !l.offline && f.stall == 0 && (i+turn)%3 == 0 {
					w.run(l.verbCase, l.line, other...)
				}
			}
			w.checkMet()
		})
	}
}

// A line of a case is tried.
type line struct {
	verbCase
	line  string
	first bool // of its verb
}

// lines are those of all verbs that there are.
func lines(t *testing.T) (all []line) {
	t.Helper()
	there := append(verbsBelow(t), "man")
	for _, c := range cases {
		if !slices.Contains(there, c.verb) {
			continue
		}
		for i, text := range c.lines {
			all = append(all, line{c, text, i == 0})
		}
	}
	return all
}

func TestNothingThatCannotBeReadIsQuoted(t *testing.T) {
	all := lines(t)
	for _, f := range slices.Concat(brokenFiles(), failingHelpers()) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, f)
			for _, l := range all {
				if l.first {
					w.run(l.verbCase, l.line, modes[0]...)
				}
			}
		})
	}
}

func TestEveryVerbHasACase(t *testing.T) {
	there := append(verbsBelow(t), "man") // which the help does not list
	var tried []string
	for _, c := range cases {
		tried = append(tried, c.verb)
		if len(c.lines) == 0 {
			t.Errorf("%s has no line to try", c.verb)
		}
	}
	for _, verb := range there {
		if !slices.Contains(tried, verb) {
			t.Errorf("wherry %s has no case", verb)
		}
	}
	for _, verb := range tried {
		if !slices.Contains(there, verb) {
			t.Errorf("there is a case for %s, and no such verb", verb)
		}
	}
}

var verbLine = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*) {2,}[A-Z]`)

// verbsBelow returns the verbs that the help of a verb lists, and those below them.
func verbsBelow(t *testing.T, noun ...string) (verbs []string) {
	t.Helper()
	var out strings.Builder
	if code := wherry(t.Context(), stage{out: &out, err: &out}, append([]string{"help"}, noun...)...); code != 0 {
		t.Fatalf("wherry help %v: %s", noun, out.String())
	}
	text, _, _ := strings.Cut(out.String(), "\nFlags:")
	for _, m := range verbLine.FindAllStringSubmatch(text, -1) {
		verb := append(slices.Clone(noun), m[1])
		if m[1] == "help" {
			verbs = append(verbs, "help")
			continue
		}
		below := verbsBelow(t, verb...)
		if len(below) == 0 {
			below = []string{strings.Join(verb, " ")}
		}
		verbs = append(verbs, below...)
	}
	return verbs
}

// A verb's case is the lines that are tried of it. In a line FROM stands for the registry that fails, HERE for a folder
// of the run, GIVEN for what is there to be read, and DIGEST for that of a blob.
type verbCase struct {
	verb    string
	lines   []string
	stdin   string
	bytes   string // the line whose output is what a server calls the blob, before anybody can know
	offline bool   // it has nothing to do with any registry
	keeps   string // the file, in the home folder, in which there must be a credential afterwards
}

const credentialFile = ".docker/config.json"

var cases = []verbCase{
	{verb: "copy", lines: []string{
		"copy FROM/app:v1 oci:HERE/layout", "copy FROM/app:v1 FROM/other:v1", "copy oci:GIVEN/layout FROM/new:v1",
		"copy --all-tags FROM/app HERE/all.tar", "copy GIVEN/image.tar FROM/new:v2 FROM/newer:v2",
		"copy --username tim --password-stdin FROM/app:v1 dir:HERE/dir", "copy --dry-run FROM/app:v1 FROM/other:v2",
	}, stdin: typed + "\n"},
	{verb: "pull", lines: []string{"pull FROM/app:v1", "pull --all-tags --platform all FROM/app"}},
	{verb: "push", lines: []string{"push app:v1 FROM/new:v3 --store GIVEN/store", "push --all-tags app FROM/new --store GIVEN/store"}},
	{verb: "save", lines: []string{"save FROM/app:v1 -o HERE/image.tar", "save FROM/app:v1"}},
	{verb: "load", lines: []string{"load -i GIVEN/image.tar --to FROM/team"}},
	{verb: "export", lines: []string{"export FROM/app:v1 -o HERE/rootfs.tar", "export FROM/app:v1"}},
	{verb: "import", lines: []string{"import GIVEN/image.tar docker://FROM/base:1"}},
	{verb: "inspect", lines: []string{"inspect FROM/app:v1", "inspect --compat skopeo FROM/app:v1", "inspect --compat buildx --json FROM/app:v1"}},
	{verb: "tree", lines: []string{"tree FROM/app:v1"}},
	{verb: "check-base", lines: []string{"check-base --base FROM/app:v1 FROM/app:v1", "check-base FROM/app:v1"}},
	{verb: "history", lines: []string{"history FROM/app:v1", "history --wide FROM/app:v1"}},
	{verb: "tags", lines: []string{"tags FROM/app", "tags --long FROM/app", "tags --sort created --listing never FROM/app"}},
	{verb: "files", lines: []string{"files FROM/app:v1", "files --long --layer 1 FROM/app:v1"}},
	{verb: "cat", lines: []string{"cat FROM/app:v1 usr/bin/tool", "cat --unverified FROM/app:v1 usr/bin/tool"}},
	{verb: "diff", lines: []string{"diff FROM/app:v1 GIVEN/image.tar", "diff --full --json GIVEN/image.tar FROM/app:v1"}},
	{verb: "analyze", lines: []string{"analyze FROM/app:v1", "analyze --compat dive FROM/app:v1"}},
	{verb: "repos", lines: []string{"repos FROM"}},
	{verb: "search", lines: []string{"search FROM/app"}},
	{verb: "digest", lines: []string{"digest FROM/app:v1"}},
	{verb: "manifest inspect", lines: []string{"manifest inspect FROM/app:v1", "manifest inspect --verbose FROM/app:v1", "manifest FROM/app:v1"}},
	{verb: "manifest create", lines: []string{"manifest create FROM/list:v1 FROM/app:v1"}},
	{verb: "manifest annotate", lines: []string{"manifest annotate --arch arm64 FROM/list:v1 FROM/app:v1"}},
	{verb: "manifest push", lines: []string{"manifest push FROM/list:v1"}},
	{verb: "manifest rm", lines: []string{"manifest rm FROM/list:v1"}},
	{verb: "config", lines: []string{"config FROM/app:v1"}},
	{verb: "blob", lines: []string{"blob FROM/app@DIGEST", "blob FROM/app@DIGEST -o HERE/blob"}, bytes: "blob FROM/app@DIGEST"},
	{verb: "exists", lines: []string{"exists FROM/app:v1"}},
	{verb: "validate", lines: []string{"validate FROM/app:v1"}},
	{verb: "images", lines: []string{"images --store GIVEN/store"}, offline: true},
	{verb: "tag", lines: []string{"tag docker://FROM/app:v1 FROM/app:v2"}},
	{verb: "rmi", lines: []string{"rmi FROM/app:v1"}, offline: true},
	{verb: "prune", lines: []string{"prune --dry-run --all --store GIVEN/store"}, offline: true},
	{verb: "backup", lines: []string{"backup HERE/backup.tar --store GIVEN/store"}, offline: true},
	{verb: "restore", lines: []string{"restore GIVEN/image.tar --store HERE/store"}, offline: true},
	{verb: "image inspect", lines: []string{"image inspect FROM/app:v1"}},
	{verb: "image history", lines: []string{"image history FROM/app:v1"}},
	{verb: "image import", lines: []string{"image import GIVEN/image.tar docker://FROM/base:2"}},
	{verb: "image load", lines: []string{"image load -i GIVEN/image.tar --to FROM/team"}},
	{verb: "image ls", lines: []string{"image ls --store GIVEN/store"}, offline: true},
	{verb: "image prune", lines: []string{"image prune --dry-run --all --store GIVEN/store"}, offline: true},
	{verb: "image pull", lines: []string{"image pull FROM/app:v1"}},
	{verb: "image push", lines: []string{"image push app:v1 FROM/new:v4 --store GIVEN/store"}},
	{verb: "image rm", lines: []string{"image rm FROM/app:v1"}, offline: true},
	{verb: "image save", lines: []string{"image save FROM/app:v1 -o HERE/image.tar"}},
	{verb: "image tag", lines: []string{"image tag app:v1 FROM/app:v2"}, offline: true},
	{verb: "system df", lines: []string{"system df --store GIVEN/store"}, offline: true},
	{verb: "system info", lines: []string{"system info --store GIVEN/store"}},
	{verb: "system prune", lines: []string{"system prune --dry-run --store GIVEN/store"}, offline: true},
	{verb: "ratelimit", lines: []string{"ratelimit FROM"}},
	{verb: "doctor", lines: []string{"doctor FROM/app:v1", "doctor FROM"}},
	{verb: "which", lines: []string{"which FROM/app:v1"}},
	{verb: "info", lines: []string{"info"}},
	{verb: "login", lines: []string{"login FROM -u tim --password-stdin"}, stdin: typed + "\n", keeps: credentialFile},
	{verb: "logout", lines: []string{"logout FROM"}, keeps: credentialFile},
	{verb: "completion", lines: []string{"completion bash"}, offline: true},
	{verb: "version", lines: []string{"version"}, offline: true},
	{verb: "man", lines: []string{"man HERE/man"}, offline: true},
	{verb: "help", lines: []string{"help copy"}, offline: true},
}

// share makes what worlds read: the programs of credential helpers, a layout and an archive.
func share(folder string) error {
	shared = folder
	temporary := filepath.Join(folder, "temporary")
	programs := filepath.Join(folder, "bin")
	for _, dir := range []string{temporary, programs} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for name, script := range helpers {
		if err := os.WriteFile(filepath.Join(programs, "docker-credential-"+name), []byte(script), 0o755); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{"PATH": programs + string(os.PathListSeparator) + os.Getenv("PATH"), "TMPDIR": temporary, "TMP": temporary} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	if err := giveKeys(folder); err != nil {
		return err
	}
	return giveImages(context.Background(), folder)
}
