package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const (
	verbsStart = "<!-- verbs: made from the commands by `make golden` -->\n"
	verbsEnd   = "<!-- end of verbs -->\n"
)

// TestTheTableOfVerbsIsTheHelp compares docs/verbs.md with the commands; with
// UPDATE_GOLDEN set it writes the table.
func TestTheTableOfVerbsIsTheHelp(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "verbs.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), verbsStart)
	got, after, also := strings.Cut(rest, verbsEnd)
	if !ok || !also {
		t.Fatalf("%s has lost its marks", path)
	}
	want := verbTable(t)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(before+verbsStart+want+verbsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s is not what wherry help says; run make golden.\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// verbTable returns a table of the commands by group. It fails where the help
// does not list one of them.
func verbTable(t *testing.T) string {
	t.Helper()
	help := run(t, "help").out
	var b strings.Builder
	root := newRoot(testFactory(t, nil))
	root.InitDefaultHelpCmd()
	for _, group := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n| Verb | Does |\n|---|---|\n", strings.TrimSuffix(group.Title, ":"))
		for _, cmd := range root.Commands() {
			if cmd.GroupID != group.ID {
				continue
			}
			b.WriteString(verbRow(cmd))
			for _, below := range cmd.Commands() {
				if below.Hidden { // it is answered with a line, as at the top
					continue
				}
				b.WriteString(verbRow(below))
			}
			if !strings.Contains(help, "  "+cmd.Name()+" ") || !strings.Contains(help, cmd.Short) {
				t.Errorf("wherry help does not have %s", cmd.Name())
			}
		}
	}
	return b.String() + "\n"
}

func verbRow(cmd *cobra.Command) string {
	use := "`" + strings.ReplaceAll(strings.TrimPrefix(cmd.UseLine(), "wherry "), "|", "\\|") + "`"
	for _, alias := range cmd.Aliases {
		use += ", `" + alias + "`"
	}
	return fmt.Sprintf("| %s | %s |\n", use, cmd.Short)
}
