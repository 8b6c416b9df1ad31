package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/registry"
)

// LoginResult is what `wherry login` and `wherry logout` say.
type LoginResult struct {
	Host  string `json:"host"`
	File  string `json:"file,omitempty"`  // where the credential is kept, or was
	Store string `json:"store,omitempty"` // the credential helper that keeps it
}

type loginOptions struct {
	Username      string
	PasswordStdin bool
	Password      string
}

func newLogin(f *Factory) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login [HOST]",
		Short: "Log in to a registry",
		Long: "Log in to a registry, Docker Hub by default. The credential is tried first, and kept only if the registry takes it:\n" +
			"by the credential helper that docker's or podman's file names, else in that file, where both find it too.",
		Example: "  wherry login\n  echo $TOKEN | wherry login ghcr.io -u me --password-stdin",
		Args:    upToArgs(1),
	}
	cmd.Flags().StringVarP(&o.Username, "username", "u", "", "log in as `USER`; asked for where it is not given")
	cmd.Flags().BoolVar(&o.PasswordStdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().StringVarP(&o.Password, "password", "p", "", "not taken: other users of the machine see it")
	_ = cmd.Flags().MarkHidden("password") // it is there
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		host, err := hostArgument(args)
		if err != nil {
			return render.Result{}, err
		}
		return runLogin(ctx, f, host, o)
	})
}

// hostArgument returns the registry that was given, else Docker Hub.
func hostArgument(args []string) (string, error) {
	if len(args) == 0 {
		return registry.DockerHub, nil
	}
	return parseHost(args[0])
}

// parseHost reads what must be a registry.
func parseHost(arg string) (string, error) {
	host, err := endpoint.ParseHost(arg)
	if wrong, ok := errors.AsType[*endpoint.Error](err); ok && !wrong.Secret {
		return "", usagef("%+q is no registry: %s", arg, wrong.Msg)
	}
	return host, err
}

func runLogin(ctx context.Context, f *Factory, host string, o loginOptions) (render.Result, error) {
	if o.Password != "" {
		return render.Result{}, usagef("a password on the command line is seen by others; use --password-stdin")
	}
	file, err := f.authFileInUse()
	if err != nil {
		return render.Result{}, err
	}
	c, err := f.askCredential(ctx, host, o)
	if err != nil {
		return render.Result{}, err
	}
	client, err := f.Client()
	if err != nil {
		return render.Result{}, err
	}
	if c, err = client.Login(ctx, host, c); err != nil {
		return render.Result{}, fmt.Errorf("login to %s: %w", host, err)
	}
	result := LoginResult{Host: host, File: file.path}
	if name := file.helper(host); name != "" {
		result = LoginResult{Host: host, Store: name}
		err = helper(name).store(ctx, host, c)
	} else {
		err = file.store(ctx, host, c)
		f.Warn("the credential is kept unencrypted in %s; a credential helper keeps it better", file.path)
	}
	if err != nil {
		return render.Result{}, err
	}
	return render.Result{Value: result, Lines: []string{"Login Succeeded"}, Quiet: []string{}}, nil
}

// store puts c into the file.
func (a *authFile) store(ctx context.Context, host string, c registry.Credential) error {
	entry, err := json.Marshal(map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password))})
	if err != nil {
		return err
	}
	return editAuthFile(ctx, a.path, func(auths map[string]json.RawMessage) {
		auths[authKey(host)] = entry
	})
}

// askCredential takes user and password from flags and standard input, and asks
// at the terminal for what is missing.
func (f *Factory) askCredential(ctx context.Context, host string, o loginOptions) (c registry.Credential, err error) {
	c.Username = o.Username
	switch {
	case o.PasswordStdin && c.Username == "":
		return c, usagef("--password-stdin goes with --username")
	case o.PasswordStdin:
		c.Password, err = f.readPassword()
		return c, err
	case !term.IsTerminal(f.In):
		return c, usagef("there is no terminal to ask at; use --username and --password-stdin")
	}
	if c.Username == "" {
		c.Username, err = f.prompt(ctx, "Username ("+host+"): ", aloud)
	}
	if err == nil {
		c.Password, err = f.prompt(ctx, "Password: ", hidden)
	}
	if err == nil && (c.Username == "" || c.Password == "") {
		err = usagef("user name and password cannot be empty")
	}
	return c, err
}

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
		if host := authHost(key); host != "" {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func runLogout(ctx context.Context, f *Factory, host string) (render.Result, error) {
	file, err := f.authFileInUse()
	if err != nil {
		return render.Result{}, err
	}
	result := LoginResult{Host: host}
	if name := file.helper(host); name != "" {
		_, err := helper(name).get(ctx, host)
		switch {
		case errors.Is(err, errNoCredentials):
		case err != nil:
			return render.Result{}, err
		default:
			result.Store = name
			if err := helper(name).erase(ctx, host); err != nil {
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
	line := "Removing login credentials for " + authKey(host)
	if result.Store == "" && result.File == "" {
		line = "Not logged in to " + authKey(host)
	}
	return render.Result{Value: result, Lines: []string{line}, Quiet: []string{}}, nil
}

// has reports whether anything stands in the file for host.
func (a *authFile) has(host string) bool {
	for key := range a.Auths {
		if authHost(key) == host {
			return true
		}
	}
	return false
}

// forget takes what stands in the file for host out of it.
func (a *authFile) forget(ctx context.Context, host string) error {
	return editAuthFile(ctx, a.path, func(auths map[string]json.RawMessage) {
		for key := range auths {
			if authHost(key) == host {
				delete(auths, key)
			}
		}
	})
}
