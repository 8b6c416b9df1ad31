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
// then what those whom registries.conf names have, in its order, files among them,
// then what a cloud gives.
type credentials struct {
	f    *Factory
	host map[string]registry.Credential // from flags, by host
}

// A found credential is one and where it comes from, "" for none.
type found struct {
	registry.Credential
	from string
}

// forRepository is a registry.CredentialFunc.
func (c *credentials) forRepository(ctx context.Context, host, repository string) (registry.Credential, error) {
	f, err := c.find(ctx, host, repository)
	c.f.shown.note(host, f.from)
	return f.Credential, err
}

// find returns what host is shown for a repository of it, "" for what is about
// none, and where that comes from.
func (c *credentials) find(ctx context.Context, host, repository string) (found, error) {
	if given, ok := c.host[host]; ok {
		c.f.Log().InfoContext(ctx, "credential from the command line", "host", host)
		return found{given, "the command line"}, nil
	}
	places, broken := c.f.credentialPlaces(question{host, repository})
	for _, place := range places {
		got, err := c.f.foundIn(ctx, place, question{host, repository})
		if got.from != "" {
			c.f.Log().InfoContext(ctx, "credential", "host", host, "from", got.from)
		}
		if err != nil || got.from != "" {
			return got, err
		}
	}
	if broken != nil {
		return found{}, broken
	}
	c.f.Log().InfoContext(ctx, "no credential", "host", host)
	return found{}, nil
}

// authFiles reads the places of credentials, in the order in which they count.
func (f *Factory) authFiles() ([]*authFile, error) {
	if path := f.Flags.AuthFile; path != "" {
		file, err := authPlace{path, podmans}.read()
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
	for _, place := range f.authPlaces() {
		file, err := place.read()
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

// authPlaces lists the files that may have credentials, in the order in which
// they count: what the environment names, podman's, docker's.
func (f *Factory) authPlaces() []authPlace {
	var places []authPlace
	if path := f.Env("REGISTRY_AUTH_FILE"); path != "" {
		places = append(places, authPlace{path, podmans})
	}
	if dir := f.Env("DOCKER_CONFIG"); dir != "" {
		places = append(places, authPlace{filepath.Join(dir, "config.json"), dockers})
	}
	if dir := f.Env("XDG_RUNTIME_DIR"); dir != "" {
		places = append(places, authPlace{filepath.Join(dir, "containers", "auth.json"), podmans})
	}
	if dir := f.configFolder(); dir != "" {
		places = append(places, authPlace{filepath.Join(dir, "containers", "auth.json"), podmans})
	}
	if home := f.home(); home != "" && f.Env("DOCKER_CONFIG") == "" {
		places = append(places, authPlace{filepath.Join(home, ".docker", "config.json"), dockers})
	}
	return places
}

// authFileInUse returns the file that login and logout write to: the one a flag
// or the environment names, else the first there is, else docker's.
func (f *Factory) authFileInUse() (*authFile, error) {
	places := f.authPlaces()
	if path := f.Flags.AuthFile; path != "" {
		places = []authPlace{{path, podmans}}
	}
	if len(places) == 0 {
		return nil, errors.New("there is no home folder to keep credentials in; name a file with --authfile")
	}
	named := f.Flags.AuthFile != "" || f.Env("REGISTRY_AUTH_FILE") != "" || f.Env("DOCKER_CONFIG") != ""
	for _, place := range places {
		file, err := place.read()
		switch {
		case errors.Is(err, fs.ErrNotExist) && named:
			return &authFile{path: place.path, format: place.format}, nil
		case errors.Is(err, fs.ErrNotExist):
			continue
		}
		return file, err
	}
	last := places[len(places)-1]
	return &authFile{path: last.path, format: last.format}, nil
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
		f.warnOfLookAlike(end.host)
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
