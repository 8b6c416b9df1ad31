package config_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wherry-dev/wherry/registry/config"
)

// everything is a machine on which all programs say something.
func everything(t *testing.T) machine {
	t.Helper()
	return newMachine(t, map[string]string{
		"own.yaml": `registries:
  docker.io:
    mirrors: [mirror.example/hub]
  docker.io/team:
    mirrors: [team.example]
  plain.example:
    plainHTTP: true
    ca: ca.pem
    clientCertificate: me.pem
    headers: {X-Token: canary}
    address: 10.0.0.7
    dialTimeout: 3s
    concurrency: 4
    requestsPerSecond: 2.5
`,
		"etc/containers/registries.conf": `unqualified-search-registries = ["a.example"]
[[registry]]
prefix = "*.wild.example"
insecure = true
[[registry.mirror]]
location = "m.example/wild"
[[registry]]
location = "quay.example/team/app:v1"
[[registry]]
prefix = "old.example/x"
location = "new.example/y"
[aliases]
"short" = "quay.example/app"
`,
		"etc/containerd/certs.d/reg.example_5000_/hosts.toml": "[host.'https://c.example']\n",
		"etc/containerd/certs.d/_default/hosts.toml":          "[host.'https://star.example']\n",
		"etc/containers/certs.d/certs.example/ca.crt":         "",
		"etc/docker/daemon.json":                              `{"registry-mirrors": ["https://d.example"], "insecure-registries": ["https://i.example/", "192.168.7.0/24"]}`,
	})
}

func TestPlacesThatSettingsAreAbout(t *testing.T) {
	m := everything(t)
	v := m.load(t)
	got := map[string][]string{}
	var order []string
	for _, p := range v.Places() {
		r, err := v.Place(p)
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, p.String())
		got[p.String()] = append([]string{r.Origin.Host + "/" + r.Origin.Repository}, places(r.Mirrors)...)
	}
	wantOrder := []string{
		"docker.io", "docker.io/team", "*", "*.wild.example", "certs.example", "i.example", "old.example/x", "plain.example", "reg.example:5000",
	}
	if diff := cmp.Diff(wantOrder, order); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	want := map[string][]string{
		"docker.io":        {"docker.io/", "mirror.example/hub"},
		"docker.io/team":   {"docker.io/team", "team.example/"},
		"*":                {"any-host.invalid/", "star.example/"},
		"*.wild.example":   {"any-host.wild.example/", "m.example/wild"},
		"certs.example":    {"certs.example/", "star.example/"},
		"i.example":        {"i.example/", "star.example/"},
		"old.example/x":    {"new.example/y", "star.example/x"},
		"plain.example":    {"plain.example/", "star.example/"},
		"reg.example:5000": {"reg.example:5000/", "c.example/"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is used for them (-want +got):\n%s", diff)
	}
}

func TestInsecurePlacesAndNetworks(t *testing.T) {
	m := everything(t)
	v := m.load(t)
	insecure, networks := v.Insecure()
	var got []string
	for _, p := range insecure {
		got = append(got, p.Value.String()+" @"+m.short(p.From.String()))
	}
	for _, n := range networks {
		got = append(got, n.Value+" @"+m.short(n.From.String()))
	}
	want := []string{
		"*.wild.example @etc/containers/registries.conf:4", "i.example @etc/docker/daemon.json:1", "plain.example @own.yaml:7",
		"192.168.7.0/24 @etc/docker/daemon.json:1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFilesSayHowMuchTheyHave(t *testing.T) {
	m := everything(t)
	got := map[string][3]int{}
	for _, f := range m.load(t).Files() {
		got[m.short(f.Path)] = [3]int{f.Registries, f.Mirrors, f.ShortNames}
	}
	want := map[string][3]int{
		"own.yaml":                       {3, 2, 0},
		"etc/containers/registries.conf": {3, 1, 1}, "etc/containers/certs.d/certs.example": {},
		"etc/containerd/certs.d/reg.example_5000_/hosts.toml": {1, 1, 0},
		"etc/containerd/certs.d/_default/hosts.toml":          {1, 1, 0},
		"etc/docker/daemon.json":                              {3, 1, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("registries, mirrors and short names (-want +got):\n%s", diff)
	}
}

func TestSettingsAreListedWithTheirOriginsAndWithoutSecrets(t *testing.T) {
	m := everything(t)
	m.env["SSL_CERT_FILE"] = "/roots.pem"
	var got []string
	for _, s := range m.load(t).Host("plain.example").Settings() {
		got = append(got, m.short(s.String()))
	}
	want := []string{
		"plainHTTP true (own.yaml:7)", "ca ca.pem (own.yaml:8)", "roots /roots.pem (SSL_CERT_FILE)",
		"clientCertificate me.pem (own.yaml:9)", "clientKey me.pem (own.yaml:9)", "header X-Token (own.yaml:10)",
		"address 10.0.0.7 (own.yaml:11)", "dialTimeout 3s (own.yaml:12)", "concurrency 4 (own.yaml:13)", "requestsPerSecond 2.5 (own.yaml:14)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none := (config.Host{}).Settings(); none != nil {
		t.Errorf("a host without settings has %v", none)
	}
}

func TestWhyThereIsNoProxy(t *testing.T) {
	m := newMachine(t, map[string]string{
		"own.yaml": "registries:\n  direct.example: {proxy: direct}\n  own.example: {proxy: own-proxy.example}\n",
	})
	m.env["HTTPS_PROXY"] = "proxy.example"
	m.env["no_proxy"] = "10.0.0.0/8, .corp.example,own.example,a.example:5000"
	v := m.load(t)
	for address, want := range map[string]string{
		"https://10.1.2.3:5000":   "no_proxy has 10.0.0.0/8",
		"https://r.corp.example":  "no_proxy has .corp.example",
		"https://a.example:5000":  "no_proxy has a.example:5000",
		"https://a.example":       "",
		"http://r.corp.example":   "", // for http there is none
		"https://direct.example":  "proxy: direct",
		"https://own.example":     "",
		"https://localhost:5000":  "a host of this machine never has one",
		"http://localhost:5000":   "",
		"https://elsewhere.other": "",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.WhyDirect(u); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	daemon := newMachine(t, map[string]string{"etc/docker/daemon.json": `{"proxies": {"https-proxy": "p.example", "no-proxy": "*"}}`})
	if got, want := daemon.load(t).WhyDirect(&url.URL{Scheme: "https", Host: "r.example"}), "no-proxy has *"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
