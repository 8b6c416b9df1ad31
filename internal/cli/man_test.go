package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestEveryVerbHasAManualPage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	if got := run(t, "man", dir); got.code != 0 || got.errors != "" {
		t.Fatalf("exit code %d, %s", got.code, got.errors)
	}
	root := newRoot(testFactory(t, nil))
	all := append(everyVerb(t), root)
	pages, err := os.ReadDir(dir)
	if err != nil || len(pages) != len(all) { // man has none, help has
		t.Errorf("%d pages, %v, want %d", len(pages), err, len(all))
	}
	for _, cmd := range all {
		if cmd.Hidden {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, pageName(cmd)+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		page := string(raw)
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			if there := strings.Contains(page, roff("--"+flag.Name)+`\fR`); there == flag.Hidden {
				t.Errorf("%s has --%s: %t", pageName(cmd), flag.Name, there)
			}
		})
		for _, want := range []string{".SH NAME\n", ".SH SYNOPSIS\n.B wherry ", ".SH EXIT STATUS\n", roff(cmd.Example)} {
			if !strings.Contains(page, want) {
				t.Errorf("%s does not have %q", pageName(cmd), want)
			}
		}
	}
}

func TestTextOfAManualPageIsNoCommand(t *testing.T) {
	if got, want := roff(".a\n'b -c\\d\n.e"), `\&.a`+"\n"+`\&'b \-c\ed`+"\n"+`\&.e`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
