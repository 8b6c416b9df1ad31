// Package registry speaks the OCI distribution API (v1.1.1) with registries: a
// [Client] for the process, a [Repository] for each repository, which is a
// [content.Source] and a [content.Sink].
//
// A repository resumes what breaks. A blob's body that ends early is opened
// again at the byte reached, for as long as there is progress; an upload that
// breaks asks its session where it stands and goes on from there. A host that
// asks to be left alone is left alone, by every request of the process.
// Credentials go to the host the user named and nowhere else.
//
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/time/rate"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// A Client talks to registries. The zero Client works: anonymous, https, and
// http for loopback hosts that speak it. A Client is made once for a process:
// hosts are left in peace, connections shared and tokens kept within one
// Client. It must not be copied after use.
type Client struct {
	// Keychain has the credentials; nil is anonymous. It is asked only for the
	// host the user named, and only after that host wanted some: once for each
	// repository there, and again when what it gave is refused.
	Keychain authn.Keychain

	// Hosts returns the settings of a host, given as in [Client.Repository] but
	// with Docker Hub always "docker.io", nil where it has none. It may be asked
	// more than once. nil means none for all.
	Hosts func(host string) (*Host, error)

	// Routes returns where a repository is, given in the same way. nil means that
	// every host serves what is named after it.
	Routes func(host, repository string) (Route, error)

	// Proxy returns the proxy for a request, nil for none. nil means none at all.
	Proxy func(*http.Request) (*url.URL, error)

	// Dial makes connections, to "host:port" with host a name or an address; nil
	// is what net.Dialer does. Where a connection led, which its RemoteAddr tells,
	// is checked all the same, and one that tells no address leads nowhere that a
	// server named. It has the time that a host's settings allow.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Watch is put around what sends the requests of each host, those to token
	// servers and along redirects too. It sees them as they go out, credentials
	// included, and must let none of that out. nil is nobody.
	Watch func(next http.RoundTripper) http.RoundTripper

	UserAgent    string        // "" means "wherry"
	Retries      int           // tries in a row without one new byte; 0 means 5
	Backoff      time.Duration // longest wait after the first failure, doubled from failure to failure; 0 means 1 s
	MaxWait      time.Duration // longest Retry-After obeyed, beyond it requests fail; 0 means 5 min
	StallTimeout time.Duration // silence that counts as broken; 0 means 30 s
	LimitRate    int64         // bytes of bodies per second over all connections, each direction for itself; 0 is no limit

	// Waiting is told when requests begin to wait because a host asked for it, once
	// for all of them: host is named as in [Client.Repository]. It must return soon.
	// nil is nobody.
	Waiting func(host string, until time.Time)

	// ForeignLayers says what Open does about foreign layers that the registry
	// does not hold.
	ForeignLayers ForeignPolicy

	// Without leaves answers out, to see whether a registry needs them. The zero
	// value gives all.
	Without Answer

	Limits  content.Limits
	Facts   content.Facts   // what was learnt about hosts, beyond the process; may be nil
	Journal content.Journal // where uploads stand, beyond the process; nil is none: who is killed begins anew
	Log     *slog.Logger    // nil is silent; every exchange at debug level, secrets redacted

	once       sync.Once
	up, down   *rate.Limiter
	gates      gates
	mu         sync.Mutex
	hosts      map[hostKey]*host
	avoided    map[string]bool // hosts that are written to, and not read from as mirrors
	passed     sync.Map        // mirrors with wrong settings, as it was said
	transports map[transportKey]*http.Transport
	distances  map[reachKey]*distance
	secrets    secrets // those of proxies
}

// A ForeignPolicy says what to do about layers that are named by URLs and that
// the registry does not hold.
type ForeignPolicy uint8

// The policies for foreign layers.
const (
	ForeignLeave ForeignPolicy = iota // such a layer is not found
	ForeignFetch                      // it is read from its URLs: without credentials, over https
)

func (c *Client) init() {
	c.once.Do(func() {
		c.up, c.down = httpx.NewLimiter(c.LimitRate), httpx.NewLimiter(c.LimitRate)
		c.gates.backoff, c.gates.waiting, c.gates.low = c.backoff(), c.Waiting, c.warnLow
		c.hosts, c.avoided = map[hostKey]*host{}, map[string]bool{}
		c.transports = map[transportKey]*http.Transport{}
		c.distances = map[reachKey]*distance{}
	})
}

func (c *Client) retries() int                { return or(c.Retries, 5) }
func (c *Client) backoff() time.Duration      { return or(c.Backoff, time.Second) }
func (c *Client) maxWait() time.Duration      { return or(c.MaxWait, 5*time.Minute) }
func (c *Client) stallTimeout() time.Duration { return or(c.StallTimeout, 30*time.Second) }

func or[T int | time.Duration](v, standard T) T {
	if v <= 0 {
		return standard
	}
	return v
}

func (c *Client) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

func (c *Client) userAgent() string {
	if c.UserAgent == "" {
		return "wherry"
	}
	return c.UserAgent
}

// unset are the settings of a host that has none.
var unset Host

