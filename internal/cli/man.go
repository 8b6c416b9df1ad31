package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wherry-dev/wherry/internal/render"
)

// newMan returns the command that packagers run: `make docs` does.
func newMan(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages into a folder",
		Example: "  wherry man dist/man",
		Args:    exactArgs(1),
		Hidden:  true,
	}
	return f.Run(cmd, func(_ context.Context, args []string) (render.Result, error) {
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return render.Result{}, err
		}
		var lines []string
		root := cmd.Root()
		for _, c := range shown(root) {
			path := filepath.Join(args[0], pageName(c)+".1")
			if err := os.WriteFile(path, []byte(manPage(c)), 0o644); err != nil {
				return render.Result{}, err
			}
			lines = append(lines, path)
		}
		return render.Result{Lines: lines}, nil
	})
}

// shown lists c and the commands below it, but for hidden ones.
func shown(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, below := range c.Commands() {
		if !below.Hidden {
			all = append(all, shown(below)...)
		}
	}
	return all
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage returns the manual page of a command, in the macros of man(7).
func manPage(c *cobra.Command) string {
	var b strings.Builder
	name := pageName(c)
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"wherry %s\" \"wherry\"\n", roff(strings.ToUpper(name)), roff(version()))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(c.Short))
	use := c.UseLine()
	if !c.HasParent() {
		use = c.Name() + " VERB [ARGUMENT…] [FLAG…]"
	}
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(use))
	b.WriteString(".SH DESCRIPTION\n" + paragraphs(cmp.Or(c.Long, c.Short+".")))
	if c.HasSubCommands() {
		b.WriteString(".SH VERBS\n")
		for _, verb := range c.Commands() {
			if !verb.Hidden {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(verb.Use), roff(verb.Short))
			}
		}
	}
	b.WriteString(".SH OPTIONS\n")
	c.LocalFlags().VisitAll(func(flag *pflag.Flag) { b.WriteString(option(flag)) })
	if c.HasParent() {
		b.WriteString(".PP\nThe flags that all verbs have are in\n.BR wherry (1).\n")
	}
	if c.Example != "" {
		b.WriteString(".SH EXAMPLES\n" + verbatim(c.Example))
	}
	_, codes, _ := strings.Cut(exitHelp, "\n")
	b.WriteString(".SH EXIT STATUS\n" + verbatim(codes))
	return b.String()
}

// option returns the entry of a flag.
func option(flag *pflag.Flag) string {
	if flag.Hidden {
		return ""
	}
	name, usage := pflag.UnquoteUsage(flag)
	names := `\fB` + roff("--"+flag.Name) + `\fR`
	if flag.Shorthand != "" {
		names = `\fB` + roff("-"+flag.Shorthand) + `\fR, ` + names
	}
	if flag.Value.Type() != "bool" {
		names += ` \fI` + roff(name) + `\fR`
		if !slices.Contains([]string{"", "0", "[]"}, flag.DefValue) {
			usage += " (default " + flag.DefValue + ")"
		}
	}
	return ".TP\n" + names + "\n" + roff(usage) + "\n"
}

// paragraphs lets the lines of a help text flow; those that are indented stay.
func paragraphs(text string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(text, "\n") {
		switch {
		case part == "":
			b.WriteString(".PP\n")
		case part[0] == ' ':
			b.WriteString(verbatim(part))
		default:
			b.WriteString(roff(part) + "\n")
		}
	}
	return b.String()
}

func verbatim(text string) string {
	return ".nf\n" + roff(strings.TrimRight(text, "\n")) + "\n.fi\n"
}

// roff escapes text: a backslash, a dash that is none of typography, and what
// would be a command at the beginning of a line.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
