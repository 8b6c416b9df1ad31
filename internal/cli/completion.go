package cli

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wherry-dev/wherry/internal/render"
)

func newCompletion(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:       "completion bash|zsh|fish|powershell",
		Short:     "Write a script that completes command lines",
		Long:      "Write a script for a shell that completes command lines of wherry.",
		Example:   "  source <(wherry completion bash)\n  wherry completion zsh > \"${fpath[1]}/_wherry\"",
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      exactArgs(1),
	}
	return f.Run(cmd, func(_ context.Context, args []string) (render.Result, error) {
		root := cmd.Root()
		writers := map[string]func(io.Writer) error{
			"bash":       func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
			"zsh":        root.GenZshCompletion,
			"fish":       func(w io.Writer) error { return root.GenFishCompletion(w, true) },
			"powershell": root.GenPowerShellCompletionWithDesc,
		}
		write, ok := writers[args[0]]
		if !ok {
			return render.Result{}, usagef("there is no completion for %q; for bash, zsh, fish and powershell there is", args[0])
		}
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return render.Result{}, err
		}
		return render.Result{Raw: &b}, nil
	})
}

// isCompletion reports whether it is a shell that asks, in the words of the script
// that it was given. Nobody else needs to know what flags can be completed with,
// which takes longer to find out than all else that a start does with verbs.
func isCompletion(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// completeFlags lets a shell complete the words of the flags of cmd and of what is
// below it.
func completeFlags(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) { completeWords(cmd, flag) })
	for _, below := range cmd.Commands() {
		completeFlags(below)
	}
}

// completeWords lets the value of flag be completed where it is one of several
// words: it knows them, or its help names them.
func completeWords(cmd *cobra.Command, flag *pflag.Flag) {
	name, _ := pflag.UnquoteUsage(flag)
	words := strings.Split(name, "|")
	if c, knows := flag.Value.(interface{ choices() []string }); knows {
		words = c.choices()
	} else if len(words) == 1 {
		return
	}
	words = slices.DeleteFunc(words, func(word string) bool { return word == strings.ToUpper(word) })                // TEMPLATE is none
	_ = cmd.RegisterFlagCompletionFunc(flag.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // it has that flag, and nobody did so before
}
