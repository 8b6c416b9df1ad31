package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// newImage makes docker's noun for the verbs about images: they are those at the
// top, under docker's other names.
func newImage(f *Factory) *cobra.Command {
	cmd := newNoun("image", "Docker's names for the image verbs: ls, inspect, history, rm, prune, save, load, …",
		newImageInspect(f),
		named(newImages(f), "ls", "list"),
		newHistory(f), newPull(f), newPush(f), newSave(f), newLoad(f), newImport(f), newTag(f),
		named(newRemove(f), "rm", "remove"), newImagePrune(f),
		newForeignVerb("build"),
	)
	cmd.Example = "  wherry image ls\n  wherry image inspect nginx:1.27\n  wherry image prune --all"
	return cmd
}

// nounArgument is what stands behind a noun in its usage.
const nounArgument = " COMMAND"

// newNoun makes a command that does nothing but have others. Those that stand at
// the top as well have its name in their examples here.
func newNoun(name, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name + nounArgument, Short: short, Args: unknownVerb, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, verb := range verbs {
		verb.Example = strings.ReplaceAll(verb.Example, "wherry "+verb.Name(), "wherry "+name+" "+verb.Name())
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// named returns a verb under the name that docker has for it behind a noun.
func named(cmd *cobra.Command, name string, aliases ...string) *cobra.Command {
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	cmd.Example = strings.ReplaceAll(cmd.Example, "wherry "+cmd.Name(), "wherry "+name)
	cmd.Use, cmd.Aliases = strings.TrimSpace(name+" "+arguments), aliases
	return cmd
}
