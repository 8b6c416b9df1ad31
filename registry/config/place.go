package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// A Place is a registry, or a part of one, that settings are about.
type Place struct {
	Host      string // "*.DOMAIN" is every host of a domain, "*" every host that nobody names
	Namespace string // "" is all of the host
}

// String returns HOST or HOST/NAMESPACE.
func (p Place) String() string { return strings.TrimSuffix(p.Host+"/"+p.Namespace, "/") }

// inside is a repository that no settings name, by which those of all of a place
// are found.
const inside = "any-namespace/any-repository"

// host returns one that no settings name but those of the place.
func (p Place) host() string {
	if p.Host == "*" {
		return "any-host.invalid"
	}
	return strings.Replace(p.Host, "*", "any-host", 1)
}

// Place returns what would be used for the repositories of a place that have no
// settings of their own, as [View.Registry] does for one; the repositories of what
// it returns are namespaces, "" for all of a host.
func (v *View) Place(p Place) (*Registry, error) {
	r, err := v.Registry(p.host(), strings.TrimPrefix(p.Namespace+"/"+inside, "/"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	strip := func(e *Endpoint) {
		e.Repository = strings.TrimSuffix(strings.TrimSuffix(e.Repository, inside), "/")
	}
	r.Repository = p.Namespace
	strip(&r.Origin)
	strip(&r.Target)
	for i := range r.Mirrors {
		strip(&r.Mirrors[i])
	}
	return r, nil
}

// Places lists what settings are about, sorted. Docker Hub is always there, and
// first. Places that no name can be in are left out.
func (v *View) Places() []Place {
	seen := map[Place]bool{{Host: hubName}: true}
	see := func(host, namespace string) {
		p := Place{canonical(host), namespace}
		if hostForm().MatchString(p.host()) && (namespace == "" || namespaceForm().MatchString(namespace)) {
			seen[p] = true
		}
	}
	for host := range v.given {
		see(host, "")
	}
	for _, e := range v.own {
		see(e.host, e.namespace)
	}
	for prefix := range v.containers.registries {
		host, namespace, _ := strings.Cut(prefix, "/")
		see(host, namespace)
	}
	for folder := range v.containerd {
		see(hostOfFolder(folder), "")
	}
	for _, certs := range slices.Concat(v.containersCerts, v.dockerCerts) {
		for host := range certs {
			see(host, "")
		}
	}
	for _, insecure := range v.docker.insecure {
		see(insecureHost(insecure.Value), "")
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Namespace, b.Namespace))
	})
}

// rank is what places are sorted by.
func (p Place) rank() string { return strings.TrimPrefix(p.Host, hubName) }

// hostOfFolder returns which host a folder of containerd's certs.d is about.
func hostOfFolder(folder string) string {
	if folder == "_default" {
		return "*"
	}
	if name, port, ok := strings.Cut(strings.TrimSuffix(folder, "_"), "_"); ok && strings.HasSuffix(folder, "_") {
		return name + ":" + port
	}
	return folder
}

// Insecure lists the registries, and parts of registries, that may speak http or
// need no certificate that is right, and then the networks of such.
func (v *View) Insecure() (places []Value[Place], networks []Value[string]) {
	for _, p := range v.Places() {
		s := v.settle(Endpoint{Host: p.host(), Repository: p.Namespace}, nobody, registry).Settings
		for _, yes := range []Value[bool]{s.PlainHTTP, s.AllowHTTP, s.SkipVerify} {
			if yes.Value {
				places = append(places, Value[Place]{p, yes.From})
				break
			}
		}
	}
	for _, said := range v.docker.insecure {
		if network, err := netip.ParsePrefix(insecureHost(said.Value)); err == nil {
			networks = append(networks, Value[string]{network.String(), said.From})
		}
	}
	return places, networks
}
