package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// The groups of verbs in the help.
const (
	groupMove  = "move"
	groupLook  = "look"
	groupStore = "store"
	groupCare  = "care"
)

// newRoot returns the command that has all verbs.
func newRoot(f *Factory) *cobra.Command {
	root := &cobra.Command{
		Use:   "wherry",
		Short: "Carry container images between registries, layouts and archives, without a daemon",
		Long: "wherry carries container images between registries, OCI layouts and archives. It speaks the registry API itself and needs no daemon.\n\n" +
			"An image is named as docker names it (nginx, host:5000/a/b:tag, name@sha256:…), or with a transport in front:\n" +
			"  oci:PATH[:NAME]              an OCI layout, which is a folder\n" +
			"  oci-archive:PATH[:NAME]      a tar of one\n" +
			"  docker-archive:PATH[:NAME]   what docker save writes\n" +
			"  dir:PATH                     skopeo's folder of one image\n" +
			"  store:NAME                   an image in the local store, where pull puts them\n" +
			"  archive:PATH                 whatever is there: an archive, compressed or not, or a layout\n" +
			"  ./PATH, /PATH, ~/PATH, …tar  the same, for a path that looks like one\n" +
			"  -                            an archive on standard input or output\n" +
			"PATH@sha256:… names an image of a layout or archive by its digest.",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownVerb,

		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetIn(f.In)
	root.SetOut(f.Out)
	root.SetErr(f.Err)
	root.AddGroup(
		&cobra.Group{ID: groupMove, Title: "Move images:"},
		&cobra.Group{ID: groupLook, Title: "Look at images:"},
		&cobra.Group{ID: groupStore, Title: "Local store:"},
		&cobra.Group{ID: groupCare, Title: "Care:"},
	)
	root.SetHelpCommand(newHelp())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpTemplate(strings.TrimRight(root.HelpTemplate(), "\n") + "\n" + exitHelp)
	root.SetUsageFunc(usage)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err: err, command: cmd.CommandPath()}
	})
	f.Flags.bind(root.PersistentFlags())
	addVerbs(root, f)
	return root
}

// addVerbs adds every verb to its group.
func addVerbs(root *cobra.Command, f *Factory) {
	groups := []struct {
		id    string
		verbs []*cobra.Command
	}{
		{groupMove, []*cobra.Command{newCopy(f), newPull(f), newPush(f), newSave(f), newLoad(f), newExport(f), newImport(f)}},
		{groupLook, []*cobra.Command{
			newInspect(f), newTree(f), newCheckBase(f), newTags(f), newRepos(f), newSearch(f), newHistory(f), newFiles(f), newCat(f), newDiff(f),
			newAnalyze(f), newDigest(f), newManifest(f), newConfig(f), newBlob(f), newExists(f), newValidate(f), newRateLimit(f),
		}},
		{groupStore, []*cobra.Command{newImages(f), newTag(f), newRemove(f), newPrune(f), newBackup(f), newRestore(f), newImage(f), newSystem(f)}},
		{groupCare, []*cobra.Command{newDoctor(f), newWhich(f), newInfo(f), newLogin(f), newLogout(f), newCompletion(f), newVersion(f)}},
	}
	for _, group := range groups {
		for _, verb := range group.verbs {
			verb.GroupID = group.id
			root.AddCommand(verb)
		}
	}
	root.AddCommand(newMan(f))
	root.AddCommand(newForeignVerbs()...)
}