// hostSettings returns the settings of a host, never nil.
func (c *Client) hostSettings(name string) (*Host, error) {
	if c.Hosts == nil {
		return &unset, nil
	}
	settings, err := c.Hosts(name)
	if settings == nil {
		settings = &unset
	}
	return settings, err
}

// Close closes the connections that are idle. The Client can be used on.
func (c *Client) Close() {
	c.init()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// stack is all that a request of host h passes, read from below: redirects
// first, then credentials, another try, the gate, and so on down to the
// connection. Tokens are fetched through what stands below the credentials.
func (c *Client) stack(h *host) (all, tokens http.RoundTripper) {
	var rt http.RoundTripper = &lanes{client: c, host: h}
	if c.Watch != nil {
		rt = c.Watch(rt)
	}
	rt = httpx.Stall{Next: rt, Limit: h.stallTimeout()}
	rt = httpx.Rate{Next: rt, Down: c.down, Up: c.up}
	rt = httpx.Log{Next: rt, Logger: c.log(), Mask: h.secrets.mask}
	rt = httpx.Agent{Next: rt, Name: c.userAgent()}
	rt = headed{host: h, next: rt}
	rt = &gated{next: rt, gates: &c.gates, maxWait: h.maxWait(), host: h}
	rt = &httpx.Replay{Next: rt, Tries: h.requestTries(), Backoff: c.backoff(), MaxWait: h.maxWait(), Again: h.replays}
	tokens = rt
	rt = witness{host: h, next: rt}
	rt = h.auth.over(rt)
	return httpx.Follow{Next: rt, Kind: httpx.Redirect, Reach: h.reachable}, tokens
}

// headed adds the headers that the user wants a host to see, at its own origin.
type headed struct {
	host *host
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t headed) RoundTrip(req *http.Request) (*http.Response, error) {
	more := t.host.settings.Header
	if len(more) == 0 || !t.host.owns(req.URL) || httpx.IsAnonymous(req) {
		return t.next.RoundTrip(req)
	}
	req = req.Clone(req.Context())
	for name, values := range more {
		if len(req.Header.Values(name)) == 0 {
			req.Header[name] = values
		}
	}
	return t.next.RoundTrip(req)
}

// A transportKey says which requests may share connections: those with the same
// idea of whom to trust and of where connections may lead.
type transportKey struct {
	own     *Host  // settings of the host the user named; nil for what a host led to
	name    string // authority of the host the user named
	reach   httpx.Reach
	lane    bool
	nobody  bool // without certificates of our own
	trusts  bool // without looking at certificates
	rootCAs *x509.CertPool
}

// lanes picks the connections for a request.
type lanes struct {
	client *Client
	host   *host
}

func (l *lanes) RoundTrip(req *http.Request) (*http.Response, error) {
	key := transportKey{lane: httpx.IsLane(req.Context())}
	settings := l.host.settings
	if l.host.owns(req.URL) {
		key.own, key.name, key.nobody = settings, l.host.authority, httpx.IsAnonymous(req)
	} else {
		var err error
		if settings, err = l.client.hostSettings(settingsName(req.URL)); err != nil {
			return nil, refuse(req, err)
		}
		key.reach = l.host.reachable()
	}
	key.trusts = settings.SkipVerify
	if !key.trusts && settings.Roots != nil && l.client.overTLS(req) {
		var err error
		if key.rootCAs, err = settings.Roots(); err != nil {
			return nil, refuse(req, &rootsError{err})
		}
	}
	return l.client.transport(key).RoundTrip(req)
}

// overTLS reports whether a request goes over TLS, be it to its proxy alone.
func (c *Client) overTLS(req *http.Request) bool {
	if req.URL.Scheme == "https" || c.Proxy == nil {
		return req.URL.Scheme == "https"
	}
	proxy, err := c.Proxy(req)
	return err == nil && proxy != nil && proxy.Scheme == "https" // the transport tells of errors
}

// A rootsError is that nobody can tell whom to trust.
type rootsError struct{ err error }

func (e *rootsError) Error() string { return e.err.Error() }
func (e *rootsError) Unwrap() error { return e.err }

// Permanent says that trying again cannot help.
func (e *rootsError) Permanent() bool { return true }

// refuse ends a request as every RoundTripper does.
func refuse(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return err
}

func (c *Client) transport(key transportKey) *http.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.transports[key]; ok {
		return t
	}
	d := httpx.Dial{
		TLS: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            key.rootCAs,
			InsecureSkipVerify: key.trusts, //nolint:gosec // the user said so, for this host
		},
		HTTP1:   key.lane,
		Proxy:   c.secrets.choosing(c.Proxy),
		Connect: c.Dial,
	}
	if key.own == nil {
		d.Allow = key.reach.Allows
	} else {
		if !key.nobody {
			d.TLS.Certificates = key.own.Certificates
		}
		d.Address, d.Timeout = key.own.Address, key.own.DialTimeout
		d.Reached = c.distanceOf(reachKey{key.own, key.name}).reached
	}
	t := httpx.NewTransport(d)
	c.transports[key] = t
	return t
}
