package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/shortnames"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/types"

	"github.com/wherry-dev/wherry/registry/config"
)

// A podman is a machine's configuration as podman, skopeo and buildah read it:
// by the library they share.
type podman struct{ context *types.SystemContext }

// sources lists where an image would be read from, in order, each with what
// would be forgiven there.
func (p podman) sources(image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", err
	}
	registry, err := sysregistriesv2.FindRegistry(p.context, named.Name())
	if err != nil {
		return "", err
	}
	if registry == nil {
		return named.Name(), nil
	}
	if registry.Blocked {
		return "blocked", nil
	}
	sources, err := registry.PullSourcesFromReference(named)
	if err != nil {
		return "", err
	}
	var list []string
	for _, s := range sources {
		list = append(list, source(s.Endpoint, s.Reference.Name()))
	}
	return strings.Join(list, " "), nil
}

// source is a place as it is compared: its name, ns, and an exclamation mark
// where its certificate is not looked at.
func source(e sysregistriesv2.Endpoint, name string) string {
	if e.NamespaceProxy != "" {
		name += "?ns=" + e.NamespaceProxy
	}
	if e.Insecure {
		name += "!"
	}
	return name
}

// wherrySources says the same of the view that registry/config gives.
func wherrySources(view *config.View, image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", err
	}
	found, err := view.Registry(reference.Domain(named), reference.Path(named))
	if err != nil {
		return "", err
	}
	if found.Blocked.Value {
		return "blocked", nil
	}
	_, byDigest := named.(reference.Canonical)
	endpoints := slices.DeleteFunc(slices.Clone(found.Mirrors), func(m config.Endpoint) bool {
		if byDigest {
			return m.TagsOnly.Value
		}
		return m.Capabilities.Value&config.Resolve == 0
	})
	var list []string
	for _, e := range append(endpoints, found.Origin) {
		if e.Settings.SkipVerify.Value != e.Settings.AllowHTTP.Value {
			return "", fmt.Errorf("%s is insecure in one way only", e.Host)
		}
		list = append(list, source(sysregistriesv2.Endpoint{NamespaceProxy: e.Namespace, Insecure: e.Settings.SkipVerify.Value}, e.Host+"/"+e.Repository))
	}
	return strings.Join(list, " "), nil
}

// compareSources compares where both read an image, by its tag and by digest. A
// mirror whose location makes no repository is an error of podman's where it
// would be asked, and of wherry's in any case.
func compareSources(t *testing.T, p podman, view *config.View, image string) {
	t.Helper()
	broken := false
	for _, image := range []string{image, image + "@sha256:" + strings.Repeat("0", 64)} {
		want, wrong := p.sources(image)
		got, err := wherrySources(view, image)
		broken = broken || wrong != nil
		if wrong != nil && err == nil || err == nil && want != got {
			t.Fatalf("%s:\npodman %s (%v)\nwherry %s (%v)\n%s", image, want, wrong, got, err, tree(t, p.context.RootForImplicitAbsolutePaths))
		}
		if strings.Contains(image, "@") && err != nil && !broken {
			t.Fatalf("%s: wherry says %v\n%s", image, err, tree(t, p.context.RootForImplicitAbsolutePaths))
		}
	}
}

// candidates lists what a short name stands for; "none" for nothing.
func (p podman) candidates(name string) string {
	resolved, err := shortnames.Resolve(p.context, name)
	if err != nil {
		return "none"
	}
	var list []string
	for _, c := range resolved.PullCandidates {
		list = append(list, reference.TrimNamed(c.Value).String())
	}
	return strings.Join(list, " ")
}

func wherryCandidates(view *config.View, name string) string {
	names, err := view.ShortName(name)
	// Where no file says where to look podman gives up, and wherry asks Docker Hub.
	if err != nil || len(names) == 0 || !names[0].Set() {
		return "none"
	}
	var list []string
	for _, n := range names {
		list = append(list, n.Value)
	}
	return strings.Join(list, " ")
}

// A confWriter makes up registries.conf, right and wrong ones. What they leave out
// is where the two part: podman knows no IPv6 addresses.
type confWriter struct {
	*rand.Rand
	strings.Builder
}

// pick picks one of the values. One with a tilde in front is picked seldom: most
// of these are wrong.
func (w *confWriter) pick(values ...string) string {
	for {
		value, seldom := strings.CutPrefix(values[w.IntN(len(values))], "~")
		if !seldom || w.IntN(25) == 0 {
			return value
		}
	}
}

// maybe writes a key with one of the values; an empty one leaves it out.
func (w *confWriter) maybe(key string, values ...string) {
	if v := w.pick(values...); v != "" {
		w.WriteString(key + " = " + v + "\n")
	}
}

