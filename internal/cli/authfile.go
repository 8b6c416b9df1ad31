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
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/internal/durable"
	"github.com/wherry-dev/wherry/registry"
)

// hubKey is under what the credentials of Docker Hub stand, for reasons of
// history.
const hubKey = "https://index.docker.io/v1/"

// maxAuthFile is more than any file of credentials has.
const maxAuthFile = 1 << 20

// An authFile is docker's config.json or podman's auth.json.
// https://github.com/containers/image/blob/v5.32.0/docs/containers-auth.json.5.md
type authFile struct {
	path string // empty for what came from the environment

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

// readAuthFile reads the file at path. One that is not there is
// [fs.ErrNotExist], one that is broken an error which names it.
func readAuthFile(path string) (*authFile, error) {
	raw, err := readBounded(path, maxAuthFile)
	if err != nil {
		return nil, err
	}
	a := &authFile{path: path}
	return a, a.parse(path, raw)
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
		return fmt.Errorf("credentials in %s: not JSON, at byte %d", name, syntax.Offset)
	case err != nil:
		return fmt.Errorf("credentials in %s: not of the form docker and podman write", name)
	}
	return nil
}

func readBounded(path string, most int64) (raw []byte, err error) {
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

// helper returns the name of the credential helper for host, or nothing.
func (a *authFile) helper(host string) string {
	for key, name := range a.CredHelpers {
		if authHost(key) == host {
			return name
		}
	}
	return a.CredsStore
}

// entry returns what stands in the file itself for host. Where it stands there
// under several spellings, the likeliest counts.
func (a *authFile) entry(host string) (registry.Credential, bool, error) {
	for _, key := range slices.Concat(authKeys(host), slices.Sorted(maps.Keys(a.Auths))) {
		e := a.Auths[key]
		if authHost(key) != host || e == (authEntry{}) {
			continue
		}
		c, err := e.credential()
		if err != nil {
			return c, false, fmt.Errorf("credentials for %s in %s: %w", host, a.path, err)
		}
		return c, true, nil
	}
	return registry.Credential{}, false, nil
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

// authKey returns the key under which credentials for host are written.
func authKey(host string) string {
	if host == registry.DockerHub {
		return hubKey
	}
	return host
}

// authKeys returns how others may have written host, the likeliest first.
func authKeys(host string) []string {
	if host == registry.DockerHub {
		return []string{hubKey, registry.DockerHub, "index.docker.io"}
	}
	return []string{host}
}

// authHost returns which host a key is about: docker's older keys are URLs.
// A key for a part of a host only, as podman has them, is about none.
func authHost(key string) string {
	host := strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, path, _ := strings.Cut(host, "/")
	switch strings.Trim(path, "/") {
	case "", "v1", "v2":
	default:
		return ""
	}
	return registry.HostName(host)
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
