package registry_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log"
	"log/slog"
	"math/big"
	stdnet "net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/registry"
)

// An internet has every host there is: a name stands for an address of its own,
// which connections seem to lead to, and one handler answers for all. It speaks
// http at port 80 and TLS at all others.
type internet struct {
	tls, plain *httptest.Server
	roots      *x509.CertPool
	addresses  map[string]string // by name; others are public

	mu     sync.Mutex
	answer http.HandlerFunc
	visits []visit
}

// A visit is one request as a host saw it.
type visit struct {
	origin string // scheme and host, as they were asked for
	text   string // all of it
	cert   bool   // with a client certificate
}

// newInternet listens. The names of its hosts are below example.
func newInternet(tb testing.TB, addresses map[string]string) *internet {
	tb.Helper()
	n := &internet{addresses: addresses, roots: x509.NewCertPool()}
	cert := issue(tb, "r.example", "auth.example", "a.example", "b.example", "R.EXAMPLE", "AUTH.EXAMPLE")
	n.roots.AddCert(cert.Leaf)
	n.plain = httptest.NewServer(n)
	n.tls = httptest.NewUnstartedServer(n)
	n.tls.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that are given up are what is wanted
	n.tls.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}
	n.tls.StartTLS()
	tb.Cleanup(n.plain.Close)
	tb.Cleanup(n.tls.Close)
	return n
}

// issue makes a certificate that vouches for itself.
func issue(tb testing.TB, names ...string) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

// begin forgets who visited, and says what is answered from now on.
func (n *internet) begin(answer http.HandlerFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer, n.visits = answer, nil
}

// bind makes a name stand for another address.
func (n *internet) bind(name, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses[name] = address
}

func (n *internet) all() []visit {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]visit(nil), n.visits...)
}

// ServeHTTP notes the visit first.
func (n *internet) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	const form = 4 << 10 // bytes; what is longer is a blob
	text, _ := httputil.DumpRequest(req, false)
	body, _ := io.ReadAll(io.LimitReader(req.Body, form)) // as far as it came
	_, _ = io.Copy(io.Discard, req.Body)
	v := visit{origin: "http://" + req.Host, text: string(text) + string(body)}
	if req.TLS != nil {
		v.origin, v.cert = "https://"+req.Host, len(req.TLS.PeerCertificates) > 0
	}
	n.mu.Lock()
	n.visits = append(n.visits, v)
	answer := n.answer
	n.mu.Unlock()
	answer(w, req)
}

// dial is a [registry.Client]'s.
func (n *internet) dial(ctx context.Context, network, address string) (stdnet.Conn, error) {
	host, port, err := stdnet.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	server := n.tls
	if port == "80" {
		server = n.plain
	}
	conn, err := new(stdnet.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	at := n.addresses[strings.ToLower(host)]
	n.mu.Unlock()
	if _, err := netip.ParseAddr(host); err == nil {
		at = host
	}
	if at == "" {
		at = "93.184.216.34"
	}
	return connTo{conn, stdnet.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(at), 443))}, nil
}

// A connTo seems to lead to another address.
type connTo struct {
	stdnet.Conn
	at stdnet.Addr
}

func (c connTo) RemoteAddr() stdnet.Addr { return c.at }

// The canaries: no host may see one that is not for it.
const (
	canaryPassword = "p4ssw0rd"
	canaryRefresh  = "r3fresh"
	canaryBearer   = "b34r3r"
	canaryHeader   = "h34der"
	canarySigned   = "s1gned" // in the query of URLs that lead elsewhere: hosts see it, people do not
)

// canaries returns which of them a visitor showed.
func (v visit) canaries() (shown []string) {
	basic := base64.StdEncoding.EncodeToString([]byte("ann:" + canaryPassword))
	for canary, spelt := range map[string][]string{
		canaryPassword: {canaryPassword, basic}, canaryRefresh: {canaryRefresh}, canaryBearer: {canaryBearer}, canaryHeader: {canaryHeader},
	} {
		for _, s := range spelt {
			if strings.Contains(v.text, s) {
				shown = append(shown, canary)
				break
			}
		}
	}
	if v.cert {
		shown = append(shown, "a client certificate")
	}
	return shown
}

// client returns a client of r.example on that internet, with all that may be
// configured for a host, and where it logs.
func (n *internet) client(tb testing.TB, cred registry.Credential, own *registry.Host) (*registry.Client, *bytes.Buffer) {
	tb.Helper()
	var out bytes.Buffer
	other := &registry.Host{Roots: trust(n.roots)}
	own.Roots = trust(n.roots)
	c := &registry.Client{
		Backoff: time.Millisecond, Retries: 2, Dial: n.dial, ForeignLayers: registry.ForeignFetch,
		Log: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Hosts: func(host string) (*registry.Host, error) {
			if host == "r.example" {
				return own, nil
			}
			return other, nil
		},
		Keychain: registry.CredentialFunc(func(_ context.Context, host, _ string) (registry.Credential, error) {
			if host != "r.example" {
				tb.Errorf("the credentials of %s were asked for", host)
			}
			return cred, nil
		}),
	}
	tb.Cleanup(c.Close)
	return c, &out
}
