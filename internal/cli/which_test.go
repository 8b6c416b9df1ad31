package cli

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/registry"
)

// offline returns a factory that fails the test where a client is wanted.
func offline(t *testing.T, env map[string]string) *Factory {
	t.Helper()
	f := testFactory(t, env)
	errClient := errors.New("a client was asked for")
	f.Client = func() (*registry.Client, error) { t.Error(errClient); return nil, errClient }
	f.Opener = func() (*endpoint.Opener, error) { t.Error(errClient); return nil, errClient }
	return f
}

func TestWhereCredentialsWouldBeFound(t *testing.T) {
	const helper = `{"credHelpers": {"h.test": "one"}, "auths": {"b.test": {"auth": "not-base64!"}}}`
	const entries = `{"credsStore": "two", "auths": {"p.test": {"auth": "YW5uOmNhbmFyeQ=="}, "i.test": {"identitytoken": "canary"}, "r.test": {"registrytoken": "canary"}}}`
	tests := []struct {
		host string
		want []WhichCredential
	}{
		{"h.test", []WhichCredential{{"helper one", "DOCKER_AUTH_CONFIG"}, {"helper two", "$FILE"}}},
		{"p.test", []WhichCredential{{"helper two", "$FILE"}, {"password", "$FILE"}}},
		{"i.test", []WhichCredential{{"helper two", "$FILE"}, {"identity token", "$FILE"}}},
		{"r.test", []WhichCredential{{"helper two", "$FILE"}, {"registry token", "$FILE"}}},
	}
	for _, tt := range tests {
		home := t.TempDir()
		write(t, home, map[string]string{".docker/config.json": entries})
		f := offline(t, map[string]string{"HOME": home, "DOCKER_AUTH_CONFIG": helper})
		w, err := f.which(tt.host)
		if err != nil {
			t.Fatal(err)
		}
		for i := range tt.want {
			tt.want[i].From = strings.ReplaceAll(tt.want[i].From, "$FILE", home+"/.docker/config.json")
		}
		if diff := cmp.Diff(tt.want, w.Hosts[0].Credentials); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.host, diff)
		}
	}
	home := t.TempDir()
	write(t, home, map[string]string{"auth.json": `{"credsStore": "two", "auths": {"q.test/team": {"auth": "YW5uOmNhbmFyeQ=="}}}`})
	w, err := offline(t, map[string]string{"REGISTRY_AUTH_FILE": home + "/auth.json"}).which("q.test/team/app")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]WhichCredential{{"password", home + "/auth.json (q.test/team)"}}, w.Hosts[0].Credentials); diff != "" {
		t.Errorf("a part of a host (-want +got):\n%s", diff)
	}
	w, err = offline(t, map[string]string{"DOCKER_AUTH_CONFIG": helper}).which("b.test/app")
	if err != nil {
		t.Fatal(err)
	}
	if h := w.Hosts[0]; !strings.Contains(h.Problem, "DOCKER_AUTH_CONFIG") || strings.Contains(h.Problem, "not-base64!") {
		t.Errorf("an entry that is broken: %q", h.Problem)
	}
}

// Neither verb shows what stands behind a proxy's port, or quotes a password where
// none should be.
func TestWhichAndInfoQuoteNoPassword(t *testing.T) {
	home := t.TempDir()
	write(t, home, map[string]string{
		".docker/daemon.json": `{"proxies": {"http-proxy": "http://p.test:1/c4nary?c4nary"}}`,
		"mirror.conf":         "[[registry]]\nlocation = 'a.test'\n[[registry.mirror]]\nlocation = 'u:c4nary@m.test'\n",
		"nan.yaml":            "registries: {a.test: {requestsPerSecond: .nan}}\n",
	})
	info, err := offline(t, map[string]string{"HOME": home, "WHERRY_OWN_ONLY": ""}).info()
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(info.lines(), "\n"); strings.Contains(said, "c4nary") || !strings.Contains(said, "http://p.test:1\n") {
		t.Errorf("info says:\n%s", said)
	}
	for _, tt := range []struct{ name, variable, value, want string }{
		{"a mirror", "CONTAINERS_REGISTRIES_CONF", home + "/mirror.conf", home + "/mirror.conf:4:12: a location that is not"},
		{"a proxy", "HTTPS_PROXY", "http:/u:c4nary@p.test", "HTTPS_PROXY: not the URL of a proxy"},
		{"a rate", "WHERRY_CONFIG", home + "/nan.yaml", "a number that is none"},
	} {
		f := offline(t, map[string]string{"HOME": home, "WHERRY_OWN_ONLY": "", tt.variable: tt.value})
		_, err := f.which("a.test/b")
		if _, isUsage := errors.AsType[*usageError](err); !isUsage || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "c4nary") {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestFilesThatMayNotBeReadAreNamed(t *testing.T) {
	home := t.TempDir()
	write(t, home, map[string]string{".docker/daemon.json": "{}"})
	path := home + "/.docker/daemon.json"
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	unprivileged(t, home)
	if f, err := os.Open(path); err == nil {
		_ = f.Close()
		t.Skip("this user may read every file") // an administrator of Windows, say
	}
	f := offline(t, map[string]string{"HOME": home, "WHERRY_OWN_ONLY": ""})
	w, err := f.which("a.test")
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.info()
	if err != nil {
		t.Fatal(err)
	}
	for _, lines := range []string{strings.Join(info.lines(), "\n"), w.Files[len(w.Files)-1].Unread} {
		if !strings.Contains(lines, "permission denied") {
			t.Errorf("%s does not say that a file may not be read", lines)
		}
	}
	var warned strings.Builder
	f = newFactory(Stdio{In: strings.NewReader(""), Out: &warned, Err: &warned}, testEnv(t, map[string]string{"HOME": home, "WHERRY_OWN_ONLY": ""}))
	for range 2 {
		if _, err := f.View(); err != nil {
			t.Fatal(err)
		}
	}
	want := "wherry: warning: " + path + " is left out: open " + path + ": permission denied\n"
	if said := warned.String(); strings.Count(said, want) != 1 || strings.Contains(said, "short-name-aliases") {
		t.Errorf("got %q, want %q once", said, want)
	}
}
