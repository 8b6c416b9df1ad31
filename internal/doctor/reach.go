package doctor

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/net/proxy"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// A place is a host on the way, and how it is contacted.
type place struct {
	role     role
	name     string // as people call it
	url      *url.URL
	settings *registry.Host
	file     string        // of our own settings, for remedies
	proxied  string        // who set the proxy, or kept it away
	cloud    bool          // the name is of the form that a cloud gives its registries
	moved    config.Origin // who set the address that is contacted instead
}

// instead says what is contacted in place of the host, "" for nothing.
func (p place) instead() string {
	switch {
	case p.settings.Address == "":
		return ""
	case p.moved == config.Origin{}:
		return "contacted at " + p.settings.Address
	}
	return "contacted at " + p.settings.Address + " (" + p.moved.String() + ")"
}

// named reports whether the user named the host, not a server.
func (p place) named() bool { return p.role == registryHost || p.role == mirrorHost }

// own is the place of the host that is examined.
func (x *exam) own() place {
	return place{role: x.role, name: x.at.Host, url: x.url(), settings: &x.host, file: x.doctor.file(), moved: x.moved, cloud: x.doctor.cloudLogin(x.at.Host) != ""}
}

// settingsOf returns what is known about a host that the registry leads to.
func (x *exam) settingsOf(host string) *registry.Host {
	if x.client.Hosts != nil {
		if known, err := x.client.Hosts(host); err == nil && known != nil {
			return known
		}
	}
	return &registry.Host{}
}

// reach walks the hops below HTTP to a place, and reports whether they lead there.
func (x *exam) reach(ctx context.Context, p place) bool {
	ok := x.connected(ctx, p)
	x.mu.Lock()
	x.seen[p.url.String()] = ok
	x.mu.Unlock()
	return ok
}

func (x *exam) connected(ctx context.Context, p place) bool {
	via, from, ok := x.chooseProxy(p)
	if !ok {
		return false
	}
	p.proxied = from
	first := p
	if via != nil {
		first = place{role: proxyHost, name: via.Host, url: &url.URL{Scheme: via.Scheme, Host: via.Host}, settings: &registry.Host{}, proxied: from}
	}
	addrs, ok := x.lookUp(ctx, first)
	if !ok {
		return false
	}
	conn, ok := x.connectAny(ctx, first, addrs)
	if !ok {
		return false
	}
	if via != nil && p.url.Scheme == "https" {
		if conn, ok = x.tunnel(ctx, p, via, conn); !ok {
			return false
		}
	}
	ok = true
	if p.url.Scheme == "https" {
		ok = x.secure(ctx, p, conn, via)
	}
	_ = conn.Close() // it was tried out; nothing went over it that could be lost
	return ok
}

// chooseProxy finds out which proxy is used, nil for none, and who says so.
func (x *exam) chooseProxy(p place) (via *url.URL, by string, ok bool) {
	var from config.Origin
	if x.doctor.View != nil {
		from = x.doctor.View.Proxy(p.url).From
	}
	var err error
	if x.client.Proxy != nil {
		via, err = x.client.Proxy(&http.Request{URL: p.url})
	}
	return via, from.String(), x.add(judgeProxy(p.name, via, from, err), 0)
}

func judgeProxy(host string, via *url.URL, from config.Origin, err error) finding {
	if err != nil {
		return wrong(HopProxy, Problem{BadSetting, host, "has a proxy setting that does not work", "mend the proxy setting (" + from.String() + ")"})
	}
	why := ""
	if (from != config.Origin{}) {
		why = ", as " + from.String() + " says"
	}
	if via == nil {
		return fine(HopProxy, host, "direct"+why)
	}
	return fine(HopProxy, host, "through "+via.Scheme+"://"+via.Host+why)
}

