package cli

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// exitHelp stands at the end of every command's help.
const exitHelp = `Exit codes:
  0 done · 1 failed · 2 usage · 3 partly done · 4 not found · 5 not authorised
  6 refused: content that is broken, hostile, unverified or beyond a limit of analyze
  7 differs: check-base, diff --exit-code
  8 rate limited, run again later · 9 network · 10 no space
  129 hung up · 130 interrupted · 141 output not read · 143 terminated
`

// everyday are those of the flags of all verbs that the help of each shows.
var everyday = []string{"format", "json", "quiet", "verbose", "debug", "progress", "plain-http", "username", "password-stdin"}

// usage writes the usage of c. The rarer flags of all verbs stand in `help flags`
// alone.
func usage(c *cobra.Command) error {
	var b bytes.Buffer
	out := c.OutOrStderr()
	c.SetOut(&b)
	defer c.SetOut(out)
	shared := c.Root().PersistentFlags()
	folded := map[*pflag.Flag]bool{}
	shared.VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden && !slices.Contains(everyday, flag.Name) {
			flag.Hidden, folded[flag] = true, true
		}
	})
	err := (&cobra.Command{}).UsageFunc()(c)
	for flag := range folded {
		flag.Hidden = false
	}
	if err != nil {
		return err
	}
	said := b.String()
	if strings.HasSuffix(c.Use, nounArgument) {
		said = strings.Replace(said, "  "+c.CommandPath()+" [command]\n", "", 1) // it says so already
	}
	b.Reset()
	b.WriteString(said)
	b.WriteString("\nLogins, certificates, rate, stalls, retries and waits: see \"wherry help flags\" for the flags that all verbs have.\n")
	_, err = io.WriteString(out, quieter(b.String()))
	return err
}

// quieter leaves out of a usage that a switch can be given a value, which is not
// worth the room it takes.
func quieter(usage string) string {
	const noise = "[=true|false]"
	return strings.ReplaceAll(usage, noise, strings.Repeat(" ", len(noise)))
}

// A helpOutput is where cobra writes help. Cobra prints what goes wrong there and
// counts the command as done, so that the error is kept here.
type helpOutput struct {
	w   io.Writer
	err error
}

// Write implements [io.Writer] and does not fail.
func (o *helpOutput) Write(p []byte) (int, error) {
	if o.err == nil {
		_, o.err = o.w.Write(p)
	}
	return len(p), nil
}

// unknownVerb is asked about arguments that are no verb.
func unknownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("there is no verb %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("there is no verb %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return &usageError{err: err, command: cmd.CommandPath()}
}

func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [VERB|flags]",
		Short:   "Show what wherry, or a verb, does, or the flags of all verbs",
		Example: "  wherry help copy\n  wherry help flags",
		GroupID: groupCare,

		DisableFlagsInUseLine: true,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var topics []string
			if len(args) == 0 {
				topics = append(topics, "flags")
			}
			for _, verb := range about.Commands() {
				if verb.IsAvailableCommand() {
					topics = append(topics, verb.Name())
				}
			}
			return topics, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Equal(args, []string{"flags"}) {
				flags := cmd.Root().PersistentFlags().FlagUsages()
				_, err := io.WriteString(cmd.OutOrStdout(), "Flags that all verbs have:\n"+quieter(flags)+"\n"+exitHelp)
				return err
			}
			if v, ok := foreign(args); ok {
				return helpForeign(cmd.OutOrStdout(), v)
			}
			verb, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownVerb(cmd.Root(), args)
			}
			return verb.Help()
		},
	}
}
