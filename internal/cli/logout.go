package cli

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/render"
)

func newLogout(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "logout [HOST]",
		Short:   "Forget the credential for a registry",
		Example: "  wherry logout\n  wherry logout ghcr.io",
		Args:    upToArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return f.loggedIn(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		host, err := hostArgument(args)
		if err != nil {
			return render.Result{}, err
		}
		return runLogout(ctx, f, host)
	})
}

// loggedIn returns the hosts that stand in the file of credentials, for completion:
// what a helper keeps is not asked for.
func (f *Factory) loggedIn() []string {
	file, err := f.authFileInUse()
	if err != nil {
		return nil
	}
	var hosts []string
	for _, key := range slices.Concat(slices.Collect(maps.Keys(file.Auths)), slices.Collect(maps.Keys(file.CredHelpers))) {
		if k := file.format.parse(key); k.host != "" && k.path == "" && !k.isPattern() {
			hosts = append(hosts, k.host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func runLogout(ctx context.Context, f *Factory, host string) (render.Result, error) {
	keeper, file, err := f.keeper(host)
	if err != nil {
		return render.Result{}, err
	}
	result := LoginResult{Host: host}
	if keeper.helper != "" {
		_, err := keeper.get(ctx, host)
		switch {
		case errors.Is(err, errNoCredentials):
		case err != nil:
			return render.Result{}, err
		default:
			result.Store = string(keeper.helper)
			if err := keeper.erase(ctx, host); err != nil {
				return render.Result{}, err
			}
		}
	}
	if file.has(host) {
		result.File = file.path
		if err := file.forget(ctx, host); err != nil {
			return render.Result{}, err
		}
	}
	line := "Removing login credentials for " + hostKey(host)
	if result.Store == "" && result.File == "" {
		line = "Not logged in to " + hostKey(host)
	}
	f.warnOfOthers(host, file)
	return render.Result{Value: result, Lines: []string{line}, Quiet: []string{}}, nil
}

// warnOfOthers tells which places still have a credential for host, for they are
// others'.
func (f *Factory) warnOfOthers(host string, file *authFile) {
	files, err := f.authFiles()
	if err != nil {
		return // which is no matter of a logout
	}
	for _, other := range files {
		if other.path != file.path && other.spellsOut(host) {
			f.Warn("%s still has a credential for %s", other.path, host)
		}
	}
}

// has reports whether anything stands in the file for host.
func (a *authFile) has(host string) bool {
	for key := range a.Auths {
		if a.isAbout(key, host) {
			return true
		}
	}
	return false
}

// isAbout reports whether a key is about host: not about a part of it, nor others.
func (a *authFile) isAbout(key, host string) bool {
	return a.format.parse(key) == (authKey{host: strings.ToLower(host)})
}

// forget takes what stands in the file for host out of it.
func (a *authFile) forget(ctx context.Context, host string) error {
	return editAuthFile(ctx, a.path, func(auths map[string]json.RawMessage) {
		for key := range auths {
			if a.isAbout(key, host) {
				delete(auths, key)
			}
		}
	})
}
