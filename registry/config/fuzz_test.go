package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/wherry-dev/wherry/content"
)

// The parsers are fuzzed from inside: what they are given is one file each, and
// what they return is used as a View uses it.

// fuzz runs a parser over texts. An error is ErrInvalid, on one line, at a place
// in the text; what is read without one can be asked for repositories.
func fuzz(f *testing.F, seeds []string, parse func(raw []byte) (*View, error)) {
	f.Helper()
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		view, err := parse(raw)
		if err != nil {
			checkFault(t, raw, err)
			return
		}
		for _, name := range []string{"docker.io/library/nginx", "a.example:5000/b/c", "x.a.example/b"} {
			checkRegistry(t, view, name)
		}
		if names, err := view.ShortName("nginx"); err == nil && len(names) == 0 && !view.containers.search.Set() {
			t.Error("a short name stands for nothing")
		}
	})
}

func checkRegistry(t *testing.T, view *View, name string) {
	t.Helper()
	host, repository, _ := strings.Cut(name, "/")
	r, err := view.Registry(host, repository)
	if err != nil {
		if !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s: %v is not ErrInvalid", name, err)
		}
		return
	}
	for _, e := range append(r.Mirrors, r.Origin) {
		if !hostForm().MatchString(e.Host) || e.Repository == "" {
			t.Errorf("%s is at %q %q", name, e.Host, e.Repository)
		}
	}
}

func checkFault(t *testing.T, raw []byte, err error) {
	t.Helper()
	if !errors.Is(err, content.ErrInvalid) || strings.ContainsAny(err.Error(), "\n\r\x1b") || !strings.HasPrefix(err.Error(), "file:") {
		t.Errorf("error is %q", err)
	}
	parts := strings.SplitN(err.Error(), ":", 4)
	if len(parts) < 4 || parts[1] == "0" || strings.HasPrefix(parts[1], "-") || parts[2] == "0" || strings.HasPrefix(parts[2], "-") {
		t.Errorf("%q has no place in %d bytes", err, len(raw))
	}
}

// machineFile returns a file of testdata/machine.
func machineFile(f *testing.F, path string) string {
	f.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "machine", filepath.FromSlash(path)))
	if err != nil {
		f.Fatal(err)
	}
	return string(raw)
}

func FuzzRegistriesConf(f *testing.F) {
	seeds := []string{
		machineFile(f, "etc/containers/registries.conf"),
		"[[registry]]\nprefix='*.a.example'\nblocked=true\ninsecure=false\n[[registry.mirror]]\nlocation='m.example'\npull-from-mirror='tag-only'\n",
		"short-name-mode='enforcing'\n[aliases]\n'nginx'='docker.io/library/nginx'\n",
		"a.b.c={d=[1,2.0,true,1979-05-27]}\n[x.y]\n[[x.z]]\n", "[registries.search]\nregistries=['a']\n", "\"\\u0041\"=\"\"\"\nx\"\"\"",
	}
	fuzz(f, seeds, func(raw []byte) (*View, error) {
		c, err := parseContainers("file", raw)
		v := &View{}
		v.containers.update(c)
		return v, err
	})
}

func FuzzHostsTOML(f *testing.F) {
	seeds := []string{
		"server='https://up.example'\n[host.'http://m.example:5000/p']\ncapabilities=['pull','resolve']\nca=['a','/b']\nclient=[['a','b'],['c','d']]\nskip_verify=true\noverride_path=true\ndial_timeout='3s'\n[host.'http://m.example:5000/p'.header]\nX-A=['b','c']\n",
		"client='a'\nca='b'\n[header]\nX='y'\n", "[host]\n", "host={'a.example'={}}\n",
	}
	fuzz(f, seeds, func(raw []byte) (*View, error) {
		h, err := parseHosts("file", raw)
		return &View{containerd: containerdConf{"_default": h}}, err
	})
}

