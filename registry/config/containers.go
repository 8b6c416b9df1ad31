package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/internal/pattern"
	"github.com/wherry-dev/wherry/internal/reference"
)

// A containersConf is what registries.conf and its drop-ins say, as podman,
// skopeo and buildah read them.
// https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md
type containersConf struct {
	registries map[string]containersRegistry // by prefix
	search     Value[[]string]
	mode       Value[string]
	aliases    map[string]Value[string]
	helpers    Value[[]string]
}

// A containersRegistry is one [[registry]].
type containersRegistry struct {
	prefix  string
	primary containersEndpoint
	mirrors []containersEndpoint
	blocked Value[bool]
	// byDigest lets mirrors serve what is asked for by digest only.
	byDigest Value[bool]
}

// A containersEndpoint is a place that a prefix is replaced with.
type containersEndpoint struct {
	location Value[string]
	insecure Value[bool]
	pullFrom Value[string] // all, digest-only or tag-only
	ns       Value[string]
}

// update puts what a file says that is read later in place of what was said: a
// [[registry]] of the same prefix as a whole, an alias by itself.
func (c *containersConf) update(later containersConf) {
	if c.registries == nil {
		c.registries, c.aliases = map[string]containersRegistry{}, map[string]Value[string]{}
	}
	maps.Copy(c.registries, later.registries)
	maps.Copy(c.aliases, later.aliases)
	c.search = later.search.or(c.search)
	c.mode = later.mode.or(c.mode)
	c.helpers = later.helpers.or(c.helpers)
}

// said counts what a file has.
func (c *containersConf) said() File {
	f := File{Registries: len(c.registries), ShortNames: len(c.aliases)}
	for _, one := range c.registries {
		f.Mirrors += len(one.mirrors)
	}
	return f
}

// parseContainers parses a registries.conf, a drop-in of it or a
// short-name-aliases.conf.
func parseContainers(file string, raw []byte) (containersConf, error) {
	root, err := parseTOML(file, raw)
	if err != nil {
		return containersConf{}, err
	}
	r := &reader{file: file}
	if old := root.get("registries"); old != nil {
		for _, section := range []string{"search", "insecure", "block"} {
			if old.get(section).get("registries") != nil {
				r.refuse(old.at, "a registries.conf of version 1, which its own tools no longer read")
			}
		}
	}
	c := containersConf{
		registries: r.containersRegistries(root.get("registry")),
		search:     r.texts(root.get("unqualified-search-registries")),
		mode:       r.text(root.get("short-name-mode")),
		aliases:    r.aliases(root.get("aliases")),
		helpers:    r.texts(root.get("credential-helpers")),
	}
	for i, host := range c.search.Value {
		at := root.get("unqualified-search-registries").items[i].at
		c.search.Value[i] = r.location(host, at)
		if !reference.IsDomain(c.search.Value[i]) {
			r.refuse(at, "%s is not a host", placeOf(host))
		}
	}
	switch c.mode.Value {
	case "", "enforcing", "permissive", "disabled":
	default:
		r.refuse(root.get("short-name-mode").at, "short-name-mode %s: there are enforcing, permissive and disabled", called(c.mode.Value))
	}
	if c.mode.Value == "" {
		c.mode = Value[string]{}
	}
	return c, r.err
}

// digestBehind is what a prefix may end with that is about one image.
var digestBehind = pattern.Lazy("@[a-z0-9]+:[0-9a-f]{32,}$")

// location checks what is put in place of a prefix. It is not quoted: somebody may
// have put a password where a host has none.
func (r *reader) location(text string, at mark) string {
	switch {
	case strings.Contains(text, "://"):
		r.refuse(at, "a location has no scheme")
	case strings.ContainsAny(text, "@?#"):
		r.refuse(at, "a location that is not of the form HOST[:PORT][/NAMESPACE]")
	}
	return strings.TrimRight(text, "/")
}

// endpoint reads the part of a [[registry]] that its mirrors have too.
func (r *reader) endpoint(n *node) containersEndpoint {
	e := containersEndpoint{
		location: r.text(n.get("location")),
		insecure: r.flag(n.get("insecure")),
		pullFrom: r.text(n.get("pull-from-mirror")),
		ns:       r.text(n.get("namespace-proxy")),
	}
	if place := n.get("location"); place != nil {
		e.location.Value = r.location(e.location.Value, place.at)
	}
	if place := n.get("namespace-proxy"); place != nil {
		r.location(e.ns.Value, place.at)
	}
	return e
}

