package config

import (
	"net/netip"
	"strings"
)

// A dockerConf is what daemon.json says.
// https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
type dockerConf struct {
	mirrors  Value[[]dockerMirror] // of Docker Hub, the only registry that has any
	insecure []Value[string]       // hosts and networks
	proxies  proxies
}

// A dockerMirror is a mirror of Docker Hub.
type dockerMirror struct {
	host  string
	path  string
	plain Value[bool]
	from  Origin
}

// parseDaemon parses a daemon.json.
func parseDaemon(file string, raw []byte) (dockerConf, error) {
	root, err := parseJSON(file, raw)
	if err != nil {
		return dockerConf{}, err
	}
	r := &reader{file: file}
	r.table(root)
	var c dockerConf
	for _, item := range r.list(root.get("insecure-registries")) {
		c.insecure = append(c.insecure, r.text(item))
	}
	if n := root.get("registry-mirrors"); n != nil {
		c.mirrors = r.dockerMirrors(n)
	}
	p := root.get("proxies")
	r.table(p)
	c.proxies = proxies{
		http:  r.proxy(p.get("http-proxy")),
		https: r.proxy(p.get("https-proxy")),
		none:  r.text(p.get("no-proxy")),
	}
	return c, r.err
}

func (r *reader) dockerMirrors(n *node) Value[[]dockerMirror] {
	list := r.list(n)
	if list == nil {
		return Value[[]dockerMirror]{}
	}
	found := Value[[]dockerMirror]{From: r.origin(n.at)}
	for _, item := range list {
		u := r.address(r.text(item).Value, item.at)
		m := dockerMirror{host: canonical(u.Host), path: strings.TrimRight(u.Path, "/") + apiPath, from: r.origin(item.at)}
		if u.Scheme == "http" {
			m.plain = Value[bool]{true, m.from}
		}
		found.Value = append(found.Value, m)
	}
	return found
}

// said counts what a file has.
func (c *dockerConf) said() File {
	f := File{Registries: len(c.insecure), Mirrors: len(c.mirrors.Value)}
	if f.Mirrors > 0 {
		f.Registries++ // Docker Hub
	}
	return f
}

// fill takes from o what c does not have.
func (c *dockerConf) fill(o dockerConf) {
	c.mirrors = c.mirrors.or(o.mirrors)
	if c.insecure == nil {
		c.insecure = o.insecure
	}
	c.proxies = c.proxies.or(o.proxies)
}

// host returns what is said about a host: one that is called insecure may speak
// http, and its certificate is not looked at. A network, as 10.0.0.0/8, holds
// the hosts that are named by their address; the daemon looks up the others'
// addresses too, which is not done here.
func (c *dockerConf) host(host string) Host {
	name := host
	if at := strings.LastIndex(host, ":"); at > 0 && !strings.HasSuffix(host, "]") {
		name = host[:at]
	}
	address, err := netip.ParseAddr(strings.Trim(name, "[]"))
	for _, said := range c.insecure {
		entry := insecureHost(said.Value)
		network, wrong := netip.ParsePrefix(entry)
		inside := err == nil && wrong == nil && network.Contains(address.Unmap())
		if inside || strings.EqualFold(entry, host) {
			yes := Value[bool]{true, said.From}
			return Host{AllowHTTP: yes, SkipVerify: yes}
		}
	}
	return Host{}
}

// insecureHost returns the host or network of an entry of insecure-registries.
func insecureHost(entry string) string {
	return strings.TrimRight(strings.TrimPrefix(strings.TrimPrefix(entry, "http://"), "https://"), "/")
}
