package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/wherry-dev/wherry/registry"
)

// credentials finds what hosts are shown: what the flags say for one host each,
// then the first of the files that has something.
type credentials struct {
	f    *Factory
	host map[string]registry.Credential // from flags, by host
}

// forHost is a registry.CredentialFunc.
func (c *credentials) forHost(ctx context.Context, host, _ string) (registry.Credential, error) {
	found, _, err := c.find(ctx, host)
	return found, err
}

// find returns what host is shown, and where that comes from.
func (c *credentials) find(ctx context.Context, host string) (registry.Credential, string, error) {
	if given, ok := c.host[host]; ok {
		c.f.Log().InfoContext(ctx, "credential from the command line", "host", host)
		return given, "the command line", nil
	}
	files, err := c.f.authFiles()
	if err != nil {
		return registry.Credential{}, "", err
	}
	for _, file := range files {
		found, ok, err := file.lookUp(ctx, host)
		if ok {
			c.f.Log().InfoContext(ctx, "credential", "host", host, "from", file.path)
		}
		if err != nil || ok {
			return found, file.path, err
		}
	}
	c.f.Log().InfoContext(ctx, "no credential", "host", host)
	return registry.Credential{}, "", nil
}

// lookUp returns what a file has for host, by the helper it names or itself.
func (a *authFile) lookUp(ctx context.Context, host string) (registry.Credential, bool, error) {
	if name := a.helper(host); name != "" {
		c, err := helper(name).get(ctx, host)
		switch {
		case err == nil && c != (registry.Credential{}):
			return c, true, nil
		case err != nil && !errors.Is(err, errNoCredentials):
			return c, false, fmt.Errorf("%s: %w", a.path, err)
		}
	}
	return a.entry(host)
}

// authFiles reads the places of credentials, in the order in which they count.
func (f *Factory) authFiles() ([]*authFile, error) {
	if path := f.Flags.AuthFile; path != "" {
		file, err := readAuthFile(path)
		return []*authFile{file}, namedFile("--authfile", err)
	}
	var files []*authFile
	if raw := f.Env("DOCKER_AUTH_CONFIG"); raw != "" {
		file := &authFile{path: "DOCKER_AUTH_CONFIG"}
		if err := file.parse(file.path, []byte(raw)); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	for _, path := range f.authPaths() {
		file, err := readAuthFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// checkAuthFile refuses a file for --authfile that is not there, whether or not a
// credential will be wanted. Login makes one.
func (f *Factory) checkAuthFile() error {
	if f.Flags.AuthFile == "" || f.runs("login") {
		return nil
	}
	_, err := f.authFiles()
	return err
}

// authPaths lists the files that may have credentials, in the order in which
// they count: what the environment names, podman's, docker's.
func (f *Factory) authPaths() []string {
	var paths []string
	if path := f.Env("REGISTRY_AUTH_FILE"); path != "" {
		paths = append(paths, path)
	}
	if dir := f.Env("DOCKER_CONFIG"); dir != "" {
		paths = append(paths, filepath.Join(dir, "config.json"))
	}
	if dir := f.Env("XDG_RUNTIME_DIR"); dir != "" {
		paths = append(paths, filepath.Join(dir, "containers", "auth.json"))
	}
	if dir := f.configFolder(); dir != "" {
		paths = append(paths, filepath.Join(dir, "containers", "auth.json"))
	}
	if home := f.home(); home != "" && f.Env("DOCKER_CONFIG") == "" {
		paths = append(paths, filepath.Join(home, ".docker", "config.json"))
	}
	return paths
}

// authFileInUse returns the file that login and logout write to: the one a flag
// or the environment names, else the first there is, else docker's.
func (f *Factory) authFileInUse() (*authFile, error) {
	paths := f.authPaths()
	if path := f.Flags.AuthFile; path != "" {
		paths = []string{path}
	}
	if len(paths) == 0 {
		return nil, errors.New("there is no home folder to keep credentials in; name a file with --authfile")
	}
	named := f.Flags.AuthFile != "" || f.Env("REGISTRY_AUTH_FILE") != "" || f.Env("DOCKER_CONFIG") != ""
	for _, path := range paths {
		file, err := readAuthFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && named:
			return &authFile{path: path}, nil
		case errors.Is(err, fs.ErrNotExist):
			continue
		}
		return file, err
	}
	return &authFile{path: paths[len(paths)-1]}, nil
}

// flagCredentials reads the passwords of --username and --dst-username from
// standard input, one a line.
func (f *Factory) flagCredentials(src, dst string) (map[string]registry.Credential, error) {
	given := map[string]registry.Credential{}
	for _, end := range []struct {
		user, host, flag string
		stdin            bool
	}{
		{f.Flags.Username, src, "--username", f.Flags.PasswordStdin},
		{f.Flags.DstUsername, dst, "--dst-username", f.Flags.DstPasswordStdin},
	} {
		if end.user == "" {
			continue
		}
		if end.host == "" {
			return nil, usagef("%s: no registry is at that end", end.flag)
		}
		password, err := f.readPassword()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", end.flag, err)
		}
		given[end.host] = registry.Credential{Username: end.user, Password: password}
	}
	return given, nil
}

// readPassword reads a password, which is a line, from standard input.
func (f *Factory) readPassword() (string, error) {
	password, err := f.readLine()
	if err == nil && password == "" {
		err = usagef("no password on standard input")
	}
	return password, err
}

// readLine reads one line from standard input, byte by byte: what is behind it
// may be another password, or an archive.
func (f *Factory) readLine() (string, error) {
	const most = 64 << 10
	var b strings.Builder
	one := make([]byte, 1)
	for b.Len() < most {
		n, err := f.In.Read(one)
		if n == 1 && one[0] == '\n' {
			break
		}
		b.Write(one[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return strings.TrimSuffix(b.String(), "\r"), nil
}

// A credentialPlace is where a credential is, or where one may be.
type credentialPlace struct {
	kind string // "password", "identity token", "registry token" or "helper NAME"
	from string // a file, a variable or a flag
}

// whereCredential lists where a credential for a repository is looked for, in
// order, up to the first place that surely has one. No helper is run: whether it
// has one is not known.
func (f *Factory) whereCredential(host, _ string) ([]credentialPlace, error) {
	for _, end := range []struct{ user, host, flag string }{
		{f.Flags.Username, f.SrcHost, "--username"}, {f.Flags.DstUsername, f.DstHost, "--dst-username"},
	} {
		if end.user != "" && end.host == host {
			return []credentialPlace{{"password", end.flag}}, nil
		}
	}
	files, err := f.authFiles()
	if err != nil {
		return nil, err
	}
	var places []credentialPlace
	for _, file := range files {
		if name := file.helper(host); name != "" {
			places = append(places, credentialPlace{"helper " + name, file.path})
		}
		c, ok, err := file.entry(host)
		if ok {
			return append(places, credentialPlace{kindOf(c), file.path}), nil
		}
		if err != nil {
			return places, err
		}
	}
	return places, nil
}

func kindOf(c registry.Credential) string {
	switch {
	case c.RegistryToken != "":
		return "registry token"
	case c.IdentityToken != "":
		return "identity token"
	}
	return "password"
}