func (r *reader) containersRegistries(list *node) map[string]containersRegistry {
	found := map[string]containersRegistry{}
	places := map[string]containersRegistry{} // by location
	for _, n := range r.list(list) {
		if !r.said(n, "a table of settings", kindTable) {
			continue
		}
		one := r.containersRegistry(n)
		place := one.primary.location.Value
		if place == "" {
			place = one.prefix
		}
		if other, again := places[place]; again {
			if other.primary.insecure.Value != one.primary.insecure.Value || other.blocked.Value != one.blocked.Value {
				r.refuse(n.at, "%q is here twice and differs in insecure or blocked", place)
			}
		} else {
			places[place] = one
		}
		if _, again := found[one.prefix]; !again { // the first of one prefix counts
			found[one.prefix] = one
		}
	}
	return found
}

func (r *reader) containersRegistry(n *node) containersRegistry {
	one := containersRegistry{
		primary:  r.endpoint(n),
		blocked:  r.flag(n.get("blocked")),
		byDigest: r.flag(n.get("mirror-by-digest-only")),
		prefix:   r.text(n.get("prefix")).Value,
	}
	wildcard := strings.HasPrefix(one.prefix, "*.")
	switch {
	case one.prefix == "" && one.primary.location.Value == "":
		r.refuse(n.at, "a registry with neither a prefix nor a location")
	case one.prefix == "":
		one.prefix = one.primary.location.Value
	default:
		at := n.get("prefix").at
		image := digestBehind().FindString(one.prefix)
		one.prefix = r.location(strings.TrimSuffix(one.prefix, image), at) + image
		if !wildcard && one.primary.location.Value == "" {
			r.refuse(at, "prefix %q needs a location", one.prefix)
		}
		if wildcard && strings.ContainsAny(one.prefix, "/@:") {
			r.refuse(at, "prefix %q: after *. comes a domain and nothing else", one.prefix)
		}
	}
	if one.primary.pullFrom.Value != "" {
		r.refuse(n.get("pull-from-mirror").at, "pull-from-mirror is for mirrors")
	}
	for _, m := range r.list(n.get("mirror")) {
		if r.said(m, "a table of settings", kindTable) {
			one.mirrors = append(one.mirrors, r.containersMirror(m, one.byDigest))
		}
	}
	return one
}

func (r *reader) containersMirror(n *node, byDigest Value[bool]) containersEndpoint {
	m := r.endpoint(n)
	if m.location.Value == "" {
		r.refuse(n.at, "a mirror without a location")
	}
	switch m.pullFrom.Value {
	case "":
		return m
	case "all", "digest-only", "tag-only":
	default:
		r.refuse(n.get("pull-from-mirror").at, "pull-from-mirror %s: there are all, digest-only and tag-only", called(m.pullFrom.Value))
	}
	if byDigest.Value {
		r.refuse(n.get("pull-from-mirror").at, "pull-from-mirror in a registry with mirror-by-digest-only")
	}
	return m
}

// matchPrefix returns how much of name a prefix is of, -1 for nothing. A prefix of
// example.com matches example.com:5000 too, as in podman.
func matchPrefix(name, prefix string) int {
	if domain, wildcard := strings.CutPrefix(prefix, "*"); wildcard && strings.HasPrefix(domain, ".") {
		at := strings.Index(name, domain)
		if at < 0 || strings.Contains(name[:at], "/") {
			return -1
		}
		return ends(name, at+len(domain))
	}
	if !strings.HasPrefix(name, prefix) {
		return -1
	}
	return ends(name, len(prefix))
}

// ends returns at where a part of name ends there, else -1.
func ends(name string, at int) int {
	if at == len(name) || strings.IndexByte(":/@", name[at]) >= 0 {
		return at
	}
	return -1
}

// find returns the registry of the longest prefix that name has; of two as long
// as each other the one with the wildcard, as in podman.
func (c *containersConf) find(name string) (found containersRegistry, ok bool) {
	for _, prefix := range slices.Sorted(maps.Keys(c.registries)) {
		if matchPrefix(name, prefix) >= 0 && len(prefix) > len(found.prefix) {
			found, ok = c.registries[prefix], true
		}
	}
	return found, ok
}