func (w *confWriter) file() string {
	w.Reset()
	w.maybe("unqualified-search-registries", "", "", "[]", "['quay.io']", "['localhost:5000', 'docker.io']", "['b.example/']", "~['a/b']")
	w.maybe("short-name-mode", "", "'disabled'", "'disabled'", "'permissive'", "~'no'", "''")
	for range w.IntN(4) {
		w.WriteString("[[registry]]\n")
		w.maybe("prefix", "", "'docker.io'", "'docker.io/library'", "'*.example.com'", "'*.b.example.com'", "'example.com'", "'example.com/foo'",
			"'example.com/foo/bar/'", "'a.example.com:5000'", "'example.com/foo/bar/image'", "~'*.x/y'", "~'http://a'")
		w.maybe("location", "~", "'docker.io'", "'example.com'", "'internal.example'", "'internal.example/all/'", "'localhost:5000/y'",
			"'example.com/foo'", "~'short'", "~'https://a.example'")
		w.maybe("insecure", "", "", "", "", "~true", "~true", "false")
		w.maybe("blocked", "", "", "", "~true", "false")
		w.maybe("mirror-by-digest-only", "", "", "", "~true", "~true", "false")
		w.maybe("pull-from-mirror", "", "~'all'")
		w.maybe("namespace-proxy", "", "", "", "'docker.io'")
		for range w.IntN(3) {
			w.WriteString("[[registry.mirror]]\n")
			w.maybe("location", "'m.example'", "'m.example/hub'", "'n.example:5000/a/b'", "'n.example'", "'docker.io'", "~''")
			w.maybe("insecure", "", "true", "false")
			w.maybe("pull-from-mirror", "", "", "'all'", "'digest-only'", "'tag-only'", "~'no'")
			w.maybe("namespace-proxy", "", "", "'docker.io'")
		}
	}
	if w.IntN(3) == 0 {
		w.WriteString("[aliases]\n")
		w.maybe("'nginx'", "'docker.io/library/nginx'", "'docker.io/nginx'", "'quay.io/n/nginx'", "''", "~'nginx:1'", "~'a/b'")
		w.maybe("'team/app'", "", "'localhost/app'", "''", "'example.com/foo'")
		w.maybe("'localhost/x'", "", "~'example.com/foo'")
	}
	w.maybe("[unknown]\nkey", "", "1")
	return w.String()
}

// What podman's own library makes of a registries.conf is what wherry makes of it.
func TestRegistriesConfMeansWhatItMeansToPodman(t *testing.T) {
	w := &confWriter{Rand: rand.New(rand.NewPCG(1, 2))}
	refused, read := 0, 0
	for range 1000 {
		root := w.machine(t)
		home := filepath.Join(root, "home")
		p := podman{&types.SystemContext{
			RootForImplicitAbsolutePaths: root, UserShortNameAliasConfPath: filepath.Join(home, ".cache/containers/short-name-aliases.conf"),
		}}
		t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config")) // podman's library looks itself
		t.Setenv("CONTAINERS_REGISTRIES_CONF", "")
		sysregistriesv2.InvalidateCache()
		_, wrong := sysregistriesv2.TryUpdatingCache(p.context)
		view, err := config.Load(config.From{Home: home, Root: root})
		if (wrong == nil) != (err == nil) {
			t.Fatalf("podman says %v, wherry %v\n%s", wrong, err, tree(t, root))
		}
		if err != nil {
			refused++
			continue
		}
		read++
		compare(t, p, view)
	}
	t.Logf("%d configurations refused by both, %d read alike", refused, read)
	if refused < 100 || read < 100 {
		t.Error("the configurations made up are too much of one kind")
	}
}

// machine writes the files of a machine and returns their folder.
func (w *confWriter) machine(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, file := range []string{
		"etc/containers/registries.conf", "etc/containers/registries.conf.d/10.conf", "etc/containers/registries.conf.d/20.conf",
		"home/.config/containers/registries.conf", "home/.config/containers/registries.conf.d/20.conf",
		"home/.config/containers/registries.conf.d/15.txt",
	} {
		if w.IntN(3) == 0 || strings.HasSuffix(file, "registries.conf") {
			write(t, filepath.Join(root, file), w.file())
		}
	}
	return root
}

// compare compares what both make of names that one configuration is about.
func compare(t *testing.T, p podman, view *config.View) {
	t.Helper()
	for _, image := range []string{
		"docker.io/library/nginx", "docker.io/team/app", "example.com/foo/bar/image", "example.com/foo/bar", "example.com/foobar",
		"example.com:5000/foo/x", "a.example.com/x", "a.example.com:5000/x", "a.b.example.com/foo/bar", "internal.example/all/x", "m.example/hub/x",
	} {
		compareSources(t, p, view, image)
	}
	for _, name := range []string{"nginx", "team/app", "other"} {
		if want, got := p.candidates(name), wherryCandidates(view, name); want != got {
			t.Fatalf("%s:\npodman %s\nwherry %s\n%s", name, want, got, tree(t, p.context.RootForImplicitAbsolutePaths))
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tree shows the files of a configuration.
func tree(t *testing.T, root string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&all, "-- %s --\n%s", strings.TrimPrefix(path, root), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
