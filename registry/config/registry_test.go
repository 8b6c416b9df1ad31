package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry/config"
)

// outline is a registry as a test compares it: the origin, then the mirrors, each
// "scheme://host/path/repository?ns capabilities settings @origin".
func (m machine) outline(r *config.Registry) []string {
	var list []string
	for _, e := range append([]config.Endpoint{r.Origin}, r.Mirrors...) {
		s := e.Settings
		line := "https://"
		if s.PlainHTTP.Value {
			line = "http://"
		}
		line += e.Host + e.Path + "/" + e.Repository
		if e.Namespace != "" {
			line += "?ns=" + e.Namespace
		}
		line += " " + e.Capabilities.Value.String()
		for word, said := range map[string]bool{" tagsonly": e.TagsOnly.Value} {
			if said {
				line += word
			}
		}
		if s.AllowHTTP.Value {
			line += " allowhttp"
		}
		if s.SkipVerify.Value {
			line += " skipverify"
		}
		list = append(list, line+" @"+m.short(e.From.String()))
	}
	if r.Blocked.Value {
		list = append(list, "blocked @"+m.short(r.Blocked.From.String()))
	}
	return list
}

// A prefix may be about one image, as podman has it; what a location makes of a name
// is one fault, and not quoted.
func TestLocationsThatMakeNoRepository(t *testing.T) {
	m := newMachine(t, map[string]string{"etc/containers/registries.conf": "[[registry]]\nprefix = 'b.example/x@sha256:" + strings.Repeat("a", 64) +
		"'\nlocation = 'c.example/x'\n[[registry]]\nprefix = 'a.example'\nlocation = 'UPPER/hunter2X'\n"})
	v := m.load(t)
	_, err := v.Registry("a.example", "b")
	const want = "etc/containers/registries.conf:6: this location does not make a repository of a.example/b: invalid content"
	if !errors.Is(err, content.ErrInvalid) || m.short(err.Error()) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestWhereARepositoryIs(t *testing.T) {
	const conf = "etc/containers/registries.conf"
	tests := []struct {
		name, repository string
		files            map[string]string
		want             []string
	}{
		{"a location takes the place of the longest prefix", "example.com/foo/bar/image", map[string]string{conf: `
[[registry]]
prefix = "example.com/foo"
location = "internal.example/all"
[[registry]]
prefix = "example.com/foo/bar"
location = "internal.example:5000/bar/"
insecure = true
`}, []string{"https://internal.example:5000/v2/bar/image pull,resolve,push allowhttp skipverify @" + conf + ":7"}},
		{"a prefix ends where a part of the name does", "example.com/foobar", map[string]string{conf: `
[[registry]]
prefix = "example.com/foo"
location = "internal.example/all"
`}, []string{"https://example.com/v2/foobar pull,resolve,push @default"}},
		{"a wildcard is of all hosts of a domain, ports too", "a.b.example.com:5000/x", map[string]string{conf: `
[[registry]]
prefix = "*.example.com"
insecure = true
[[registry.mirror]]
location = "m.example"
`}, []string{
			"https://a.b.example.com:5000/v2/x pull,resolve,push allowhttp skipverify @default",
			"https://m.example:5000/v2/x pull,resolve @" + conf + ":6",
		}},
		{"what is blocked has no mirrors", "example.com/a", map[string]string{conf: `
[[registry]]
location = "example.com"
blocked = true
[[registry.mirror]]
location = "m.example"
`}, []string{"https://example.com/v2/a pull,resolve,push @default", "blocked @" + conf + ":4"}},
		{"mirrors say what they are to be asked for", "docker.io/library/nginx", map[string]string{conf: `
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "a.example/hub"
[[registry.mirror]]
location = "b.example"
pull-from-mirror = "digest-only"
insecure = true
[[registry.mirror]]
location = "c.example"
pull-from-mirror = "tag-only"
namespace-proxy = "docker.io"
`}, []string{
			"https://docker.io/v2/library/nginx pull,resolve,push @" + conf + ":3",
			"https://a.example/v2/hub/library/nginx pull,resolve @" + conf + ":5",
			"https://b.example/v2/library/nginx pull allowhttp skipverify @" + conf + ":7",
			"https://c.example/v2/library/nginx?ns=docker.io pull,resolve tagsonly @" + conf + ":11",
		}},
		{"mirror-by-digest-only is for all mirrors", "example.com/a", map[string]string{conf: `
[[registry]]
location = "example.com"
mirror-by-digest-only = true
[[registry.mirror]]
location = "a.example"
`}, []string{
			"https://example.com/v2/a pull,resolve,push @" + conf + ":3",
			"https://a.example/v2/a pull @" + conf + ":6",
		}},
		{"the user's file replaces the system's, a drop-in a registry", "example.com/a", map[string]string{
			conf: "[[registry]]\nlocation='example.com'\nblocked=true\n",
			"home/.config/containers/registries.conf":           "[[registry]]\nlocation='example.com'\ninsecure=true\n[[registry.mirror]]\nlocation='gone.example'\n",
			"etc/containers/registries.conf.d/10.conf":          "[[registry]]\nprefix='example.com'\nlocation='ten.example'\n",
			"etc/containers/registries.conf.d/20.conf":          "[[registry]]\nprefix='example.com'\nlocation='twenty.example'\n",
			"home/.config/containers/registries.conf.d/20.conf": "[[registry]]\nprefix='example.com'\nlocation='twenty.home.example'\n",
		}, []string{"https://twenty.home.example/v2/a pull,resolve,push @home/.config/containers/registries.conf.d/20.conf:3"}},
		{"containerd's hosts in the order of the file, then its server", "docker.io/library/nginx", map[string]string{
			"etc/containerd/certs.d/docker.io/hosts.toml": `
server = "https://up.example:5000"
capabilities = ["pull"]
[host."http://z.example:5000"]
  capabilities = ["pull", "resolve"]
[host."https://a.example/proxy"]
  skip_verify = true
[host."https://m.example/v2/all"]
  override_path = true
  capabilities = ["pull"]
[host."http://t.example:5000"]
  skip_verify = false
[host."plain.example"]
`,
		}, []string{
			"https://up.example:5000/v2/library/nginx?ns=docker.io pull @etc/containerd/certs.d/docker.io/hosts.toml:2",
			"http://z.example:5000/v2/library/nginx?ns=docker.io pull,resolve @etc/containerd/certs.d/docker.io/hosts.toml:4",
			"https://a.example/proxy/v2/library/nginx?ns=docker.io pull,resolve,push skipverify @etc/containerd/certs.d/docker.io/hosts.toml:6",
			"https://m.example/v2/all/library/nginx?ns=docker.io pull @etc/containerd/certs.d/docker.io/hosts.toml:8",
			"https://t.example:5000/v2/library/nginx?ns=docker.io pull,resolve,push allowhttp @etc/containerd/certs.d/docker.io/hosts.toml:11",
			"https://plain.example/v2/library/nginx?ns=docker.io pull,resolve,push @etc/containerd/certs.d/docker.io/hosts.toml:13",
		}},
		{"containerd's registry without a server may do all", "example.com/a", map[string]string{
			"etc/containerd/certs.d/example.com/hosts.toml": "capabilities = ['push']\noverride_path = true\nskip_verify = true\n[host.'https://m.example/']\n",
		}, []string{
			"https://example.com/v2/a pull,resolve,push skipverify @default",
			"https://m.example/v2/a?ns=example.com pull,resolve,push @etc/containerd/certs.d/example.com/hosts.toml:4",
		}},
		{"containerd's _default is for registries without a folder", "example.com/a", map[string]string{
			"etc/containerd/certs.d/_default/hosts.toml":      "[host.'https://d.example']\n",
			"etc/containerd/certs.d/other.example/hosts.toml": "[host.'https://o.example']\n",
		}, []string{
			"https://example.com/v2/a pull,resolve,push @default",
			"https://d.example/v2/a?ns=example.com pull,resolve,push @etc/containerd/certs.d/_default/hosts.toml:1",
		}},
		{"a folder of containerd's may spell a port with lines", "example.com:5000/a", map[string]string{
			"etc/containerd/certs.d/example.com_5000_/hosts.toml": "[host.'https://d.example']\n",
			"etc/containerd/certs.d/example.com:5000/hosts.toml":  "[host.'https://o.example']\n",
		}, []string{
			"https://example.com:5000/v2/a pull,resolve,push @default",
			"https://d.example/v2/a?ns=example.com:5000 pull,resolve,push @etc/containerd/certs.d/example.com_5000_/hosts.toml:1",
		}},
		{"docker's mirrors are of Docker Hub", "docker.io/nginx", map[string]string{"etc/docker/daemon.json": `{
  "registry-mirrors": [
    "https://mirror.example/hub/",
    "http://10.1.2.3:5000"
  ],
  "insecure-registries": ["10.0.0.0/8", "other.example"]
}`}, []string{
			"https://docker.io/v2/library/nginx pull,resolve,push @default",
			"https://mirror.example/hub/v2/library/nginx pull,resolve @etc/docker/daemon.json:3",
			"http://10.1.2.3:5000/v2/library/nginx pull,resolve allowhttp skipverify @etc/docker/daemon.json:4",
		}},
		{"and of nothing else", "example.com/a", map[string]string{
			"etc/docker/daemon.json": `{"registry-mirrors": ["https://mirror.example"]}`,
		}, []string{"https://example.com/v2/a pull,resolve,push @default"}},
		{"our own mirrors, by the longest key that lists any", "docker.io/team/app", map[string]string{"own.yaml": `
registries:
  docker.io:
    mirrors: [all.example]
  docker.io/team/app:
    concurrency: 2
  docker.io/team:
    mirrors:
      - team.example
      - location: cache.example:5000/deep/er
        capabilities: [pull, resolve]
  cache.example:5000:
    plainHTTP: true
`}, []string{
			"https://docker.io/v2/team/app pull,resolve,push @default",
			"https://team.example/v2/app pull @own.yaml:9",
			"http://cache.example:5000/v2/deep/er/app pull,resolve @own.yaml:10",
		}},
		{"an empty list of our own is no mirror at all", "docker.io/library/nginx", map[string]string{
			"own.yaml":               "registries:\n  docker.io:\n    mirrors: []\n",
			"etc/docker/daemon.json": `{"registry-mirrors": ["https://mirror.example"]}`,
		}, []string{"https://docker.io/v2/library/nginx pull,resolve,push @default"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.files)
			if diff := cmp.Diff(tt.want, m.outline(m.registry(t, m.load(t), tt.repository))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVariablesSayWhichRegistriesConfIsRead(t *testing.T) {
	files := map[string]string{
		"etc/containers/registries.conf":          "[[registry]]\nprefix='example.com'\nlocation='system.example'\n",
		"etc/containers/registries.conf.d/a.conf": "[[registry]]\nprefix='example.com'\nlocation='dropin.example'\n",
		"named/registries.conf":                   "[[registry]]\nprefix='example.com'\nlocation='named.example'\n",
		"named/folder/b.conf":                     "[[registry]]\nprefix='example.com'\nlocation='folder.example'\n",
		"named/last.conf":                         "[[registry]]\nprefix='example.com'\nlocation='last.example'\n",
	}
	tests := []struct {
		name string
		env  map[string]string
		want string
	}{
		{"none", nil, "dropin.example"},
		{"a file instead of all", map[string]string{"CONTAINERS_REGISTRIES_CONF": "$ROOT/named/registries.conf"}, "named.example"},
		{"an empty file", map[string]string{"CONTAINERS_REGISTRIES_CONF": "/dev/null"}, "example.com"},
		{"a folder of drop-ins", map[string]string{"CONTAINERS_REGISTRIES_CONF_DIR": "$ROOT/named/folder"}, "folder.example"},
		{"both", map[string]string{
			"CONTAINERS_REGISTRIES_CONF": "$ROOT/named/registries.conf", "CONTAINERS_REGISTRIES_CONF_DIR": "$ROOT/named/folder",
		}, "folder.example"},
		{"a file that is read last", map[string]string{"CONTAINERS_REGISTRIES_CONF_OVERRIDE": "$ROOT/named/last.conf"}, "last.example"},
		{"another folder of the user's", map[string]string{"XDG_CONFIG_HOME": "$ROOT/etc"}, "dropin.example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, files)
			m.env = tt.env
			if got := m.registry(t, m.load(t), "example.com/a").Origin.Host; got != tt.want {
				t.Errorf("example.com is at %s, want %s", got, tt.want)
			}
		})
	}
}

func TestALocationThatMakesNoRepositoryIsRefusedWhenItIsUsed(t *testing.T) {
	m := newMachine(t, map[string]string{"etc/containers/registries.conf": `
[[registry]]
prefix = "example.com/whole"
location = "other.example"
[[registry]]
prefix = "example.com/short"
location = "docker.io"
`})
	v := m.load(t)
	for _, repository := range []string{"whole", "short/nginx"} {
		_, err := v.Registry("example.com", repository)
		if !errors.Is(err, content.ErrInvalid) || !strings.HasPrefix(m.short(err.Error()), "etc/containers/registries.conf:") {
			t.Errorf("%s: got %v", repository, err)
		}
	}
	if r := m.registry(t, v, "example.com/whole/app"); r.Origin.Host != "other.example" || r.Origin.Repository != "app" {
		t.Errorf("got %+v", r.Origin)
	}
}

func TestNamesThatAreNoneAreRefused(t *testing.T) {
	v := newMachine(t, nil).load(t)
	for _, name := range [][2]string{{"", "a"}, {"a b", "a"}, {"a.example", ""}, {"a.example", "../b"}, {"a.example", "A"}, {"a.example/b", "c"}} {
		if _, err := v.Registry(name[0], name[1]); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", name, err)
		}
	}
}

// What is said about a registry, and may be a credential, goes to that registry.
func TestAMirrorNeverInheritsWhatTheRegistryIsShown(t *testing.T) {
	const secret = `
    headers: {Authorization: Bearer hunter2}
    clientCertificate: me.pem
    proxy: http://u:hunter2@proxy.example
    address: 10.0.0.7
`
	conf := "[[registry]]\nlocation='example.com'\n[[registry.mirror]]\nlocation='mirror.example'\n"
	hosts := `
server = "https://example.com"
client = "me.pem"
ca = "ca.pem"
skip_verify = true
[header]
Authorization = "Bearer hunter2"
[host."https://mirror.example"]
`
	tests := map[string]map[string]string{
		"our own mirror":    {"own.yaml": "registries:\n  example.com:" + secret + "    mirrors: [mirror.example]\n"},
		"podman's mirror":   {"own.yaml": "registries:\n  example.com:" + secret, "etc/containers/registries.conf": conf},
		"containerd's host": {"etc/containerd/certs.d/example.com/hosts.toml": hosts},
		"podman's mirror of what containerd knows": {
			"etc/containerd/certs.d/example.com/hosts.toml": hosts, "etc/containers/registries.conf": conf,
		},
		"podman's mirror and containerd's default": {
			"etc/containerd/certs.d/_default/hosts.toml": strings.Replace(hosts, `server = "https://example.com"`, "", 1),
			"etc/containers/registries.conf":             conf,
		},
		"podman's mirror and certificates": {
			"etc/containers/certs.d/example.com/a.crt": "", "etc/docker/certs.d/example.com/a.cert": "", "etc/docker/certs.d/example.com/a.key": "",
			"etc/containers/registries.conf": conf,
		},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, files)
			r := m.registry(t, m.load(t), "example.com/a")
			o := r.Origin.Settings
			if len(o.Headers) == 0 && !o.CA.Set() {
				t.Error("the registry itself is shown nothing")
			}
			if len(r.Mirrors) != 1 || r.Mirrors[0].Host != "mirror.example" {
				t.Fatalf("mirrors are %v", places(r.Mirrors))
			}
			s := r.Mirrors[0].Settings
			if len(s.Headers) > 0 || s.Client.Set() || s.CA.Set() || s.SkipVerify.Value || s.Proxy.Set() || s.Address.Set() {
				t.Errorf("the mirror is shown %+v", s)
			}
		})
	}
}

