package httpx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/wherry-dev/wherry/content"
)

// A Dial says how connections are made and where they may lead.
type Dial struct {
	TLS   *tls.Config
	HTTP1 bool // never HTTP/2

	// Proxy returns the proxy for a request, nil for none. It may be nil.
	Proxy func(*http.Request) (*url.URL, error)

	Timeout time.Duration // for one connection; 0 means 15 s

	// Address is contacted in place of whatever a URL names, host[:port], without
	// a port at that of the URL; "" is what the URL says. Proxies are told the URL's.
	Address string

	// Connect makes connections; nil is what net.Dialer does.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)

	// Allow says whether an address, after DNS, may be connected to. Proxies
	// are not asked about. nil allows all.
	Allow func(Reach) bool

	// Reached is told what was connected to, proxies excepted. It may be nil.
	Reached func(Reach)
}

// NewTransport returns the innermost of the stack. Nothing in it retries,
// follows or decompresses.
func NewTransport(d Dial) *http.Transport {
	p := &proxies{dial: d}
	plain, guarded := d.dialers()
	t := &http.Transport{
		Proxy: p.forRequest,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if p.has(address) {
				return plain(ctx, network, address)
			}
			return guarded(ctx, network, d.instead(address))
		},
		OnProxyConnectResponse: tunnelled,
		TLSClientConfig:        d.TLS,
		TLSHandshakeTimeout:    15 * time.Second,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    32,
		IdleConnTimeout:        60 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         64 << 10,
		WriteBufferSize:        64 << 10,
		ForceAttemptHTTP2:      !d.HTTP1,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
	if d.HTTP1 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
	}
	return t
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// dialers returns what connects to proxies, and what connects to all others.
func (d Dial) dialers() (plain, guarded dialer) {
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = 15 * time.Second
	}
	if d.Connect != nil {
		connect := bounded(timeout, d.Connect)
		return connect, d.check(connect)
	}
	free := &net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}
	held := *free
	held.Control = d.control
	return free.DialContext, d.check(held.DialContext)
}

// bounded gives up connections that take longer than that.
func bounded(timeout time.Duration, next dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no connection to %s in %s: %w", address, timeout, content.ErrUnavailable))
		defer cancel()
		conn, err := next(ctx, network, address)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return conn, err
	}
}

// check looks at where a connection led, which a dialer of others does not ask
// about before.
func (d Dial) check(next dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if err := d.control(network, conn.RemoteAddr().String(), nil); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		d.tell(conn.RemoteAddr())
		return conn, nil
	}
}

// instead returns what is contacted when address is asked for.
func (d Dial) instead(address string) string {
	if d.Address == "" {
		return address
	}
	if u := (&url.URL{Host: d.Address}); u.Port() == "" {
		_, port, _ := net.SplitHostPort(address) // it always has one here
		return net.JoinHostPort(u.Hostname(), port)
	}
	return d.Address
}

// control is asked after DNS, for each address that a name has.
func (d Dial) control(_, address string, _ syscall.RawConn) error {
	at, known := reachOfAddress(address)
	switch {
	case d.Allow == nil:
		return nil
	case !known:
		return &RefusedError{Target: address, Reason: "nobody can tell how near that is"}
	case !d.Allow(at):
		return &RefusedError{Target: address, Reason: nearer}
	}
	return nil
}

func (d Dial) tell(remote net.Addr) {
	if at, known := reachOfAddress(remote.String()); known && d.Reached != nil {
		d.Reached(at)
	}
}

// proxies remembers which addresses are those of proxies: the user named them.
type proxies struct {
	dial  Dial
	hosts sync.Map
}

// forRequest chooses a proxy. Where there is one, nobody here sees what a name
// resolves to, but what can be told from a host as it is written holds there too.
// A proxy's own address is dialed unasked, and so not for a server that names it.
func (p *proxies) forRequest(req *http.Request) (*url.URL, error) {
	if p.dial.Proxy == nil {
		return nil, nil //nolint:nilnil // what http.Transport.Proxy wants for "no proxy"
	}
	u, err := p.dial.Proxy(req)
	if err != nil {
		return nil, err
	}
	guarded := p.dial.Allow != nil
	if u == nil {
		if guarded && p.has(address(req.URL)) {
			return nil, &RefusedError{Target: Redact(req.URL), Reason: "a server named the address of a proxy"}
		}
		return nil, nil //nolint:nilnil // as above
	}
	if at, known := reachOfName(req.URL.Hostname()); guarded && (known && !p.dial.Allow(at) || !isPlainHost(req.URL.Hostname())) {
		return nil, &RefusedError{Target: Redact(req.URL), Reason: nearer}
	}
	p.hosts.Store(proxyAddress(u), true)
	return u, nil
}

func proxyAddress(u *url.URL) string {
	if u.Port() == "" && (u.Scheme == "socks5" || u.Scheme == "socks5h") {
		return net.JoinHostPort(u.Hostname(), "1080")
	}
	return address(u)
}

func (p *proxies) has(address string) bool {
	_, known := p.hosts.Load(address)
	return known
}
