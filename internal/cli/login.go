package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/doctor"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// LoginResult is what `wherry login` and `wherry logout` say.
type LoginResult struct {
	Host  string `json:"host"`
	File  string `json:"file,omitempty"`  // where the credential is kept, or was
	Store string `json:"store,omitempty"` // the credential helper that keeps it
	User  string `json:"user,omitempty"`  // with --get-login
	From  string `json:"from,omitempty"`  // with --get-login, where the credential comes from
}

type loginOptions struct {
	GetLogin      bool
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
			"by the credential helper that docker's or podman's file names, else in that file, where both find it too. A registry that\n" +
			"gives out tokens for this gives one, and that is kept in place of the password.",
		Example: "  wherry login\n  echo $TOKEN | wherry login ghcr.io -u me --password-stdin\n  wherry login --get-login ghcr.io",
		Args:    upToArgs(1),
	}
	cmd.Flags().StringVarP(&o.Username, "username", "u", "", "log in as `USER`; asked for where it is not given")
	cmd.Flags().BoolVar(&o.PasswordStdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().BoolVar(&o.GetLogin, "get-login", false, "print as whom you are logged in, and log in nowhere")
	cmd.Flags().StringVarP(&o.Password, "password", "p", "", "not taken: other users of the machine see it")
	_ = cmd.Flags().MarkHidden("password") // it is there
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		host, err := hostArgument(args)
		if err != nil {
			return render.Result{}, err
		}
		f.SrcHost = host
		if o.GetLogin {
			return getLogin(ctx, f, host)
		}
		return runLogin(ctx, f, host, o)
	})
}

// getLogin tells the user name for host, as podman does.
func getLogin(ctx context.Context, f *Factory, host string) (render.Result, error) {
	found, err := (&credentials{f: f}).find(ctx, host, "")
	if err != nil {
		return render.Result{}, err
	}
	if found.from == "" {
		return render.Result{}, fmt.Errorf("not logged in to %s: %w", host, content.ErrUnauthorized)
	}
	user := cmp.Or(found.Username, "<token>")
	value := LoginResult{Host: host, User: user, From: found.from}
	return render.Result{Value: value, Lines: []string{user}, Quiet: []string{user}}, nil
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
	keeper, file, err := f.keeper(host)
	if err != nil {
		return render.Result{}, err
	}
	if err := f.confirmHost(ctx, host); err != nil {
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
	result := LoginResult{Host: host, Store: string(keeper.helper)}
	if keeper.helper != "" {
		err = keeper.store(ctx, keeper.key, c)
	} else {
		result.File = file.path
		err = file.store(ctx, host, c)
	}
	if err != nil {
		return render.Result{}, err
	}
	if keeper.helper == "" {
		f.Warn("the credential is kept unencrypted in %s, for base64 hides nothing; a credential helper keeps it better", file.path)
	}
	if place := f.placeBefore(host, file); keeper.helper == "" && place != "" {
		f.Warn("%s has a credential for %s too, and counts before %s", place, host, file.path)
	}
	return render.Result{Value: result, Lines: []string{"Login Succeeded"}, Quiet: []string{}}, nil
}

// A keeper is a helper that keeps the credential for a host, under a key: docker
// has a name of its own for Docker Hub there, podman has not.
type keeper struct {
	helper
	key string
}

// keeper returns who keeps the credential for host: the helper that registries.conf
// has asked first, or the one that the file in use names, else, with no helper,
// that file itself.
func (f *Factory) keeper(host string) (keeper, *authFile, error) {
	file, err := f.authFileInUse()
	if err != nil {
		return keeper{}, nil, err
	}
	order, err := f.credentialHelpers()
	if err != nil {
		return keeper{}, nil, err
	}
	k := keeper{file.keeper(host), host}
	if first := order.Value[0]; first != config.AuthFiles {
		k.helper = helper(first)
	} else if file.format == dockers {
		k.key = hostKey(host)
	}
	return k, file, nil
}

// placeBefore returns the place before file that has something for host itself, ""
// for none. One that cannot be read will be complained of when it is used.
func (f *Factory) placeBefore(host string, file *authFile) string {
	files, err := f.authFiles()
	if err != nil {
		return ""
	}
	for _, other := range files {
		if other.path == file.path {
			break
		}
		if other.spellsOut(host) {
			return other.path
		}
	}
	return ""
}

// confirmHost asks whether host is what was meant where it looks like one that
// everybody knows, before it is shown anything.
func (f *Factory) confirmHost(ctx context.Context, host string) error {
	known := doctor.LooksLike(host)
	switch {
	case known == "":
		return nil
	case !term.IsTerminal(f.In):
		f.warnOfLookAlike(host)
		return nil
	}
	said, err := f.prompt(ctx, host+" looks like "+known+" and is not. Log in there all the same? [y/N] ", aloud)
	if err == nil && !slices.Contains([]string{"y", "yes"}, strings.ToLower(said)) {
		err = usagef("%s was sent nothing; to log in to %s: wherry login %s", host, known, known)
	}
	return err
}

// warnOfLookAlike warns of a host that is about to be shown a credential, where it
// looks like one that everybody knows.
func (f *Factory) warnOfLookAlike(host string) {
	if known := doctor.LooksLike(host); known != "" {
		f.Warn("%s looks like %s and is not: whoever has it is shown the credential", host, known)
	}
}

// store puts c into the file.
func (a *authFile) store(ctx context.Context, host string, c registry.Credential) error {
	entry, err := json.Marshal(authEntry{ //nolint:gosec // of the two only one is there, and storing it is the point
		Auth:          base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password)),
		IdentityToken: c.IdentityToken,
	})
	if err != nil {
		return err
	}
	return editAuthFile(ctx, a.path, func(auths map[string]json.RawMessage) {
		auths[hostKey(host)] = entry
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
