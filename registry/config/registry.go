package config

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/pattern"
	"github.com/wherry-dev/wherry/internal/reference"
)

// Capabilities are what a host may be asked for.
type Capabilities uint8

// The capabilities.
const (
	Pull    Capabilities = 1 << iota // manifests and blobs by digest
	Resolve                          // what a tag stands for
	Push                             // writing; an origin only, whatever a file says
)

const pullResolvePush = Pull | Resolve | Push

// String lists them as "pull,resolve".
func (c Capabilities) String() string {
	var words []string
	for i, word := range []string{"pull", "resolve", "push"} {
		if c&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return strings.Join(words, ",")
}

// A Registry is where a repository is to be found.
type Registry struct {
	Host, Repository string // as asked for; Docker Hub is docker.io

	Blocked Value[bool] // nothing is to be read, from nowhere; there are no mirrors then
	Origin  Endpoint    // decides what a name stands for
	Target  Endpoint    // what is written to: registries.conf moves only what is read
	Mirrors []Endpoint  // in the order in which they are to be asked, before the origin
}

// An Endpoint is one host that serves a repository, under a name of its own.
type Endpoint struct {
	Host       string // host[:port]; Docker Hub is docker.io
	Repository string // its name there
	Path       string // of the API: "/v2" unless a file says otherwise

	// Namespace is the query parameter ns of requests, by which a host that
	// stands for several registries knows which is meant; "" is none.
	Namespace string

	Capabilities Value[Capabilities]
	TagsOnly     Value[bool] // not to be asked for images that are named by digest
	Settings     Host
	From         Origin // who named the endpoint; nobody has to name an origin
}

// A family is a program whose files name endpoints.
type family uint8

const (
	nobody family = iota // the reference itself
	ownFamily
	containersFamily
	containerdFamily
	dockerFamily
)

// A role is what an endpoint is asked as.
type role uint8

const (
	registry role = iota // what decides
	mirror               // what only serves
)

// apiPath is where the API of a registry is.
const apiPath = "/v2"

// hubName is what Docker Hub is called here, hubAddress what is contacted.
const (
	hubName    = "docker.io"
	hubAddress = "registry-1.docker.io"
)

var (
	hostForm      = pattern.Lazy(`^(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?)(:[0-9]{1,5})?$`)
	namespaceForm = pattern.Lazy(`^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`)
)

// canonical returns a host as all files have it here.
func canonical(host string) string {
	host = strings.ToLower(host)
	switch host {
	case "index.docker.io", hubAddress, "registry.hub.docker.com":
		return hubName
	}
	return host
}

// Registry returns what would be used for a repository: host is host[:port], and
// repository its name there. A name that is none, or for which a file has a
// location that gives none, is [content.ErrInvalid].
//
// Mirrors follow podman's and containerd's ways of asking: a location takes the
// place of the prefix it is listed for; containerd's hosts are asked for the same
// repository, and told whose by the parameter ns.
func (v *View) Registry(host, repository string) (*Registry, error) {
	host = canonical(host)
	if host == hubName && !strings.Contains(repository, "/") {
		repository = "library/" + repository
	}
	if !hostForm().MatchString(host) || !namespaceForm().MatchString(repository) {
		return nil, fmt.Errorf("%q at %q is no repository: %w", repository, host, content.ErrInvalid)
	}
	r := &Registry{Host: host, Repository: repository}
	r.Target = v.origin(r)
	found, listed := v.containers.find(host + "/" + repository)
	if r.Blocked = found.blocked; r.Blocked.Value {
		r.Origin = r.Target
		return r, nil
	}
	var err error
	if listed && found.primary.location.Value != "" {
		r.Origin, err = v.containersEndpoint(found.primary, found.prefix, r, registry)
	} else {
		r.Origin = r.Target
		r.Origin.Namespace = cmp.Or(found.primary.ns.Value, r.Origin.Namespace)
	}
	if err != nil {
		return nil, err
	}
	r.Mirrors, err = v.mirrors(r, found)
	return r, err
}

// Host returns the settings of a registry, apart from those of a part of it.
func (v *View) Host(host string) Host {
	return v.settle(Endpoint{Host: canonical(host)}, nobody, registry).Settings
}

// origin returns where a repository is that registries.conf does not move.
func (v *View) origin(r *Registry) Endpoint {
	e := Endpoint{Host: r.Host, Repository: r.Repository, Path: apiPath, Capabilities: Value[Capabilities]{Value: pullResolvePush}}
	file, ok := v.containerd.find(r.Host)
	if !ok {
		return v.settle(e, nobody, registry)
	}
	return v.containerdEndpoint(file.server, r, registry)
}

// mirrors returns the mirrors of whoever lists any, asked in their order.
func (v *View) mirrors(r *Registry, found containersRegistry) ([]Endpoint, error) {
	if own, ok := v.own.mirrors(r.Host, r.Repository); ok {
		return v.ownMirrors(r, own)
	}
	if len(found.mirrors) > 0 {
		return v.containersMirrors(r, found)
	}
	var mirrors []Endpoint
	if file, ok := v.containerd.find(r.Host); ok && len(file.mirrors) > 0 {
		for _, m := range file.mirrors {
			mirrors = append(mirrors, v.containerdEndpoint(m, r, mirror))
		}
		return mirrors, nil
	}
	if r.Host == hubName {
		for _, m := range v.docker.mirrors.Value {
			e := Endpoint{Host: m.host, Repository: r.Repository, Path: m.path, From: m.from, Settings: Host{PlainHTTP: m.plain}}
			e.Capabilities.Value = Pull | Resolve
			mirrors = append(mirrors, v.settle(e, dockerFamily, mirror))
		}
	}
	return mirrors, nil
}

func (v *View) ownMirrors(r *Registry, own ownEntry) ([]Endpoint, error) {
	var mirrors []Endpoint
	for _, m := range own.mirrors.Value {
		repository := strings.Trim(m.namespace+strings.TrimPrefix("/"+r.Repository, strings.TrimSuffix("/"+own.namespace, "/")), "/")
		if repository == "" {
			return nil, fmt.Errorf("%s: %s/%s is no repository at %s: %w", m.from, r.Host, r.Repository, m.host, content.ErrInvalid)
		}
		e := Endpoint{Host: m.host, Repository: repository, Path: apiPath, Capabilities: m.capabilities, From: m.from}
		mirrors = append(mirrors, v.settle(e, ownFamily, mirror))
	}
	return mirrors, nil
}

func (v *View) containersMirrors(r *Registry, found containersRegistry) ([]Endpoint, error) {
	var mirrors []Endpoint
	for _, m := range found.mirrors {
		e, err := v.containersEndpoint(m, found.prefix, r, mirror)
		if err != nil {
			return nil, err
		}
		e.Capabilities = Value[Capabilities]{Pull | Resolve, m.pullFrom.From}
		switch {
		case found.byDigest.Value:
			e.Capabilities = Value[Capabilities]{Pull, found.byDigest.From}
		case m.pullFrom.Value == "digest-only":
			e.Capabilities.Value = Pull
		case m.pullFrom.Value == "tag-only":
			e.TagsOnly = Value[bool]{true, m.pullFrom.From}
		}
		mirrors = append(mirrors, e)
	}
	return mirrors, nil
}

// containersEndpoint returns the place that registries.conf puts in place of a prefix.
func (v *View) containersEndpoint(c containersEndpoint, prefix string, r *Registry, as role) (Endpoint, error) {
	name := r.Host + "/" + r.Repository
	moved := c.location.Value + name[matchPrefix(name, prefix):]
	named, err := reference.ParseNormalized(moved)
	if err != nil || named.String() != moved {
		return Endpoint{}, fmt.Errorf("%s: this location does not make a repository of %s: %w", c.location.From, name, content.ErrInvalid)
	}
	e := Endpoint{
		Host: canonical(named.Domain), Repository: named.Path, Path: apiPath,
		Namespace: c.ns.Value, Capabilities: Value[Capabilities]{Value: pullResolvePush}, From: c.location.From, Settings: c.settings(),
	}
	return v.settle(e, containersFamily, as), nil
}

// containerdEndpoint returns a host of hosts.toml as it serves a repository.
func (v *View) containerdEndpoint(h hostsEntry, r *Registry, as role) Endpoint {
	e := Endpoint{
		Host: r.Host, Repository: r.Repository, Path: h.path,
		Capabilities: h.capabilities, From: h.from, Settings: h.settings,
	}
	if h.host != "" && h.host != r.Host {
		e.Host, e.Namespace = h.host, r.Host
	}
	return v.settle(e, containerdFamily, as)
}

// settings are what registries.conf says about a place it names.
func (c containersEndpoint) settings() Host {
	return Host{SkipVerify: c.insecure, AllowHTTP: c.insecure}
}

// settle completes the settings of an endpoint, which so far are those that were
// said where by named it. All others are asked what they say about its host.
func (v *View) settle(e Endpoint, by family, as role) Endpoint {
	h := v.given[e.Host].or(v.given[""]).or(v.own.settings(e.Host, e.Repository))
	if by == containersFamily {
		h = h.or(e.Settings)
	} else {
		h = h.or(v.containersHost(e))
	}
	for _, certs := range v.containersCerts {
		h = h.or(certs[e.Host])
	}
	if by == containerdFamily {
		h = h.or(e.Settings)
	} else {
		h = h.or(v.containerd.host(e.Host, as))
	}
	if by == dockerFamily {
		h = h.or(e.Settings)
	}
	h = h.or(v.docker.host(e.Host))
	for _, certs := range v.dockerCerts {
		h = h.or(certs[e.Host])
	}
	h.Roots = append(h.Roots, v.roots...)
	u := url.URL{Scheme: "https", Host: authority(e.Host)}
	if h.PlainHTTP.Value {
		u.Scheme = "http"
	}
	h.Proxy = h.Proxy.or(v.proxies.choose(&u))
	e.Settings = h
	return e
}

// containersHost returns what registries.conf says about the host of an endpoint
// that it did not name itself.
func (v *View) containersHost(e Endpoint) Host {
	found, ok := v.containers.find(strings.TrimSuffix(e.Host+"/"+e.Repository, "/"))
	if !ok {
		return Host{}
	}
	at, _, _ := strings.Cut(found.primary.location.Value, "/")
	if at != "" && canonical(at) != e.Host {
		return Host{} // it speaks of the place it moves the host to
	}
	return found.primary.settings()
}
