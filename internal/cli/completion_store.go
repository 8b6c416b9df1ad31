package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
)

// completeStored lets a shell complete the arguments of cmd, the first most of
// them, with what images of the store are called. Where files are arguments too
// they are completed in place of names that do not fit: paths says so.
func (f *Factory) completeStored(cmd *cobra.Command, most int, paths cobra.ShellCompDirective) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.DeleteFunc(f.storedNames(cmd), func(name string) bool {
			return !strings.HasPrefix(name, begun) || slices.Contains(args, name)
		}), paths
	}
}

// anyNumber is of arguments.
const anyNumber = 1 << 30

// storedNames returns what images of the store are called, sorted, but for those
// without a tag. It reads one file, and is silent where that cannot be read:
// nobody asked for a message who pressed a key.
func (f *Factory) storedNames(cmd *cobra.Command) (names []string) {
	folder := f.storeFolder()
	if folder == "" {
		return nil
	}
	store, err := layout.OpenStore(folder)
	if err != nil {
		return nil
	}
	defer func() { _ = store.Close() }()
	for name, err := range store.Tags(cmd.Context()) {
		if err != nil {
			return nil
		}
		if _, tag := content.SplitName(name); !strings.Contains(name, "@") && !content.IsDigestTag(tag) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