func FuzzDaemonJSON(f *testing.F) {
	seeds := []string{
		machineFile(f, "etc/docker/daemon.json"),
		`{"registry-mirrors":["https://m.example/p/"],"insecure-registries":["10.0.0.0/8","a.example:5000"],"proxies":{"http-proxy":"http://u:p@p:1","https-proxy":"socks5://p","no-proxy":"*"}}`,
		`{"a":[null,1e9,{"b":"\ud800"}],"registry-mirrors":null}`, "[", `{"a":"`,
	}
	fuzz(f, seeds, func(raw []byte) (*View, error) {
		c, err := parseDaemon("file", raw)
		return &View{docker: c, proxies: c.proxies}, err
	})
}

func FuzzOwnFile(f *testing.F) {
	seeds := []string{
		machineFile(f, "wherry.yaml"),
		"registries:\n  docker.io:\n    mirrors:\n      - m.example/hub\n      - {location: c.example, capabilities: [pull, resolve]}\n    plainHTTP: false\n    headers: {X-A: [b, c]}\n    proxy: direct\n    requestsPerSecond: 2.5\n    dialTimeout: 3s\n",
		"registries: &a\n  x: *a\n", "<<: {}\n", "a: |\n  b\n--- \n", "{registries: {docker.io/library: {mirrors: [a.example], address: '[::1]:1'}}}", "\t", "a: [\n",
	}
	fuzz(f, seeds, func(raw []byte) (*View, error) {
		c, err := parseOwn("file", raw)
		return &View{own: c}, err
	})
}

// What go-toml reads into maps is what is parsed here, key by key; what it
// refuses is refused, but for values that no setting has, such as dates.
func FuzzTOML(f *testing.F) {
	for _, seed := range []string{
		machineFile(f, "etc/containers/registries.conf"), "[a.b]\n[a]\nb.c=1\n", "[a]\nb.c=1\n[a.b]\n", "[a]\nb.c=1\n[a.b.d]\n", "[[a]]\n[[a.b]]\n[a.c]\n[[a]]\n[a.c]\n",
		"a={b=1}\n[a.c]\n", "a=[1]\n[[a]]\n", "[[a]]\n[a]\n", "a.b=1\na.c=2\n[a.d]\n", "[a]\n[a.b.c]\n[a.b]\nc.d=1\n", "a={b.c=1,b.d=2}", "a=1\na.b=2", "[a.b.c]\n[a]\nb.d=1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want map[string]any
		wrong := toml.Unmarshal(raw, &want)
		got, err := parseTOML("file", raw)
		if err != nil {
			checkFault(t, raw, err)
		}
		if wrong == nil && err != nil && !strings.Contains(err.Error(), "levels deep") && !strings.Contains(err.Error(), "a key of") {
			t.Errorf("go-toml reads it, and this refuses: %v", err)
		}
		if decode, ok := errors.AsType[*toml.DecodeError](wrong); ok && err == nil && !hasOther(got) {
			t.Errorf("this reads it, and go-toml refuses: %v", decode)
		}
		if wrong == nil && err == nil {
			compareTables(t, want, got)
		}
	})
}

// hasOther reports whether a value is of a kind that is not looked into.
func hasOther(n *node) bool {
	if n.kind == kindOther || n.kind == kindNumber {
		return true
	}
	for _, f := range n.fields {
		if hasOther(f.value) {
			return true
		}
	}
	return slices.ContainsFunc(n.items, hasOther)
}

func compareTables(t *testing.T, want map[string]any, got *node) {
	t.Helper()
	if len(want) != len(got.fields) {
		t.Errorf("%d keys, want %d", len(got.fields), len(want))
	}
	for key, value := range want {
		n := got.get(key)
		if n == nil {
			t.Errorf("%q is missing", key)
			continue
		}
		switch v := value.(type) {
		case map[string]any:
			compareTables(t, v, n)
		case string:
			if n.kind != kindText || n.text != v {
				t.Errorf("%q is %q, want %q", key, n.text, v)
			}
		case []any:
			if n.kind != kindList || len(n.items) != len(v) {
				t.Errorf("%q has %d items, want %d", key, len(n.items), len(v))
			}
		}
	}
}
