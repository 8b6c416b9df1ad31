package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry/config"
)

// A machine is a folder with the files of a machine: of its system in root, of
// its user in root/home, our own file in root/own.yaml.
type machine struct {
	root string
	env  map[string]string
}

// newMachine writes files, given as path and text.
func newMachine(t *testing.T, files map[string]string) machine {
	t.Helper()
	m := machine{root: t.TempDir(), env: map[string]string{}}
	for path, text := range files {
		m.write(t, path, text)
	}
	return m
}

func (m machine) path(path string) string { return filepath.Join(m.root, filepath.FromSlash(path)) }

func (m machine) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path(path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m machine) from() config.From {
	return config.From{
		Env:  func(name string) string { return strings.ReplaceAll(m.env[name], "$ROOT", m.root) },
		Home: m.path("home"), Root: m.root, Own: m.path("own.yaml"),
	}
}

func (m machine) load(t *testing.T) *config.View {
	t.Helper()
	v, err := config.Load(m.from())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// short is a path, or an origin, as it is on the machine.
func (m machine) short(s string) string {
	return filepath.ToSlash(strings.ReplaceAll(s, m.root+string(filepath.Separator), ""))
}

func (m machine) registry(t *testing.T, v *config.View, name string) *config.Registry {
	t.Helper()
	host, repository, _ := strings.Cut(name, "/")
	r, err := v.Registry(host, repository)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// places are endpoints as host/repository.
func places(endpoints []config.Endpoint) []string {
	var list []string
	for _, e := range endpoints {
		list = append(list, e.Host+"/"+e.Repository)
	}
	return list
}

func TestNothingAnywhereIsTheRegistryItself(t *testing.T) {
	v, err := config.Load(config.From{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := v.Registry("index.docker.io", "nginx")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Origin.Host+r.Origin.Path+"/"+r.Origin.Repository, "docker.io/v2/library/nginx"; got != want {
		t.Errorf("origin %s, want %s", got, want)
	}
	if len(r.Mirrors) > 0 || r.Blocked.Value || r.Origin.Capabilities.Value.String() != "pull,resolve,push" || r.Origin.Settings.Proxy.Set() {
		t.Errorf("got %+v, want nothing set", r)
	}
	if len(v.Files()) > 0 {
		t.Errorf("read %v, want nothing", v.Files())
	}
	if got := (config.Origin{}).String(); got != "default" {
		t.Errorf("origin of nothing is %q", got)
	}
}

func TestFilesAreThoseThatWereThereInOrder(t *testing.T) {
	m := newMachine(t, map[string]string{
		"own.yaml":                                          "registries: {}\n",
		"etc/containers/registries.conf":                    "",
		"usr/share/containers/registries.conf":              "this is not read, and is not TOML",
		"etc/containers/registries.conf.d/20.conf":          "",
		"home/.config/containers/registries.conf.d/10.conf": "",
		"home/.config/containers/registries.conf.d/README":  "no drop-in",
		"home/.cache/containers/short-name-aliases.conf":    "",
		"etc/containerd/certs.d/docker.io/hosts.toml":       "server = 'https://registry-1.docker.io'",
		"etc/containerd/certs.d/quay.io/ca.crt":             "not read before it is used",
		"etc/docker/daemon.json":                            "\ufeff{}",
		"home/.docker/daemon.json":                          "",
	})
	var got []string
	for _, f := range m.load(t).Files() {
		if f.Unread != nil {
			t.Errorf("%s: %v", f.Path, f.Unread)
		}
		got = append(got, m.short(f.Path))
	}
	want := []string{
		"own.yaml", "etc/containers/registries.conf",
		"home/.config/containers/registries.conf.d/10.conf", "etc/containers/registries.conf.d/20.conf",
		"home/.cache/containers/short-name-aliases.conf", "etc/containerd/certs.d/docker.io/hosts.toml", "etc/containerd/certs.d/quay.io",
		"home/.docker/daemon.json", "etc/docker/daemon.json",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOwnBeatsContainersBeatsContainerdBeatsDockerSettingBySetting(t *testing.T) {
	files := map[string]string{
		"own.yaml": `
registries:
  reg.example:
    mirrors: [own.example]
    skipVerify: false
    headers: {X-Own: one, X-Both: own}
`,
		"etc/containers/registries.conf": `
[[registry]]
location = "reg.example"
insecure = true
[[registry.mirror]]
location = "containers.example"
`,
		"etc/containerd/certs.d/reg.example/hosts.toml": `
server = "https://reg.example"
skip_verify = true
dial_timeout = "3s"
[header]
X-Both = "containerd"
X-Containerd = "two"
[host."https://containerd.example"]
`,
		"etc/docker/daemon.json":                    `{"insecure-registries": ["reg.example"]}`,
		"etc/docker/certs.d/reg.example/docker.crt": "",
	}
	steps := []struct {
		without         string
		verify, mirrors string
		skipVerify      bool
		headers         string
	}{
		{"", "own.yaml:5", "own.example/a", false, "X-Both=own.yaml:6 X-Containerd=etc/containerd/certs.d/reg.example/hosts.toml:7 X-Own=own.yaml:6"},
		{"own.yaml", "etc/containers/registries.conf:4", "containers.example/a", true, "X-Both=etc/containerd/certs.d/reg.example/hosts.toml:6 X-Containerd=etc/containerd/certs.d/reg.example/hosts.toml:7"},
		{"etc/containers/registries.conf", "etc/containerd/certs.d/reg.example/hosts.toml:3", "containerd.example/a", true, "X-Both=etc/containerd/certs.d/reg.example/hosts.toml:6 X-Containerd=etc/containerd/certs.d/reg.example/hosts.toml:7"},
		{"etc/containerd/certs.d/reg.example/hosts.toml", "etc/docker/daemon.json:1", "", true, ""},
		{"etc/docker/daemon.json", "default", "", false, ""},
	}
	for _, step := range steps {
		delete(files, step.without)
		m := newMachine(t, files)
		r := m.registry(t, m.load(t), "reg.example/a")
		s := r.Origin.Settings
		if got := m.short(s.SkipVerify.From.String()); got != step.verify || s.SkipVerify.Value != step.skipVerify {
			t.Errorf("without %q: skipVerify is %t by %s, want %t by %s", step.without, s.SkipVerify.Value, got, step.skipVerify, step.verify)
		}
		if got := strings.Join(places(r.Mirrors), " "); got != step.mirrors {
			t.Errorf("without %q: mirrors are %s, want %s", step.without, got, step.mirrors)
		}
		var headers []string
		for _, h := range s.Headers {
			headers = append(headers, h.Name+"="+m.short(h.Values.From.String()))
		}
		if got := strings.Join(headers, " "); got != step.headers {
			t.Errorf("without %q: headers are %s, want %s", step.without, got, step.headers)
		}
		if got := m.short(strings.Join(s.CA.Value, " ")); got != "etc/docker/certs.d/reg.example/docker.crt" {
			t.Errorf("without %q: CA is %s", step.without, got)
		}
	}
}

func TestBrokenFilesAreOneErrorWithTheirPlace(t *testing.T) {
	const (
		own    = "own.yaml"
		conf   = "etc/containers/registries.conf"
		hosts  = "etc/containerd/certs.d/r.example/hosts.toml"
		daemon = "etc/docker/daemon.json"
	)
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	tests := []struct{ name, file, text, want string }{
		{"TOML that is none", conf, "a = 1\nb = = 2\n", conf + ":2:5: not TOML: "},
		{"TOML that ends in the middle", conf, "a = \"x", conf + ":1:"},
		{"a table twice", conf, "[a]\nb=1\n[a]\n", conf + ":3:2: not TOML: "},
		{"a key twice", conf, "a = 1\na = 2\n", conf + ":2:1: not TOML: "},
		{"TOML that is deep", conf, "a = " + deep, conf + ":1:1: more than 32 levels deep"},
		{"a key of many parts", conf, strings.Repeat("a.", 40) + "a = 1", conf + ":1:1: a key of 41 parts"},
		{"insecure that is text", conf, "[[registry]]\nlocation = 'a.example'\ninsecure = 'yes'\n", conf + ":3:12: not true or false"},
		{"a location with a scheme", conf, "[[registry]]\nlocation = 'https://a.example'\n", conf + ":2:12: a location has no scheme: invalid"},
		{"a location with a scheme and a password", conf, "[[registry]]\nlocation = 'https://u:hunter2@a.example'\n", conf + ":2:12: a location has no scheme"},
		{"a location with a password", conf, "[[registry]]\nlocation = 'u:hunter2@a.example'\n", conf + ":2:12: a location that is not of the form HOST[:PORT][/NAMESPACE]"},
		{"a location with a query", conf, "[[registry]]\nlocation = 'a.example/x?y=hunter2'\n", conf + ":2:12: a location that is not"},
		{"a location that is an image", conf, "[[registry]]\nlocation = 'a.example/x@sha256:" + strings.Repeat("a", 64) + "'\n", conf + ":2:12: a location that is not"},
		{"a mirror with a password", conf, "[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\nlocation = 'u:hunter2@m.example'\n", conf + ":4:12: a location that is not"},
		{"a prefix with a password", conf, "[[registry]]\nprefix = 'u:hunter2@a.example'\nlocation = 'b.example'\n", conf + ":2:10: a location that is not"},
		{"a namespace-proxy with a password", conf, "[[registry]]\nlocation = 'a.example'\nnamespace-proxy = 'u:hunter2@b.example'\n", conf + ":3:19: a location that is not"},
		{"a search registry with a password", conf, "unqualified-search-registries = ['u:hunter2@a.example']\n", conf + ":1:34: a location that is not"},
		{"an alias with a password", conf, "[aliases]\na = 'u:hunter2@b.example/c'\n", conf + `:2:5: alias "…@b.example/c" is not HOST/REPOSITORY`},
		{"a password in place of a short name", conf, "[aliases]\n'u:hunter2@b.example/c' = 'b.example/c'\n", conf + `:2:1: "…@b.example/c" is not a short name`},
		{"a password in place of words", conf, "short-name-mode = 'hunter2'\n", conf + ":1:19: short-name-mode of that name: there are"},
		{"a mirror of ours with a query", own, "registries:\n  a.example: {mirrors: ['m.example/x?y=hunter2']}\n", own + `:2:25: "m.example/x?…" is not of the form`},
		{"a mirror of ours with a password and a query", own, "registries:\n  a.example: {mirrors: ['u:h?unter2hunter2@m.example/x?y']}\n", own + `:2:25: "…" is not of the form`},
		{"a mirror of ours with a password and a scheme", own, "registries:\n  a.example: {mirrors: ['u:hunter2@m.example://x']}\n", own + `:2:25: a host has no scheme`},
		{"a proxy with a password and one slash", daemon, `{"proxies": {"https-proxy": "http:/u:hunter2@proxy.example"}}`, daemon + ":1:29: not the URL of a proxy"},
		{"a proxy with a port that is none", daemon, `{"proxies": {"https-proxy": "http://proxy.example:99999"}}`, daemon + ":1:29: not the URL of a proxy"},
		{"a registry without a place", conf, "[[registry]]\nblocked = true\n", conf + ":1:3: a registry with neither a prefix nor a location"},
		{"a prefix without a location", conf, "[[registry]]\nprefix = 'a.example'\n", conf + `:2:10: prefix "a.example" needs a location`},
		{"a wildcard with more behind it", conf, "[[registry]]\nprefix = '*.example/a'\n", conf + `:2:10: prefix "*.example/a": after *. comes a domain and nothing else`},
		{"a mirror without a place", conf, "[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\ninsecure = true\n", conf + ":3:12: a mirror without a location"},
		{"pull-from-mirror of no kind", conf, "[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\nlocation = 'b.example'\npull-from-mirror = 'some'\n", conf + ":5:20: pull-from-mirror \"some\""},
		{"pull-from-mirror and mirror-by-digest-only", conf, "[[registry]]\nlocation = 'a.example'\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = 'b.example'\npull-from-mirror = 'all'\n", conf + ":6:20: "},
		{"pull-from-mirror of a registry", conf, "[[registry]]\nlocation = 'a.example'\npull-from-mirror = 'all'\n", conf + ":3:20: "},
		{"one place with two minds", conf, "[[registry]]\nlocation='a.example'\n[[registry]]\nprefix='b.example'\nlocation='a.example'\nblocked=true\n", conf + ":3:3: "},
		{"a search registry that is none", conf, "unqualified-search-registries = [\n 'a.example',\n 'b/c']\n", conf + `:3:2: "b/c" is not a host`},
		{"a mode of no kind", conf, "short-name-mode = 'maybe'", conf + ":1:19: short-name-mode"},
		{"an alias without a host", conf, "[aliases]\n'a' = 'b/c'\n", conf + `:2:7: alias "b/c"`},
		{"an alias of what is not short", conf, "[aliases]\n'a.example/b' = 'c.example/d'\n", conf + `:2:1: "a.example/b" is not a short name`},
		{"version 1", conf, "[registries.search]\nregistries = ['a.example']\n", conf + ":1:2: a registries.conf of version 1"},
		{"a server that is no URL", hosts, "server = 'https://%zz'\n", hosts + ":1:10: not a URL"},
		{"a server with a password", hosts, "server = 'https://u:hunter2@a.example'\n", hosts + ":1:10: a URL with a user"},
		{"a host of another scheme", hosts, "[host.'ftp://a.example']\n", hosts + ":1:7: a URL that is neither http nor https"},
		{"a capability of no kind", hosts, "[host.'https://a.example']\ncapabilities = ['pull', 'fly']\n", hosts + `:2:25: capability "fly"`},
		{"a client of three files", hosts, "client = [['a', 'b', 'c']]\n", hosts + ":1:"},
		{"a header no server takes", hosts, "[header]\nX-A = \"hunter2\\n\"\n", hosts + ":2:7: header X-A has bytes that no header may have"},
		{"a time that is none", hosts, "dial_timeout = 'soon'\n", hosts + ":1:16: not a duration"},
		{"JSON that is none", daemon, "{\n  \"a\": tru\n}", daemon + ":2:11: not JSON: "},
		{"JSON that ends in the middle", daemon, "{\"a\": [", daemon + ":1:7: not JSON: "},
		{"JSON with more behind it", daemon, "{} {}", daemon + ":1:4: not JSON: "},
		{"JSON that is deep", daemon, `{"a": ` + deep + "}", daemon + ":1:38: more than 32 levels deep"},
		{"JSON that is a list", daemon, "[]", daemon + ":1:1: not a table of settings"},
		{"a mirror that is no URL", daemon, "{\"registry-mirrors\": [\n  \"ftp://m.example\"]}", daemon + ":2:3: a URL that is neither http nor https"},
		{"a proxy with a password that is no URL", daemon, `{"proxies": {"http-proxy": "http://u:hunter2@pro xy"}}`, daemon + ":1:28: not the URL of a proxy"},
		{"YAML that is none", own, "registries:\n  a: [b\n  c: d\n", own + ":"},
		{"YAML with an alias", own, "registries: &r\n  a.example: *r\n", own + ":1:13: an anchor"},
		{"YAML with a merge", own, "registries:\n  <<: {}\n", own + ":2:3: a key that is not a plain word"},
		{"YAML with a key twice", own, "registries:\n  a.example: {}\n  a.example: {}\n", own + `:3:3: a key is here twice`},
		{"YAML of two documents", own, "registries: {}\n---\nregistries: {}\n", own + ":2:1: a second document"},
		{"YAML with a tag", own, "registries: !!binary aGVsbG8=\n", own + ":1:13: a value of kind"},
		{"YAML that is deep", own, "registries: " + deep, own + ":1:44: more than 32 levels deep"},
		{"one host under two names", own, "registries:\n  docker.io: {}\n  index.docker.io: {}\n", own + ":3:3: "},
		{"a setting that nearly exists", own, "registries:\n  a.example:\n    mirors: []\n", own + `:3:5: there is no setting "mirors"; there is "mirrors"`},
		{"a setting that does not exist", own, "registries:\n  a.example:\n    colour: blue\n", own + `:3:5: there is no setting "colour"; there are mirrors, `},
		{"a setting of a mirror that does not exist", own, "registries:\n  a.example:\n    mirrors: [{location: b.example, headers: {}}]\n", own + `:3:37: there is no setting "headers"`},
		{"a host with a scheme", own, "registries:\n  https://a.example: {}\n", own + ":2:3: "},
		{"a host that is none", own, "registries:\n  a b: {}\n", own + ":2:3: "},
		{"a mirror that may be written to", own, "registries:\n  a.example:\n    mirrors: [{location: b.example, capabilities: [push]}]\n", own + ":3:51: a mirror is never written to"},
		{"a key without a certificate", own, "registries:\n  a.example:\n    clientKey: me.key\n", own + ":3:16: clientKey without clientCertificate"},
		{"no requests at once", own, "registries:\n  a.example: {concurrency: 0}\n", own + ":2:28: not a whole number from 1"},
		{"a rate that is none", own, "registries:\n  a.example: {requestsPerSecond: -1}\n", own + ":2:34: not a number from 0.001"},
		{"a rate that is next to nothing", own, "registries:\n  a.example: {requestsPerSecond: 1e-300}\n", own + ":2:34: not a number from 0.001"},
		{"a rate that is no number", own, "registries:\n  a.example: {requestsPerSecond: .nan}\n", own + ":2:34: not a number"},
		{"a rate without an end", own, "registries:\n  a.example: {requestsPerSecond: .inf}\n", own + ":2:34: not a number"},
		{"an address with a scheme", own, "registries:\n  a.example: {address: 'http://b'}\n", own + ":2:24: "},
		{"a header of the connection", own, "registries:\n  a.example:\n    headers: {Host: hunter2}\n", own + ":3:15: header Host is not for a setting"},
		{"a file without an end", own, strings.Repeat("#", 1<<20+1), own + ": more than 1048576 bytes"},
		{"a certificate without a key", "etc/docker/certs.d/a.example/x.cert", "", "etc/docker/certs.d/a.example/x.cert: there is no x.key beside it"},
		{"a key without its certificate", "etc/containers/certs.d/a.example/x.key", "", "etc/containers/certs.d/a.example/x.key: there is no x.cert beside it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, map[string]string{tt.file: tt.text})
			_, err := config.Load(m.from())
			if err == nil {
				t.Fatal("it was read")
			}
			if !errors.Is(err, content.ErrInvalid) {
				t.Errorf("%v is not ErrInvalid", err)
			}
			got := m.short(err.Error())
			if !strings.HasPrefix(got, tt.want) || strings.Contains(got, "\n") || strings.Contains(got, "hunter2") {
				t.Errorf("got  %s\nwant %s…", got, tt.want)
			}
		})
	}
}

func TestVariablesThatAreWrongAreNamedAndNotQuoted(t *testing.T) {
	for name, value := range map[string]string{
		"HTTPS_PROXY":                         "https://u:hunter2@[::1",
		"http_proxy":                          "gopher://u:hunter2@proxy",
		"HTTP_PROXY":                          "http:/u:hunter2@proxy",
		"https_proxy":                         "http://u:123/hunter2@proxy",
		"CONTAINERS_REGISTRIES_CONF":          "/nowhere/registries.conf",
		"CONTAINERS_REGISTRIES_CONF_OVERRIDE": "/nowhere/registries.conf",
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, nil)
			m.env[name] = value
			_, err := config.Load(m.from())
			if !errors.Is(err, content.ErrInvalid) || !strings.HasPrefix(err.Error(), name+": ") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFilesThatMayNotBeReadAreListed(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root may read everything; a folder that cannot be listed is tried by the next case only")
	}
	m := newMachine(t, map[string]string{"etc/docker/daemon.json": `{"insecure-registries": ["a.example"]}`})
	if err := os.Chmod(m.path("etc/docker/daemon.json"), 0); err != nil {
		t.Fatal(err)
	}
	v := m.load(t)
	read := v.Host("a.example").SkipVerify.Value
	if i := slices.IndexFunc(v.Files(), func(f config.File) bool { return f.Unread != nil }); (i < 0) != read {
		t.Errorf("read: %t, files: %v", read, v.Files())
	}
}

func TestAFolderInPlaceOfAFileIsRefused(t *testing.T) {
	m := newMachine(t, map[string]string{"etc/docker/daemon.json/inside": ""})
	if _, err := config.Load(m.from()); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}