func TestAllSettingsOfOurOwnFile(t *testing.T) {
	m := newMachine(t, map[string]string{
		"own.yaml": `
jobs: 4
registries:
  example.com:
    plainHTTP: false
    skipVerify: true
    ca: [ca.pem, /abs/ca.pem]
    clientCertificate: me.pem
    clientKey: me.key
    proxy: socks5://proxy.example:1080
    headers: {x-team: [blue, green]}
    address: "[::1]:5000"
    dialTimeout: 3s
    concurrency: 4
    requestsPerSecond: 2.5
  example.com/team:
    concurrency: 8
    proxy: direct
`,
		"etc/docker/daemon.json": `{"insecure-registries": ["example.com"]}`,
	})
	v := m.load(t)
	h := v.Host("example.com")
	own := func(line int) config.Origin { return config.Origin{File: m.path("own.yaml"), Line: line} }
	want := config.Host{
		PlainHTTP:         config.Value[bool]{From: own(5)},
		AllowHTTP:         config.Value[bool]{From: own(5)},
		SkipVerify:        config.Value[bool]{Value: true, From: own(6)},
		CA:                config.Value[[]string]{Value: []string{m.path("ca.pem"), "/abs/ca.pem"}, From: own(7)},
		Client:            config.Value[[]config.ClientPair]{Value: []config.ClientPair{{Certificate: m.path("me.pem"), Key: m.path("me.key")}}, From: own(8)},
		Address:           config.Value[string]{Value: "[::1]:5000", From: own(12)},
		DialTimeout:       config.Value[time.Duration]{Value: 3 * time.Second, From: own(13)},
		Concurrency:       config.Value[int]{Value: 4, From: own(14)},
		RequestsPerSecond: config.Value[float64]{Value: 2.5, From: own(15)},
	}
	header, proxy := h.Header(), h.Proxy
	h.Headers, h.Proxy = nil, config.Value[config.Proxy]{}
	direct := cmp.Comparer(func(a, b config.Proxy) bool { return a == b })
	if diff := cmp.Diff(want, h, direct); diff != "" {
		t.Error(diff)
	}
	if got := strings.Join(header["X-Team"], " "); got != "blue green" {
		t.Errorf("header is %q", got)
	}
	if proxy.Value.String() != "socks5://proxy.example:1080" || proxy.From != own(10) {
		t.Errorf("proxy is %v by %v", proxy.Value, proxy.From)
	}
	team := m.registry(t, v, "example.com/team/app").Origin.Settings
	if team.Concurrency.Value != 8 || team.RequestsPerSecond.Value != 2.5 || team.Proxy.Value.URL() != nil || team.Proxy.From != own(18) {
		t.Errorf("of the team: %+v", team)
	}
}
