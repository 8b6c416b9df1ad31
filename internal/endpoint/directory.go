package endpoint

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"sync"

	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// A Directory tells a registry client what the configuration says: its Host,
// Route and Proxy are what [registry.Client] asks. Certificates are read when a
// host is first asked for, and those of authorities parsed when they are needed,
// once for all hosts that trust the same files. It must not be copied after use.
type Directory struct {
	View *config.View

	mu    sync.Mutex
	known []knownHost
}

// A knownHost is what one set of settings became: always the same, since clients
// tell hosts apart by it.
type knownHost struct {
	settings config.Host
	path     string
	host     *registry.Host // nil where nothing is set
}

// Host returns the settings of a host, nil where it has none.
func (d *Directory) Host(name string) (*registry.Host, error) {
	return d.host(config.Endpoint{Settings: d.View.Host(name), Path: apiPath})
}

// apiPath is where the API of a registry is if nobody says otherwise.
const apiPath = "/v2"

// Route returns where a repository is. Mirrors that serve nothing by digest are
// left out: what a tag stands for is not theirs alone to say.
func (d *Directory) Route(host, repository string) (registry.Route, error) {
	found, err := d.View.Registry(host, repository)
	if err != nil {
		return registry.Route{}, err
	}
	if found.Blocked.Value {
		return registry.Route{Blocked: found.Blocked.From.String()}, nil
	}
	var route registry.Route
	if route.Read, err = d.endpoint(found.Origin); err != nil {
		return registry.Route{}, err
	}
	if route.Write, err = d.endpoint(found.Target); err != nil {
		return registry.Route{}, err
	}
	for _, m := range found.Mirrors {
		if !Serves(m) {
			continue
		}
		e, wrong := d.endpoint(m)
		route.Mirrors = append(route.Mirrors, registry.Mirror{
			Endpoint:     e,
			Wrong:        wrong,
			ResolvesTags: m.Capabilities.Value&config.Resolve != 0,
			TagsOnly:     m.TagsOnly.Value,
		})
	}
	return route, nil
}

// Proxy returns the proxy for a request, nil for none.
func (d *Directory) Proxy(req *http.Request) (*url.URL, error) {
	return d.View.Proxy(req.URL).Value.URL(), nil
}

func (d *Directory) endpoint(e config.Endpoint) (registry.Endpoint, error) {
	settings, err := d.host(e)
	return registry.Endpoint{Host: e.Host, Repository: e.Repository, Namespace: e.Namespace, Settings: settings}, err
}

// host returns what a client has to know to contact an endpoint.
func (d *Directory) host(e config.Endpoint) (*registry.Host, error) {
	s := e.Settings
	s.Proxy = config.Value[config.Proxy]{} // see Proxy
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.known {
		if k.path == e.Path && reflect.DeepEqual(k.settings, s) {
			return k.host, nil
		}
	}
	host, err := newHost(s, e.Path)
	if err != nil {
		return nil, err
	}
	d.share(host, s.TrustFiles())
	d.known = append(d.known, knownHost{s, e.Path, host})
	return host, nil
}

// share gives a host the roots of one that trusts the same files, so that they
// are parsed once. d.mu is held.
func (d *Directory) share(host *registry.Host, files []string) {
	if len(files) == 0 {
		return
	}
	for _, k := range d.known {
		if slices.Equal(k.settings.TrustFiles(), files) {
			host.Roots = k.host.Roots
			return
		}
	}
}

// newHost reads the certificates that settings name.
func newHost(s config.Host, path string) (*registry.Host, error) {
	tls, err := s.TLS()
	if err != nil {
		return nil, err
	}
	h := registry.Host{
		PlainHTTP: s.PlainHTTP.Value, AllowHTTP: s.AllowHTTP.Value, SkipVerify: s.SkipVerify.Value,
		Roots: tls.Roots, Certificates: tls.Certificates, Address: s.Address.Value,
		DialTimeout: s.DialTimeout.Value, Concurrency: s.Concurrency.Value, RequestsPerSecond: s.RequestsPerSecond.Value,
	}
	if header := s.Header(); len(header) > 0 {
		h.Header = header
	}
	if path != apiPath {
		h.Path = path
	}
	if reflect.DeepEqual(h, registry.Host{}) {
		return nil, nil //nolint:nilnil // what registry.Client.Hosts wants for a host without settings
	}
	return &h, nil
}
