package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestVerbsOfContainersAreAnsweredWithALine(t *testing.T) {
	for _, v := range foreignVerbs {
		t.Run(v.words, func(t *testing.T) {
			if v.use == "" && !strings.Contains(v.line(), "nothing to prune") {
				t.Error("it does not say what to use")
			}
			words := strings.Fields(v.words)
			want := "wherry: " + v.words + ": " + v.lacks
			for _, behind := range [][]string{nil, {"x"}, {"-a"}, {"--rm", "-it", "x", "--no-such-flag=1"}, {"--help"}, {"--json", "--format", "{{"}} {
				got := run(t, slices.Concat(words, behind)...)
				if got.code != 2 || got.out != "" || !strings.HasPrefix(got.errors, want) || strings.Count(got.errors, "\n") != 1 {
					t.Errorf("with %q: exit code %d, %q and %q", behind, got.code, got.out, got.errors)
				}
			}
			help := run(t, append([]string{"help"}, words...)...)
			if help.code != 0 || help.errors != "" || help.out != v.line()+"\n" {
				t.Errorf("help: exit code %d, %q and %q", help.code, help.out, help.errors)
			}
		})
	}
}

func TestVerbsOfContainersAreHidden(t *testing.T) {
	listed := run(t, "help").out
	for _, v := range foreignVerbs {
		name, _, _ := strings.Cut(v.words, " ")
		if strings.Contains(listed, "\n  "+name+" ") {
			t.Errorf("wherry help lists %s", name)
		}
		if got := run(t, "__complete", name); strings.Contains("\n"+got.out, "\n"+name) {
			t.Errorf("completion offers %s", name)
		}
		if got := run(t, "__complete", "help", name); strings.Contains("\n"+got.out, "\n"+name) {
			t.Errorf("completion of help offers %s", name)
		}
	}
	if got := run(t, "--debug", "run", "-d", "x"); got.code != 2 || !strings.HasPrefix(got.errors, "wherry: run: wherry has no containers") {
		t.Errorf("behind a flag: exit code %d, %s", got.code, got.errors)
	}
}

// A verb of wherry's that has the name of one of docker's takes its place.
func TestVerbsOfContainersAreNoneOfOurs(t *testing.T) {
	ours := map[string]bool{}
	for _, cmd := range newRoot(testFactory(t, nil)).Commands() {
		for _, name := range append(cmd.Aliases, cmd.Name()) {
			if ours[name] {
				t.Errorf("there are two of %s", name)
			}
			ours[name] = true
		}
	}
}