// portOf returns host and port that are contacted for u.
func portOf(u *url.URL) (host, port string) {
	port = map[string]string{"http": "80", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	return u.Hostname(), cmp.Or(u.Port(), port, "443")
}

// lookUp finds the addresses of a place.
func (x *exam) lookUp(ctx context.Context, p place) (addrs []netip.AddrPort, ok bool) {
	host, port := portOf(p.url)
	at := net.JoinHostPort(host, port)
	if p.settings.Address != "" {
		u := url.URL{Host: p.settings.Address}
		host, port = u.Hostname(), cmp.Or(u.Port(), port)
	}
	ok = x.timed(func() finding {
		var err error
		addrs, err = x.addresses(ctx, net.JoinHostPort(host, port))
		if !p.named() && p.role != proxyHost {
			addrs, err = x.allowed(addrs, err)
		}
		return judgeDNS(p, host, addrs, err)
	})
	if len(addrs) > 0 {
		x.mu.Lock()
		x.good[at], x.good[net.JoinHostPort(host, port)] = addrs, addrs
		x.mu.Unlock()
	}
	return addrs, ok
}

// errNearer is a server-named address that is nearer than the server.
var errNearer = errors.New("the registry leads to an address that is nearer than its own")

// allowed leaves out addresses that are nearer than the registry: a server must
// not make us knock at doors that only we can reach.
func (x *exam) allowed(addrs []netip.AddrPort, err error) ([]netip.AddrPort, error) {
	var may []netip.AddrPort
	for _, addr := range addrs {
		if x.near.Allows(httpx.ReachOf(addr.Addr())) {
			may = append(may, addr)
		}
	}
	if err == nil && len(may) == 0 && len(addrs) > 0 {
		return nil, errNearer
	}
	return may, err
}

// An attempt is a connection that was tried.
type attempt struct {
	to   netip.AddrPort
	took time.Duration
	err  error
}

// connectAny tries all addresses at once and returns one connection.
func (x *exam) connectAny(ctx context.Context, p place, addrs []netip.AddrPort) (conn net.Conn, ok bool) {
	tries := make([]attempt, len(addrs))
	conns := make([]net.Conn, len(addrs))
	ok = x.timed(func() finding {
		var g errgroup.Group
		g.SetLimit(16)
		for i, to := range addrs {
			g.Go(func() error {
				ctx, cancel := context.WithTimeout(ctx, x.limits.Connect)
				defer cancel()
				began := time.Now()
				c, err := x.doctor.connect(ctx, to.String())
				conns[i], tries[i] = c, attempt{to, time.Since(began), err}
				return nil
			})
		}
		_ = g.Wait() // what failed is in tries
		return judgeTCP(p, tries, x.limits.Connect)
	})
	var good []netip.AddrPort
	for i, c := range conns {
		switch {
		case tries[i].err != nil:
			continue
		case conn == nil:
			conn = c
		default:
			_ = c.Close() // it was only tried
		}
		good = append(good, addrs[i])
	}
	x.reached(p, good)
	return conn, ok && conn != nil
}

// reached remembers which addresses of a place are good, and how near it is.
func (x *exam) reached(p place, good []netip.AddrPort) {
	if len(good) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	host, port := portOf(p.url)
	x.good[net.JoinHostPort(host, port)] = good
	if p.settings.Address != "" {
		for _, addr := range good {
			u := url.URL{Host: p.settings.Address}
			x.good[net.JoinHostPort(u.Hostname(), fmt.Sprint(addr.Port()))] = good
		}
	}
	if p.named() {
		x.near = httpx.ReachOf(good[0].Addr())
		for _, addr := range good {
			x.near = min(x.near, httpx.ReachOf(addr.Addr()))
		}
	}
}

// tunnel asks a proxy for a connection to p.
func (x *exam) tunnel(ctx context.Context, p place, via *url.URL, conn net.Conn) (through net.Conn, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, x.limits.Request)
	defer cancel()
	host, port := portOf(p.url)
	ok = x.timed(func() finding {
		if via.Scheme == "http" || via.Scheme == "https" {
			if through = conn; via.Scheme == "https" {
				config := x.tls()
				config.ServerName = via.Hostname()
				through = tls.Client(conn, config)
			}
			status, err := askProxy(ctx, through, via, net.JoinHostPort(host, port))
			return judgeTunnel(p, via.Host, status, err)
		}
		c, err := socks(ctx, conn, via, net.JoinHostPort(host, port))
		through = c
		return judgeTunnel(p, via.Host, 0, err)
	})
	if !ok {
		_ = conn.Close() // it is of no use
	}
	return through, ok
}

// askProxy sends CONNECT and returns the status of the answer.
func askProxy(ctx context.Context, conn net.Conn, via *url.URL, to string) (int, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	header := http.Header{}
	if via.User != nil {
		password, _ := via.User.Password()
		header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(via.User.Username()+":"+password)))
	}
	req := (&http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: to}, Host: to, Header: header}).WithContext(ctx)
	if err := req.Write(conn); err != nil {
		return 0, err
	}
	// A tunnel is silent until we speak: nothing of it is in the reader's buffer.
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// given is a dialer of one connection, which is there already.
type given struct{ conn net.Conn }

func (g given) Dial(string, string) (net.Conn, error) { return g.conn, nil }

func socks(ctx context.Context, conn net.Conn, via *url.URL, to string) (net.Conn, error) {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", via.Host, auth, given{conn})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return d.Dial("tcp", to)
}
