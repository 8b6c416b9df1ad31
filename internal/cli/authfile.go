package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/wherry-dev/wherry/internal/durable"
	"github.com/wherry-dev/wherry/registry"
)

// maxAuthFile is more than any file of credentials has.
const maxAuthFile = 1 << 20

// An authFile is docker's config.json or podman's auth.json.
// https://github.com/containers/image/blob/v5.32.0/docs/containers-auth.json.5.md
// https://docs.docker.com/reference/cli/docker/login/#credential-helpers
type authFile struct {
	path   string // DOCKER_AUTH_CONFIG for what came from the environment
	format authFormat

	Auths       map[string]authEntry `json:"auths"`
	CredHelpers map[string]string    `json:"credHelpers"`
	CredsStore  string               `json:"credsStore"`
}

type authEntry struct {
	Auth          string `json:"auth,omitempty"` // base64 of user:password
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
}

// An authPlace is where a file of credentials may be.
type authPlace struct {
	path   string
	format authFormat
}

// read reads the file. One that is not there is [fs.ErrNotExist], one that is
// broken an error which names it.
func (p authPlace) read() (*authFile, error) {
	raw, err := readBounded(p.path, maxAuthFile)
	if err != nil {
		return nil, err
	}
	a := &authFile{path: p.path, format: p.format}
	return a, a.parse(p.path, raw)
}

// parse reads raw, which name calls in messages. They show nothing of it.
func (a *authFile) parse(name string, raw []byte) error {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	err := json.Unmarshal(raw, a)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		err = fmt.Errorf("credentials in %s: not JSON, at byte %d", name, syntax.Offset)
	case err != nil:
		err = fmt.Errorf("credentials in %s: not of the form docker and podman write", name)
	default:
		return nil
	}
	return &credentialError{err, "mend " + name}
}

// A credentialError is a place of credentials that is broken. It is not passed
// over: who would be logged in is not known.
type credentialError struct {
	err  error
	mend string // what to do about it
}

func (e *credentialError) Error() string { return e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

// readBounded reads a file that is small. Pipes, which nobody may write to, and
// folders are refused, as registry/config does; an empty device is an empty file.
func readBounded(path string, most int64) (raw []byte, err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && info.Mode()&fs.ModeCharDevice == 0 {
		return nil, usagef("%s: not a file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	raw, err = io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(raw)) > most {
		err = usagef("%s: more than %d bytes", path, most)
	}
	return raw, err
}

// keeper returns the credential helper that keeps what host is shown, "" for none:
// the one for the host, else one for a pattern that it fits, else the one for all.
// A pattern leaves out a host that stands in the file itself.
func (a *authFile) keeper(host string) helper {
	key, found := dockers.bestKey(maps.Keys(a.CredHelpers), host, "")
	if found && (!dockers.parse(key).isPattern() || !a.spellsOut(host)) {
		return helper(a.CredHelpers[key])
	}
	return helper(a.CredsStore)
}

// names reports whether the file names a credential helper for that very host.
func (a *authFile) names(host string) bool {
	key, found := dockers.bestKey(maps.Keys(a.CredHelpers), host, "")
	return found && !dockers.parse(key).isPattern()
}

// spellsOut reports whether something stands in the file itself for that very host.
func (a *authFile) spellsOut(host string) bool {
	key, found := a.entryKey(host, "")
	return found && !a.format.parse(key).isPattern()
}

// entryKey returns the key of what stands in the file itself for a repository of
// host. Docker leaves empty entries there for what a helper keeps.
func (a *authFile) entryKey(host, repository string) (string, bool) {
	return a.format.bestKey(func(yield func(string) bool) {
		for key, entry := range a.Auths {
			if entry != (authEntry{}) && !yield(key) {
				return
			}
		}
	}, host, repository)
}

// entry returns what stands in the file itself under a key.
func (a *authFile) entry(key string) (registry.Credential, error) {
	c, err := a.Auths[key].credential()
	if err != nil {
		err = &credentialError{fmt.Errorf("credentials for %s in %s: %w", key, a.path, err), "mend " + a.path}
	}
	return c, err
}

func (e authEntry) credential() (registry.Credential, error) {
	c := registry.Credential{
		Username:      e.Username,
		Password:      e.Password,
		IdentityToken: e.IdentityToken,
		RegistryToken: e.RegistryToken,
	}
	if e.Auth == "" {
		return c, nil
	}
	raw, err := base64.StdEncoding.DecodeString(e.Auth)
	if err != nil {
		return c, errors.New(`"auth" is not base64`)
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if !ok || user == "" {
		return c, errors.New(`"auth" is not USER:PASSWORD`)
	}
	c.Username, c.Password = user, strings.TrimRight(password, "\x00")
	return c, nil
}

// editAuthFile changes the file at path, which need not be there: change gets its
// entries, by key, and everything else in it stays as it is. The file is
// replaced at once, readable by its owner only; a link to it stays one. One
// process does so at a time: what others write meanwhile is not lost.
func editAuthFile(ctx context.Context, path string, change func(auths map[string]json.RawMessage)) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	lock, err := durable.Acquire(ctx, root, "."+filepath.Base(path)+".lock", nil)
	if err != nil {
		return fmt.Errorf("credentials in %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	raw, err := changed(path, change)
	if err != nil {
		return err
	}
	return replaceFile(root, filepath.Base(path), raw)
}

// changed returns what the file at path becomes by change.
func changed(path string, change func(auths map[string]json.RawMessage)) ([]byte, error) {
	all := map[string]json.RawMessage{}
	raw, err := readBounded(path, maxAuthFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(raw)) > 0:
		if err := json.Unmarshal(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), &all); err != nil {
			return nil, fmt.Errorf("credentials in %s: not of the form docker and podman write", path)
		}
	}
	if all == nil { // the file says null
		all = map[string]json.RawMessage{}
	}
	auths := map[string]json.RawMessage{}
	if part, ok := all["auths"]; ok {
		if err := json.Unmarshal(part, &auths); err != nil {
			return nil, fmt.Errorf("credentials in %s: auths is no object", path)
		}
	}
	if auths == nil {
		auths = map[string]json.RawMessage{}
	}
	change(auths)
	if all["auths"], err = json.Marshal(auths); err != nil {
		return nil, err
	}
	raw, err = json.MarshalIndent(all, "", "\t")
	return append(raw, '\n'), err
}

// replaceFile puts raw in place of file name, in one step.
func replaceFile(root *os.Root, name string, raw []byte) error {
	temporary := "." + name + ".new" // of whoever holds the lock
	if err := root.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = durable.Publish(root, temporary, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return nil
}
