package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/registry"
)

// write makes files below dir, with the folders they need.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// auth is a file with one entry: USER:password in base64.
func auth(host, user string) string {
	encoded := map[string]string{"flag": "ZmxhZzpw", "env": "ZW52OnA=", "named": "bmFtZWQ6cA==", "docker": "ZG9ja2VyOnA=", "runtime": "cnVudGltZTpw", "podman": "cG9kbWFuOnA=", "home": "aG9tZTpw"}
	return `{"auths": {"` + host + `": {"auth": "` + encoded[user] + `"}}}`
}

func TestCredentialsComeFromTheFirstPlaceThatHasThem(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"flag.json":                         auth("q.io", "flag"),
		"named.json":                        auth("q.io", "named"),
		"docker/config.json":                auth("q.io", "docker"),
		"run/containers/auth.json":          auth("q.io", "runtime"),
		"home/.config/containers/auth.json": auth("q.io", "podman"),
		"home/.docker/config.json":          auth("q.io", "home"),
	})
	env := []string{
		"HOME", dir + "/home", "XDG_RUNTIME_DIR", dir + "/run", "DOCKER_CONFIG", dir + "/docker",
		"REGISTRY_AUTH_FILE", dir + "/named.json", "DOCKER_AUTH_CONFIG", auth("q.io", "env"),
	}
	// With each variable more another place speaks.
	for i, want := range []string{"home", "runtime", "docker", "named", "env"} {
		set := map[string]string{}
		for k := 0; k <= 2*i; k += 2 {
			set[env[k]] = env[k+1]
		}
		t.Run(want, func(t *testing.T) {
			set["XDG_CONFIG_HOME"] = dir + "/none"
			f := testFactory(t, set)
			if got := lookUp(t, f, "q.io"); got.Username != want || got.Password != "p" {
				t.Errorf("got %q, want %q", got.Username, want)
			}
		})
	}
	f := testFactory(t, map[string]string{"HOME": dir + "/home"})
	if got := lookUp(t, f, "q.io"); got.Username != "podman" {
		t.Errorf("got %q, want podman's file before docker's", got.Username)
	}
	f = testFactory(t, map[string]string{"HOME": dir + "/home", "REGISTRY_AUTH_FILE": dir + "/named.json"})
	f.Flags.AuthFile = dir + "/flag.json"
	if got := lookUp(t, f, "q.io"); got.Username != "flag" {
		t.Errorf("got %q, want what --authfile says", got.Username)
	}
	if got := lookUp(t, f, "other.io"); got != (registry.Credential{}) {
		t.Errorf("got %q for a host that --authfile does not have, want nothing", got.Username)
	}
}

