package doctor

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// An exam is the examination of one host that serves a repository, and of the
// hosts it leads to.
type exam struct {
	doctor *Doctor
	limits Limits
	role   role
	at     registry.Endpoint
	host   registry.Host  // the settings
	roots  *x509.CertPool // whom they trust; nil is whom the system does
	client *registry.Client
	plain  *http.Transport // for what is asked without a client

	resolves bool          // a mirror that may tell what tags stand for
	tagsOnly bool          // a mirror that is not asked for what is named by digest
	from     config.Origin // who named the mirror
	moved    config.Origin // who says that another address is contacted
	serves   bool          // a mirror that was found to be right, and to have all that the registry fails to give

	findings []finding
	pulls    int
	image    picture

	mu     sync.Mutex
	source source
	wants  registry.Challenge
	held   map[string]looked           // by host
	scheme string                      // of the host itself, once that is known
	good   map[string][]netip.AddrPort // addresses that can be connected to, by host:port
	seen   map[string]bool             // whether the way to a host was found, by scheme://host:port
	log    []exchange
	near   httpx.Reach // how near the host is: it may lead nowhere nearer
}

// A picture is what was learnt about the image that the target names.
type picture struct {
	root  ocispec.Descriptor // empty where it was not found
	blobs []ocispec.Descriptor
	fails bool // pulls fail at the registry it was learnt from
}

// A source says which credential was looked up, and where it comes from.
type source struct {
	asked  bool // the host wanted one
	has    bool // there is one
	from   string
	err    error
	waited time.Duration // in vain: time ran out before it was there; 0 is not
}

// exam prepares the examination of one host.
func (d *Doctor) exam(r role, at registry.Endpoint, t target) (*exam, error) {
	client, err := d.Client()
	if err != nil {
		return nil, err
	}
	x := &exam{
		doctor: d, limits: d.Limits.effective(), role: r, at: at, client: client,
		good: map[string][]netip.AddrPort{}, seen: map[string]bool{}, held: map[string]looked{},
	}
	settings := at.Settings
	if settings == nil && client.Hosts != nil {
		if settings, err = client.Hosts(at.Host); err != nil {
			return nil, err
		}
	}
	if settings != nil {
		x.host = *settings
	}
	if x.roots, err = rootsOf(&x.host); err != nil {
		return nil, err
	}
	x.tune(t)
	x.plain = httpx.NewTransport(httpx.Dial{TLS: x.tls(), HTTP1: true, Proxy: client.Proxy, Connect: x.dial})
	return x, nil
}

// tune makes the client one that asks this host, once, and is watched.
func (x *exam) tune(t target) {
	c := x.client
	c.Retries, c.MaxWait, c.StallTimeout, c.Waiting = 1, time.Nanosecond, x.limits.Request, nil
	c.Dial, c.Watch = x.dial, x.watch
	if t.repository != "" {
		c.Routes = func(string, string) (registry.Route, error) {
			return registry.Route{Read: x.at, Write: x.at}, nil
		}
	}
	if x.doctor.Credential == nil {
		return
	}
	c.Keychain = registry.CredentialFunc(func(ctx context.Context, host, _ string) (registry.Credential, error) {
		return x.credential(ctx, host)
	})
}

// close ends the connections.
func (x *exam) close() {
	x.client.Close()
	x.plain.CloseIdleConnections()
}

// hubAddress is what is contacted for Docker Hub.
const hubAddress = "registry-1.docker.io"

// url returns the host's own URL, with the scheme that was found or is to be tried.
func (x *exam) url() *url.URL {
	u := &url.URL{Scheme: cmp.Or(x.scheme, "https"), Host: x.at.Host}
	if x.at.Host == registry.DockerHub {
		u.Host = hubAddress
	}
	if x.host.PlainHTTP {
		u.Scheme = "http"
	}
	return u
}

// add notes a finding, and how long it took. At a mirror all that fails comes to
// the same: the mirror is of no use. It reports whether it is worth going on.
func (x *exam) add(f finding, took time.Duration) bool {
	if f.Hop == "" {
		return true
	}
	f.Took = took
	if x.role == mirrorHost && f.problem != nil {
		f = x.asMirror(f)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.findings = append(x.findings, f)
	return !x.stops(f)
}

// timed adds what look finds, and how long that took it.
func (x *exam) timed(look func() finding) bool {
	began := time.Now()
	f := look()
	return x.add(f, time.Since(began))
}

// stops reports whether nothing behind a finding is worth looking at.
func (x *exam) stops(f finding) bool { return f.failed() || x.role == mirrorHost && f.problem != nil }

// stopped returns how many findings there are so far behind which nothing is worth looking at.
func (x *exam) stopped() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, f := range x.findings {
		if x.stops(f) {
			n++
		}
	}
	return n
}

// skip notes hops that were not reached.
func (x *exam) skip(why string, hops ...Hop) {
	for _, hop := range hops {
		x.add(skipped(hop, x.at.Host, why), 0)
	}
}

// asMirror says of a mirror at which something was found that it is dead, or
// refuses us. What is said about mirrors alone stays.
func (x *exam) asMirror(f finding) finding {
	p := *f.problem
	remedy := "mend the mirror, or take it out" + x.where()
	switch p.Cause {
	case MirrorDead, MirrorRefuses, MirrorStale, MirrorSlow, MirrorLies:
		return f
	case LoginNeeded, CredentialRefused, CredentialUnreadable, Denied, MissingOrDenied, RateLimited, ClientCertificate, ProxyLogin:
		p.Remedy += "; or take the mirror out" + x.where()
		p.Cause = MirrorRefuses
	case CredentialSlow:
		p.Cause = MirrorSlow
	case WrongBytes:
		p.Cause, p.Remedy = MirrorLies, remedy
	case ClockSkew, NoRange, MissingPlatform, DeadAddress:
		return fine(f.Hop, f.Subject, p.Evidence)
	default:
		if p.Subject != x.at.Host {
			p.Evidence = "leads to " + p.Subject + ", which " + p.Evidence
		}
		p.Cause, p.Remedy = MirrorDead, remedy+" ("+p.Remedy+")"
	}
	p.Subject = x.at.Host
	return wrong(f.Hop, p)
}

// where says where the mirror is named.
func (x *exam) where() string {
	if (x.from == config.Origin{}) {
		return " of the settings"
	}
	return " at " + x.from.String()
}

// dial connects to host:port as a client does: to the addresses that were found
// good, or else to those that the name has.
func (x *exam) dial(ctx context.Context, _, address string) (net.Conn, error) {
	x.mu.Lock()
	good := x.good[address]
	x.mu.Unlock()
	if good == nil {
		found, err := x.addresses(ctx, address)
		if err != nil {
			return nil, err
		}
		good = found
	}
	var failed error
	for _, to := range good {
		ctx, cancel := context.WithTimeout(ctx, x.limits.Connect)
		conn, err := x.doctor.connect(ctx, to.String())
		cancel()
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, fmt.Errorf("%w: %w", cmp.Or(failed, errUnreached), content.ErrUnavailable)
}

// addresses looks up host:port.
func (x *exam) addresses(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{}
	if addr, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, addr)
	} else {
		ctx, cancel := context.WithTimeout(ctx, x.limits.DNS)
		defer cancel()
		if addrs, err = x.doctor.resolver().LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	var all []netip.AddrPort
	for _, addr := range addrs {
		all = append(all, netip.AddrPortFrom(addr.Unmap(), uint16(number)))
	}
	return all, nil
}
