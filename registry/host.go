package registry

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/internal/pattern"
)

// A host is one address that serves a registry, and what this process has
// learnt about it.
type host struct {
	client    *Client
	name      string      // as the user wrote it; Docker Hub is docker.io
	mirror    *mirrorHost // what is known of it as a mirror; nil where it is asked for its own sake
	authority string      // host[:port] of its URLs
	settings  *Host       // never nil
	keychain  authn.Keychain

	auth    *authorizer
	rt      http.RoundTripper
	secrets secrets

	scheme   atomic.Pointer[string] // nil until it is settled
	settling chan struct{}          // held by the request that settles the scheme
	distance *distance              // shared with all that use its connections

	silent atomic.Bool // it does not answer; mirrors that may are asked about names in its place

	bodies slots        // of blobs that are being read
	served atomic.Int64 // bytes of blobs it gave

	blobs     blobMemory
	redirects redirects
	uploads   flights
	quirks    quirks
	merges    mergeMemory
}

// A hostKey tells what a host is asked as: what is asked of a mirror may fail,
// and is then asked elsewhere.
type hostKey struct {
	name     string
	mirror   bool
	settings *Host // nil is those that the Client knows
}

// host returns the host of that name, always the same one.
func (c *Client) host(name string) (*host, error) { return c.hostAs(hostKey{name: name}) }