func lookUp(t *testing.T, f *Factory, host string) registry.Credential {
	t.Helper()
	got, err := (&credentials{f: f}).forRepository(t.Context(), host, "")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCredentialsAreFoundUnderEverySpellingOfAHost(t *testing.T) {
	tests := []struct{ key, host, want string }{
		{"https://index.docker.io/v1/", "docker.io", "home"},
		{"index.docker.io", "docker.io", "home"},
		{"docker.io", "docker.io", "home"},
		{"registry-1.docker.io", "docker.io", "home"},
		{"https://q.io", "q.io", "home"},
		{"https://q.io/v2/", "q.io", "home"},
		{"http://q.io:5000", "q.io:5000", "home"},
		{"q.io:5000", "q.io", ""},
		{"q.io", "q.io:5000", ""},
		{"q.io/team", "q.io", ""}, // for a part of the host only
		{"evil-q.io", "q.io", ""},
	}
	for _, tt := range tests {
		t.Run(tt.key, func(t *testing.T) {
			home := t.TempDir()
			write(t, home, map[string]string{".docker/config.json": auth(tt.key, "home")})
			f := testFactory(t, map[string]string{"HOME": home})
			if got := lookUp(t, f, tt.host); got.Username != tt.want {
				t.Errorf("%s under %s: got %q, want %q", tt.host, tt.key, got.Username, tt.want)
			}
		})
	}
}

func TestCredentialsHaveAllForms(t *testing.T) {
	tests := []struct {
		entry string
		want  registry.Credential
	}{
		{`{"auth": "dTpwOnE="}`, registry.Credential{Username: "u", Password: "p:q"}},
		{`{"username": "u", "password": "p"}`, registry.Credential{Username: "u", Password: "p"}},
		{`{"auth": "dTpw", "identitytoken": "t"}`, registry.Credential{Username: "u", Password: "p", IdentityToken: "t"}},
		{`{"registrytoken": "t"}`, registry.Credential{RegistryToken: "t"}},
		{`{}`, registry.Credential{}},
	}
	for _, tt := range tests {
		home := t.TempDir()
		write(t, home, map[string]string{".docker/config.json": "\xef\xbb\xbf" + `{"auths": {"q.io": ` + tt.entry + `}, "more": 1}`})
		if got := lookUp(t, testFactory(t, map[string]string{"HOME": home}), "q.io"); got != tt.want {
			t.Errorf("%s gives %#v", tt.entry, got)
		}
	}
}

func TestABrokenFileOfCredentialsIsNamedAndNotShown(t *testing.T) {
	for _, text := range []string{`{"auths": {"q.io": {"auth": "s3cret!"}}}`, `{"auths": {"q.io": {"auth": "czNjcmV0"}}}`, `{"auths": s3cret`, `{"auths": ["s3cret"]}`} {
		home := t.TempDir()
		write(t, home, map[string]string{".docker/config.json": text})
		_, err := (&credentials{f: testFactory(t, map[string]string{"HOME": home})}).forRepository(t.Context(), "q.io", "")
		if err == nil || !strings.Contains(err.Error(), "config.json") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestLoginWritesToTheFileInUse(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"podman/.config/containers/auth.json": `{"auths": {}}`,
		"both/.config/containers/auth.json":   `{"auths": {}}`,
		"both/.docker/config.json":            `{"auths": {}}`,
		"docker/.docker/config.json":          `{"auths": {}}`,
		"none/x":                              "",
	})
	tests := []struct {
		name string
		env  map[string]string
		flag string
		want string
	}{
		{"nothing there: docker's", map[string]string{"HOME": dir + "/none"}, "", dir + "/none/.docker/config.json"},
		{"docker's", map[string]string{"HOME": dir + "/docker"}, "", dir + "/docker/.docker/config.json"},
		{"podman's", map[string]string{"HOME": dir + "/podman"}, "", dir + "/podman/.config/containers/auth.json"},
		{"the first that is read", map[string]string{"HOME": dir + "/both"}, "", dir + "/both/.config/containers/auth.json"},
		{"DOCKER_CONFIG", map[string]string{"HOME": dir + "/both", "DOCKER_CONFIG": dir + "/dc"}, "", dir + "/dc/config.json"},
		{"REGISTRY_AUTH_FILE", map[string]string{"HOME": dir + "/both", "REGISTRY_AUTH_FILE": dir + "/raf.json"}, "", dir + "/raf.json"},
		{"--authfile", map[string]string{"HOME": dir + "/both", "REGISTRY_AUTH_FILE": dir + "/raf.json"}, dir + "/flag.json", dir + "/flag.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := testFactory(t, tt.env)
			f.Flags.AuthFile = tt.flag
			file, err := f.authFileInUse()
			if err != nil {
				t.Fatal(err)
			}
			if filepath.ToSlash(file.path) != filepath.ToSlash(tt.want) {
				t.Errorf("got %s, want %s", file.path, tt.want)
			}
		})
	}
}

func TestLoginTakesAnEmptyFileOfCredentials(t *testing.T) {
	for _, text := range []string{"", " ", "null", "{}", `{"auths": null}`} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := editAuthFile(t.Context(), path, func(auths map[string]json.RawMessage) { auths["r.example"] = []byte("{}") }); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if raw, err := os.ReadFile(path); err != nil || !strings.Contains(string(raw), "r.example") {
			t.Errorf("%q became %q, %v", text, raw, err)
		}
	}
}

func TestAFileOfCredentialsKeepsWhatItHas(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"real.json": `{"plugins": {"x": {"y": "z"}}, "auths": {"other.io": {"auth": "YTpi", "email": "e"}}, "n": 12345678901234567890}`})
	path := filepath.Join(dir, "link.json")
	if err := os.Symlink("real.json", path); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	file := &authFile{path: path}
	if err := file.store(t.Context(), "docker.io", registry.Credential{Username: "u", Password: "p"}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "real.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"https://index.docker.io/v1/"`, `"dTpw"`, `"email": "e"`, `"y": "z"`, "12345678901234567890"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s is gone:\n%s", want, raw)
		}
	}
	if !json.Valid(raw) {
		t.Errorf("not JSON:\n%s", raw)
	}
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v", fi.Mode(), err)
	}
	if fi, err = os.Stat(path); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", fi.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("there are %v, %v: temporary files stay behind", entries, err)
	}
}

func TestPasswordsOfBothEndsStandOnStandardInput(t *testing.T) {
	f := testFactory(t, nil)
	f.In = strings.NewReader("one\r\ntwo\nthe rest")
	*f.Flags = Flags{Username: "a", PasswordStdin: true, DstUsername: "b", DstPasswordStdin: true}
	f.noteEnds([]string{"src.io/a", "oci:layout", "dst.io/b"})
	given, err := f.flagCredentials(f.SrcHost, f.DstHost)
	if err != nil {
		t.Fatal(err)
	}
	if given["src.io"] != (registry.Credential{Username: "a", Password: "one"}) || given["dst.io"] != (registry.Credential{Username: "b", Password: "two"}) {
		t.Errorf("got %d credentials for the wrong hosts", len(given))
	}
	rest := make([]byte, 8)
	if n, err := f.In.Read(rest); err != nil || string(rest[:n]) != "the rest" {
		t.Errorf("left on standard input: %q, %v", rest[:n], err)
	}
}
