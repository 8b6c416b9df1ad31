package config_test

import (
	"net/url"
	"testing"
)

func TestWhichProxyARequestTakesAndWhy(t *testing.T) {
	const daemon = "etc/docker/daemon.json"
	environment := map[string]string{
		"HTTPS_PROXY": "http://u:hunter2@proxy.example:3128", "http_proxy": "plain.example:8080",
		"NO_PROXY": "10.0.0.0/8,192.168.1.1,.internal.example,exact.example,port.example:5000,docker.io",
	}
	files := map[string]string{
		"own.yaml": "registries:\n  own.example:\n    proxy: http://own-proxy.example\n  direct.example: {proxy: direct}\n",
		daemon:     "{\"proxies\": {\n\"http-proxy\": \"http://d.example:1\",\n\"https-proxy\": \"https://d.example:2\",\n\"no-proxy\": \"daemon.example\"}}",
	}
	tests := []struct {
		name, url  string
		env        map[string]string
		files      map[string]string
		want, from string
	}{
		{"nothing set", "https://a.example/v2/", nil, nil, "direct", "default"},
		{"https", "https://a.example/v2/", environment, nil, "http://***@proxy.example:3128", "HTTPS_PROXY"},
		{"http, in lower case, without a scheme", "http://a.example/v2/", environment, nil, "http://plain.example:8080", "http_proxy"},
		{"a network", "https://10.1.2.3/v2/", environment, nil, "direct", "NO_PROXY"},
		{"an address", "https://192.168.1.1:5000/v2/", environment, nil, "direct", "NO_PROXY"},
		{"another address", "https://192.168.1.2/v2/", environment, nil, "http://***@proxy.example:3128", "HTTPS_PROXY"},
		{"under a domain", "https://a.internal.example/v2/", environment, nil, "direct", "NO_PROXY"},
		{"the domain itself when it has a dot in front", "https://internal.example/v2/", environment, nil, "http://***@proxy.example:3128", "HTTPS_PROXY"},
		{"a host and what is under it", "https://a.exact.example/v2/", environment, nil, "direct", "NO_PROXY"},
		{"a port", "https://port.example:5000/v2/", environment, nil, "direct", "NO_PROXY"},
		{"another port", "https://port.example/v2/", environment, nil, "http://***@proxy.example:3128", "HTTPS_PROXY"},
		{"loopback", "https://127.0.0.1:5000/v2/", environment, nil, "direct", "default"},
		{"all", "https://a.example/v2/", map[string]string{"HTTPS_PROXY": "http://p.example", "NO_PROXY": "*"}, nil, "direct", "NO_PROXY"},
		{"daemon.json", "https://a.example/v2/", nil, files, "https://d.example:2", daemon + ":3"},
		{"daemon.json for http", "http://a.example/v2/", nil, files, "http://d.example:1", daemon + ":2"},
		{"daemon.json's exceptions", "https://daemon.example/v2/", nil, files, "direct", daemon + ":4"},
		{"the environment over daemon.json, variable by variable", "https://daemon.example/v2/", map[string]string{"https_proxy": "http://e.example"}, files, "direct", daemon + ":4"},
		{"and its exceptions over daemon.json's", "https://daemon.example/v2/", environment, files, "http://***@proxy.example:3128", "HTTPS_PROXY"},
		{"our own over the environment", "https://own.example/v2/", environment, files, "http://own-proxy.example", "own.yaml:3"},
		{"none in our own over the environment", "https://direct.example/v2/", environment, files, "direct", "own.yaml:4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.files)
			m.env = tt.env
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			v := m.load(t)
			got := v.Proxy(u)
			if got.Value.String() != tt.want || m.short(got.From.String()) != tt.from {
				t.Errorf("got %s by %s, want %s by %s", got.Value, m.short(got.From.String()), tt.want, tt.from)
			}
			if u.Scheme == "https" && v.Host(u.Host).Proxy != got {
				t.Errorf("as a setting of the host: %v", v.Host(u.Host).Proxy)
			}
		})
	}
}

func TestDockerHubsProxyIsThatOfItsAddress(t *testing.T) {
	m := newMachine(t, nil)
	m.env = map[string]string{"HTTPS_PROXY": "http://p.example", "NO_PROXY": "registry-1.docker.io"}
	if got := m.registry(t, m.load(t), "docker.io/nginx").Origin.Settings.Proxy; got.From.String() != "NO_PROXY" {
		t.Errorf("got %v", got)
	}
}

func TestAProxyKeepsItsPasswordForWhoeverDials(t *testing.T) {
	m := newMachine(t, nil)
	m.env = map[string]string{"HTTPS_PROXY": "http://u:hunter2@p.example"}
	p := m.load(t).Host("a.example").Proxy.Value
	if password, _ := p.URL().User.Password(); password != "hunter2" {
		t.Errorf("password is %q", password)
	}
}
