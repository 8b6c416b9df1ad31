package config

import (
	"cmp"
	"slices"
	"strings"
)

// An ownEntry is what our own file says about a host, or about a part of one.
type ownEntry struct {
	host, namespace string // the namespace is "" for all of the host
	settings        Host
	mirrors         Value[[]ownMirror]
}

// An ownMirror is a mirror in our own file. Its settings stand under its host.
type ownMirror struct {
	host, namespace string // what takes the place of the entry's host and namespace
	capabilities    Value[Capabilities]
	from            Origin
}

// ownConf is the registries: section, the longest keys first.
type ownConf []ownEntry

// ownSettings are the settings of a host in our own file.
var ownSettings = []string{
	"mirrors", "plainHTTP", "skipVerify", "ca", "clientCertificate", "clientKey", "proxy", "headers", "address",
	"concurrency", "requestsPerSecond", "dialTimeout",
}

// parseOwn parses the registries: section of our own file. The other sections are
// whoever's they are; in this one a setting that does not exist is refused.
func parseOwn(file string, raw []byte) (ownConf, error) {
	root, err := parseYAML(file, raw)
	if err != nil {
		return nil, err
	}
	r := &reader{file: file}
	r.table(root)
	var entries ownConf
	seen := map[string]bool{}
	for _, f := range r.table(root.get("registries")) {
		e := r.ownEntry(f)
		if key := e.host + "/" + e.namespace; seen[key] {
			r.refuse(f.at, "%q is here twice", f.key)
		} else {
			seen[key] = true
		}
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b ownEntry) int { return cmp.Compare(len(b.namespace), len(a.namespace)) })
	return entries, r.err
}

func (r *reader) ownEntry(f field) ownEntry {
	n := f.value
	r.known(n, ownSettings...)
	e := ownEntry{settings: Host{
		PlainHTTP:         r.flag(n.get("plainHTTP")),
		SkipVerify:        r.flag(n.get("skipVerify")),
		CA:                r.paths(n.get("ca")),
		Client:            r.ownClient(n),
		Headers:           r.headers(n.get("headers")),
		Address:           r.text(n.get("address")),
		DialTimeout:       r.duration(n.get("dialTimeout")),
		Concurrency:       r.count(n.get("concurrency")),
		RequestsPerSecond: r.rate(n.get("requestsPerSecond")),
	}}
	e.host, e.namespace = r.place(f.key, f.at)
	s := &e.settings
	if s.PlainHTTP.Set() {
		s.AllowHTTP = Value[bool]{false, s.PlainHTTP.From}
	}
	if s.Address.Set() && !hostForm().MatchString(s.Address.Value) {
		r.refuse(n.get("address").at, "%s is not an address of the form host[:port]", placeOf(s.Address.Value))
	}
	if p := n.get("proxy"); p != nil && p.text == "direct" {
		s.Proxy = Value[Proxy]{From: r.text(p).From}
	} else {
		s.Proxy = r.proxy(p)
	}
	if n.get("mirrors") != nil {
		e.mirrors.From = r.origin(n.get("mirrors").at)
	}
	for _, m := range r.list(n.get("mirrors")) {
		e.mirrors.Value = append(e.mirrors.Value, r.ownMirror(m))
	}
	return e
}

// ownClient reads a certificate and its key, which may be in the same file.
func (r *reader) ownClient(n *node) Value[[]ClientPair] {
	certificate, key := r.path(n.get("clientCertificate")), r.path(n.get("clientKey"))
	if !certificate.Set() {
		if key.Set() {
			r.refuse(n.get("clientKey").at, "clientKey without clientCertificate")
		}
		return Value[[]ClientPair]{}
	}
	pair := ClientPair{certificate.Value, key.or(certificate).Value}
	return Value[[]ClientPair]{[]ClientPair{pair}, certificate.From}
}

// ownMirror reads a mirror: its host with what follows it, or that and what it
// may be asked for. A mirror that is not said to resolve names serves digests only.
func (r *reader) ownMirror(n *node) ownMirror {
	m := ownMirror{from: r.origin(n.at), capabilities: Value[Capabilities]{Value: Pull}}
	place := n
	if n.kind == kindTable {
		r.known(n, "location", "capabilities")
		m.capabilities = r.capabilities(n.get("capabilities"), Pull)
		if m.capabilities.Value&Push != 0 {
			r.refuse(n.get("capabilities").at, "a mirror is never written to")
		}
		if place = n.get("location"); place == nil {
			r.refuse(n.at, "a mirror without a location")
			return m
		}
	}
	m.host, m.namespace = r.place(r.text(place).Value, place.at)
	return m
}

// place parses a host, or a host and what stands before a repository there.
func (r *reader) place(text string, at mark) (host, namespace string) {
	host, namespace, slash := strings.Cut(text, "/")
	switch {
	case strings.Contains(text, "://"):
		r.refuse(at, "a host has no scheme: leave out what ends in ://")
	case !hostForm().MatchString(host):
		r.refuse(at, "%s is not of the form HOST[:PORT][/NAMESPACE]", placeOf(text))
	case slash && !namespaceForm().MatchString(namespace):
		r.refuse(at, "%s is not of the form HOST[:PORT][/NAMESPACE]", placeOf(text))
	}
	return canonical(host), namespace
}

// settings returns what is said about a repository: for each setting what the
// longest key says that has one.
func (c ownConf) settings(host, repository string) Host {
	var h Host
	for _, e := range c {
		if e.host == host && inNamespace(repository, e.namespace) {
			h = h.or(e.settings)
		}
	}
	return h
}

// mirrors returns the mirrors of a repository, and the entry that lists them.
func (c ownConf) mirrors(host, repository string) (ownEntry, bool) {
	for _, e := range c {
		if e.host == host && inNamespace(repository, e.namespace) && e.mirrors.Set() {
			return e, true
		}
	}
	return ownEntry{}, false
}

// inNamespace reports whether a repository is one or is under one.
func inNamespace(repository, namespace string) bool {
	rest, under := strings.CutPrefix(repository, namespace)
	return under && (namespace == "" || rest == "" || rest[0] == '/')
}