func (c *Client) hostAs(key hostKey) (*host, error) {
	c.init()
	name, err := canonicalHost(key.name)
	if err != nil {
		return nil, err
	}
	key.name = name
	known, err := c.hostSettings(name)
	if err != nil && key.settings == nil {
		return nil, err
	}
	settings := cmp.Or(key.settings, known)
	if settings == known {
		key.settings = nil // whoever asked for it with its own settings means the same host
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, ok := c.hosts[key]; ok {
		return h, nil
	}
	h := &host{client: c, name: name, settings: settings, keychain: c.Keychain}
	if key.mirror {
		h.mirror = &mirrorHost{}
	}
	if err := h.open(); err != nil {
		return nil, err
	}
	c.hosts[key] = h
	return h, nil
}

// open makes a host that knows its name and settings ready to be asked. The
// caller holds the Client's lock.
func (h *host) open() error {
	h.authority = h.name
	if h.name == DockerHub {
		h.authority = hubAddress
	}
	if h.settings.Address != "" {
		if err := checkHost(h.settings.Address); err != nil {
			return fmt.Errorf("address of host %s: %w", h.name, err)
		}
	}
	h.secrets.shared = &h.client.secrets
	h.secrets.addHeader(h.settings.Header)
	h.bodies.allowed = max(h.settings.Concurrency, 0)
	h.distance = h.client.distanceOf(reachKey{h.settings, h.authority})
	h.settling = make(chan struct{}, 1)
	h.auth = newAuthorizer(h)
	h.rt, h.auth.tokens = h.client.stack(h)
	at := url.URL{Host: cmp.Or(h.settings.Address, h.authority)}
	if addr, err := netip.ParseAddr(at.Hostname()); err == nil {
		h.distance.reached(httpx.ReachOf(addr))
	}
	if schemes := h.settings.Schemes(h.authority); len(schemes) == 1 {
		h.settle(schemes[0])
	}
	return nil
}

// tries returns how often in a row something is asked of the host.
func (h *host) tries() int {
	if h.mirror != nil {
		return min(h.client.retries(), mirrorTries)
	}
	return h.client.retries()
}

// maxWait returns how long the host may ask to be left alone: while a mirror
// does, others are asked.
func (h *host) maxWait() time.Duration {
	if h.mirror != nil {
		return time.Nanosecond
	}
	return h.client.maxWait()
}

// stallTimeout returns for how long the host may be silent.
func (h *host) stallTimeout() time.Duration {
	if h.mirror != nil {
		return min(h.client.stallTimeout(), mirrorStall)
	}
	return h.client.stallTimeout()
}

// canonicalHost checks a host's name and gives Docker Hub one.
func canonicalHost(name string) (string, error) {
	if name == "" {
		return DockerHub, nil
	}
	name = HostName(name)
	return name, checkHost(name)
}

var hostChars = pattern.Lazy(`^(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?)(:[0-9]{1,5})?$`)

func checkHost(name string) error {
	if !hostChars().MatchString(name) {
		return fmt.Errorf("host %q is not of the form name[:port]: %w", name, content.ErrInvalid)
	}
	u := url.URL{Host: name}
	if port, _ := strconv.Atoi(u.Port()); port > 65535 {
		return fmt.Errorf("host %q: there is no port %d: %w", name, port, content.ErrInvalid)
	}
	return nil
}

func (h *host) settle(scheme string) { h.scheme.Store(&scheme) }

// settled returns the scheme, "" while it is open.
func (h *host) settled() string {
	if s := h.scheme.Load(); s != nil {
		return *s
	}
	return ""
}

// owns reports whether u is of the host's own origin: the only one that sees
// its credentials.
func (h *host) owns(u *url.URL) bool {
	scheme := h.settled()
	if scheme == "" {
		scheme = u.Scheme
	}
	return httpx.SameOrigin(u, &url.URL{Scheme: scheme, Host: h.authority})
}

// root returns the path of the API, a slash at its end.
func (h *host) root() string {
	return strings.TrimSuffix(cmp.Or(h.settings.Path, "/v2"), "/") + "/"
}

// url returns the URL of a path below the API's.
func (h *host) url(path string, query url.Values) *url.URL {
	scheme := h.settled()
	if scheme == "" {
		scheme = "http"
	}
	return &url.URL{Scheme: scheme, Host: h.authority, Path: h.root() + path, RawQuery: query.Encode()}
}

// A call is a request with a small body or none.
type call struct {
	method string
	path   string // below the API's
	api    string // instead of path: from the root of the host, for what it has beside the distribution API
	query  url.Values
	url    *url.URL // instead of path and query
	header http.Header
	body   []byte
	scopes []string // what a token for it must allow
}

// namedKey marks requests to a URL that a server named.
type namedKey struct{}

func isNamed(req *http.Request) bool {
	named, _ := req.Context().Value(namedKey{}).(bool)
	return named || req.Response != nil
}

// request makes the request of a call.
func (h *host) request(ctx context.Context, c call) (*http.Request, error) {
	if c.url == nil {
		c.url = h.url(c.path, c.query)
		c.url.Path = cmp.Or(c.api, c.url.Path)
	} else {
		ctx = context.WithValue(ctx, namedKey{}, true)
	}
	var body io.Reader
	if c.body != nil {
		body = strings.NewReader(string(c.body))
	}
	req, err := http.NewRequestWithContext(withScopes(ctx, c.scopes), c.method, c.url.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %w", c.method, httpx.Redact(c.url), err, content.ErrInvalid)
	}
	maps.Copy(req.Header, c.header)
	req.Header.Set("Accept-Encoding", "identity")
	return req, nil
}

// do sends a call and returns its answer, whatever the status. Its body must be closed.
func (h *host) do(ctx context.Context, c call) (*http.Response, error) {
	req, err := h.request(ctx, c)
	if err != nil {
		return nil, err
	}
	return h.send(req)
}

// send sends a request through the whole stack. The errors are of type *Error.
func (h *host) send(req *http.Request) (*http.Response, error) {
	if h.settled() == "" && req.URL.Host == h.authority {
		return h.sendSettling(req)
	}
	if req.URL.Host == h.authority && h.settled() == "https" {
		req.URL.Scheme = "https" // the request may have been made before that was known
	}
	resp, err := h.rt.RoundTrip(req)
	if err != nil {
		return nil, h.transportError(req, err)
	}
	return resp, nil
}
