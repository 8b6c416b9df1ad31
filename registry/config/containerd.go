package config

import (
	"net"
	"net/url"
	"path"
	"path/filepath"
	"strings"
)

// A hostsFile is what containerd's certs.d says about one registry.
// https://github.com/containerd/containerd/blob/main/docs/hosts.md
type hostsFile struct {
	mirrors []hostsEntry // in the order of the file
	server  hostsEntry   // what is asked last; its host is "" for the registry itself
}

// A hostsEntry is one host of a hosts.toml.
type hostsEntry struct {
	host         string // of docker.io's several names the first
	path         string // of the API
	capabilities Value[Capabilities]
	settings     Host
	from         Origin
}

// parseHosts parses a hosts.toml. Files it names are relative to its folder.
func parseHosts(file string, raw []byte) (hostsFile, error) {
	root, err := parseTOML(file, raw)
	if err != nil {
		return hostsFile{}, err
	}
	r := &reader{file: file}
	var found hostsFile
	for _, f := range r.table(root.get("host")) {
		r.table(f.value) // refuses what is none
		address := Value[string]{f.key, r.origin(f.at)}
		found.mirrors = append(found.mirrors, r.hostsEntry(address, f.at, f.value))
		if f.key == "" {
			r.refuse(f.at, "a host without an address")
		}
	}
	at := root.at
	if n := root.get("server"); n != nil {
		at = n.at
	}
	found.server = r.hostsEntry(r.text(root.get("server")), at, root)
	return found, r.err
}

func (r *reader) hostsEntry(address Value[string], at mark, n *node) hostsEntry {
	e := hostsEntry{path: apiPath, from: address.From, settings: r.hostsSettings(n)}
	capabilities := r.capabilities(n.get("capabilities"), pullResolvePush)
	override := r.flag(n.get("override_path")).Value
	if address.Value == "" {
		// Without a server containerd takes the registry itself, able to do all.
		e.capabilities.Value = pullResolvePush
		return e
	}
	u := r.address(address.Value, at)
	e.host, e.path, e.capabilities = canonical(u.Host), u.Path, capabilities
	if u.Path != "" {
		e.path = strings.TrimSuffix(path.Clean(u.Path), "/")
	}
	if !override && !strings.HasSuffix(e.path, apiPath) {
		e.path += apiPath
	}
	if u.Scheme == "http" {
		// With settings for TLS containerd tries https first.
		_, port, _ := net.SplitHostPort(u.Host)
		s := &e.settings
		http := &s.PlainHTTP
		if port != "80" && (s.CA.Set() || s.Client.Set() || s.SkipVerify.Set()) {
			http = &s.AllowHTTP
		}
		*http = Value[bool]{true, address.From}
	}
	return e
}

// address parses the URL of a mirror or server. One without a scheme is https.
func (r *reader) address(text string, at mark) *url.URL {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	// What the parser says is left out: it would quote a password.
	u, err := url.Parse(text)
	switch {
	case err != nil:
		r.refuse(at, "not a URL")
	case u.User != nil:
		r.refuse(at, "a URL with a user: credentials stand elsewhere")
	case u.Scheme != "https" && u.Scheme != "http":
		r.refuse(at, "a URL that is neither http nor https")
	case !hostForm().MatchString(u.Host):
		r.refuse(at, "a URL without a host")
	case u.RawQuery != "" || u.Fragment != "":
		r.refuse(at, "a URL with more than a host and a path")
	}
	if u == nil {
		u = &url.URL{}
	}
	return u
}

func (r *reader) hostsSettings(n *node) Host {
	return Host{
		SkipVerify:  r.flag(n.get("skip_verify")),
		DialTimeout: r.duration(n.get("dial_timeout")),
		Headers:     r.headers(n.get("header")),
		CA:          r.paths(n.get("ca")),
		Client:      r.clientPairs(n.get("client")),
	}
}

// clientPairs reads a file, a list of files, or a list of pairs of files.
func (r *reader) clientPairs(n *node) Value[[]ClientPair] {
	if n == nil {
		return Value[[]ClientPair]{}
	}
	pairs := Value[[]ClientPair]{From: r.origin(n.at)}
	if n.kind == kindText {
		n = &node{kind: kindList, at: n.at, items: []*node{n}}
	}
	for _, item := range r.list(n) {
		files := r.paths(item).Value
		switch {
		case item.kind == kindText:
			pairs.Value = append(pairs.Value, ClientPair{files[0], files[0]})
		case len(files) == 2:
			pairs.Value = append(pairs.Value, ClientPair{files[0], files[1]})
		default:
			r.refuse(item.at, "not a certificate and its key")
		}
	}
	return pairs
}

// capabilities reads a list of them. Without a list, or with an empty one, it is
// what is usual in that file.
func (r *reader) capabilities(n *node, usual Capabilities) Value[Capabilities] {
	if len(r.list(n)) == 0 {
		return Value[Capabilities]{Value: usual}
	}
	found := Value[Capabilities]{From: r.origin(n.at)}
	for i, word := range r.texts(n).Value {
		switch strings.ToLower(word) {
		case "pull":
			found.Value |= Pull
		case "resolve":
			found.Value |= Resolve
		case "push":
			found.Value |= Push
		case "referrers":
		default:
			r.refuse(n.items[i].at, "capability %s: there are pull and resolve", called(word))
		}
	}
	return found
}

// below returns a path as it is when it is absolute, else under a folder.
func below(folder, file string) string {
	if file == "" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(folder, file)
}

// containerdConf is what certs.d says, by the name of its folder.
type containerdConf map[string]hostsFile

// find returns what is said about a registry, in its own folder or else in
// _default.
func (c containerdConf) find(host string) (hostsFile, bool) {
	if found, ok := c.named(host); ok {
		return found, true
	}
	found, ok := c["_default"]
	return found, ok
}

// named returns what is said about a host in its own folder.
func (c containerdConf) named(host string) (hostsFile, bool) {
	if name, port, ok := strings.Cut(host, ":"); ok && !strings.Contains(port, ":") {
		if found, ok := c[name+"_"+port+"_"]; ok {
			return found, true
		}
	}
	found, ok := c[host]
	return found, ok
}

// host returns the settings of a host that its own file does not move. What
// _default says is for registries without a folder: a mirror is none, and gets
// nothing of it.
func (c containerdConf) host(host string, as role) Host {
	found, ok := c.named(host)
	if as == registry {
		found, ok = c.find(host)
	}
	if !ok || found.server.host != "" && found.server.host != host {
		return Host{}
	}
	return found.server.settings
}
