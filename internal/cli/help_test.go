package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestEveryVerbHasAnExampleOfItself(t *testing.T) {
	for _, cmd := range everyVerb(t) {
		if !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
	}
}

func TestRareFlagsStandInHelpFlagsAlone(t *testing.T) {
	verb, all := run(t, "digest", "--help").out, run(t, "help", "flags").out
	newRoot(testFactory(t, nil)).PersistentFlags().VisitAll(func(flag *pflag.Flag) {
		name := "--" + flag.Name + " "
		if !strings.Contains(all, name) {
			t.Errorf("wherry help flags does not have %s", name)
		}
		if rare := !strings.Contains(verb, name); rare == slices.Contains(everyday, flag.Name) {
			t.Errorf("wherry digest --help: %s is left out: %t", name, rare)
		}
	})
	if !strings.Contains(verb, "wherry help flags") {
		t.Error("wherry digest --help does not say where the rare flags are")
	}
	for _, about := range []string{"rate", "stalls", "retries"} {
		if _, line, _ := strings.Cut(verb, "\nLogins"); !strings.Contains(line, about) {
			t.Errorf("wherry digest --help does not say where the flags about %s are", about)
		}
	}
	if got := run(t, "help", "flag"); got.code != 2 {
		t.Errorf("help of what there is not: exit code %d", got.code)
	}
}

// A value is one word in capitals, as in docker's help, or one of several words.
func TestEveryFlagNamesItsValueAlike(t *testing.T) {
	form := regexp.MustCompile(`^([A-Z]+(/[A-Z]+)*|[a-z]+(\|[a-z]+)+(\|[A-Z]+)?)$`)
	for _, cmd := range everyVerb(t) {
		cmd.InheritedFlags() // makes cmd.Flags have them too
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if name, _ := pflag.UnquoteUsage(flag); flag.Value.Type() != "bool" && !flag.Hidden && !form.MatchString(name) {
				t.Errorf("%s: --%s %s", cmd.CommandPath(), flag.Name, name)
			}
		})
	}
}

// docs/verbs.md carries on what the help and the types say.
func TestTheDocumentationHasEveryExitCodeAndSetting(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "verbs.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	codes := regexp.MustCompile(`(\d+) ([a-z ]+)`).FindAllStringSubmatch(exitHelp, -1)
	if len(codes) != 15 {
		t.Fatalf("%d exit codes in the help, want 15", len(codes))
	}
	for _, m := range codes {
		if row := "| `" + m[1] + "` | " + strings.TrimSpace(m[2]); !strings.Contains(page, row) {
			t.Errorf("docs/verbs.md does not have %s", row)
		}
	}
	for field := range reflect.TypeFor[Config]().Fields() {
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.IsExported() && !strings.Contains(page, "| `"+key+"` |") {
			t.Errorf("docs/verbs.md does not have the setting %s", key)
		}
	}
}

// CONTRIBUTING.md has whoever adds a verb name it there.
func TestTheReadmeNamesEveryVerb(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(raw), "\n## Verbs\n")
	page, _, _ = strings.Cut(page, "\n## ")
	for _, cmd := range newRoot(testFactory(t, nil)).Commands() {
		if !cmd.Hidden && !strings.Contains(page, "`"+cmd.Name()+"`") {
			t.Errorf("README.md does not have the verb %s", cmd.Name())
		}
	}
}

func TestTheDocumentationHasEveryCauseOfDoctor(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "doctor", "cause.go"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "verbs.md"))
	if err != nil {
		t.Fatal(err)
	}
	causes := regexp.MustCompile(`Cause\s+= "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(causes) == 0 {
		t.Fatal("there is no cause")
	}
	for _, m := range causes {
		if !strings.Contains(string(page), "`"+m[1]+"`") {
			t.Errorf("docs/verbs.md does not have the cause %s", m[1])
		}
	}
}
