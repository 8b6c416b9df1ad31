package faults_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// A nameServer answers what DNS is asked, for all names alike.
type nameServer struct {
	addresses []string
	code      dnsmessage.RCode
	codes     int // answers that have code; below 0 all

	mu    sync.Mutex
	asked int
}

// dial is for net.Resolver.Dial: messages have their length in front, as over TCP.
func (s *nameServer) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		for s.serve(far) == nil {
		}
		_ = far.Close() // whoever asked has closed its end
	}()
	return near, nil
}

func (s *nameServer) serve(conn net.Conn) error {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	raw := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, raw); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(raw); err != nil {
		return err
	}
	s.answer(&m)
	raw, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...))
	return err
}

func (s *nameServer) answer(m *dnsmessage.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	m.Response, m.Additionals = true, nil
	if s.codes < 0 || s.asked <= s.codes {
		m.RCode = s.code
		return
	}
	q := m.Questions[0]
	for _, a := range s.addresses {
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()},
			})
		}
	}
}

// named opens the repository app of registry.test at the port of r, in plain http.
func named(t *testing.T, r *testregistry.Registry, dial func(ctx context.Context, network, address string) (net.Conn, error)) *registry.Repository {
	t.Helper()
	c := &registry.Client{
		Dial: dial, Backoff: time.Nanosecond,
		Hosts: func(string) (*registry.Host, error) { return plain, nil },
	}
	t.Cleanup(c.Close)
	_, port, _ := net.SplitHostPort(r.Host()) // it has both
	repo, err := c.Repository("registry.test:"+port, "app")
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

var plain = &registry.Host{PlainHTTP: true}

func resolving(s *nameServer, dialed func(address string)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{
		Resolver: &net.Resolver{PreferGo: true, Dial: s.dial},
		Control: func(_, address string, _ syscall.RawConn) error {
			dialed(address)
			return nil
		},
	}).DialContext
}

func TestNamesThatCannotBeFound(t *testing.T) {
	const many = 40 // a resolver asks for two kinds of address, twice, in each domain it searches
	for _, tt := range []struct {
		name string
		dns  *nameServer
		want error
		most int // questions
		says string
	}{
		{"NXDOMAIN", &nameServer{code: dnsmessage.RCodeNameError, codes: -1}, content.ErrUnavailable, many / 5, "lookup registry.test"},
		{"SERVFAIL once", &nameServer{code: dnsmessage.RCodeServerFailure, codes: 1}, nil, many, ""},
		{"SERVFAIL for the whole of a try", &nameServer{code: dnsmessage.RCodeServerFailure, codes: 4}, nil, many, ""},
		{"SERVFAIL always", &nameServer{code: dnsmessage.RCodeServerFailure, codes: -1}, content.ErrUnavailable, many, "lookup registry.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := testregistry.Start(t, testregistry.Config{})
			r.PutBlob("app", []byte("hello"))
			tt.dns.addresses = []string{"127.0.0.1"}
			_, err := named(t, r, resolving(tt.dns, func(string) {})).Resolve(t.Context(), "v1")
			if tt.want == nil {
				tt.want = content.ErrNotFound // the registry has said so
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.says)
			}
			if tt.dns.asked > tt.most {
				t.Errorf("%d questions, want at most %d", tt.dns.asked, tt.most)
			}
		})
	}
}

func TestADeadAddressOfSeveral(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	var mu sync.Mutex
	var dialed []string
	dns := &nameServer{addresses: []string{"127.0.0.99", "127.0.0.98", "127.0.0.1"}}
	repo := named(t, r, resolving(dns, func(address string) {
		mu.Lock()
		defer mu.Unlock()
		dialed = append(dialed, address)
	}))
	if _, err := repo.Resolve(t.Context(), "v1"); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("error %v, want one of the registry", err)
	}
	if len(dialed) < 2 || !strings.HasPrefix(dialed[len(dialed)-1], "127.0.0.1:") {
		t.Errorf("dialed %q", dialed)
	}
}

// A proxy makes tunnels, or does not.
type proxy struct {
	status int    // in place of a tunnel
	times  int    // how often; below 0 always
	drop   int64  // bytes that go back through a tunnel before it ends, times times; 0 is no end
	to     string // where tunnels lead, whatever is asked for

	mu       sync.Mutex
	connects int
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	p.connects++
	n := p.connects
	p.mu.Unlock()
	if p.status != 0 && (p.times < 0 || n <= p.times) {
		w.WriteHeader(p.status)
		return
	}
	there, err := (&net.Dialer{}).DialContext(req.Context(), "tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer closeQuietly(there)
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer closeQuietly(here)
	if _, err := fmt.Fprint(here, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(there, here) // ends with the tunnel
		closeQuietly(there)
	}()
	if p.drop > 0 && n <= p.times {
		_, _ = io.CopyN(here, there, p.drop) // and then the tunnel ends
		return
	}
	_, _ = io.Copy(here, there) // as above
}

// closeQuietly ends a tunnel, which the other side may have ended already.
func closeQuietly(c net.Conn) { _ = c.Close() }

func TestProxiesInTheWay(t *testing.T) {
	body := []byte(strings.Repeat("wherry ", 100_000))
	for _, tt := range []struct {
		name     string
		proxy    *proxy
		want     error
		says     string
		connects int
	}{
		{"nothing wrong", &proxy{}, nil, "", 2},
		{"407", &proxy{status: http.StatusProxyAuthRequired, times: -1}, content.ErrUnauthorized, "the proxy ", 1},
		{"502 once", &proxy{status: http.StatusBadGateway, times: 1}, nil, "", 3},
		{"502 always", &proxy{status: http.StatusBadGateway, times: -1}, content.ErrUnavailable, "the proxy ", 2},
		{"a tunnel that ends in the middle of a body, once", &proxy{drop: 300_000, times: 2}, nil, "", 4},
		{"tunnels that end, three times", &proxy{drop: 150_000, times: 4}, nil, "", 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := testregistry.Start(t, testregistry.Config{TLS: true})
			d := r.PutBlob("app", body)
			tt.proxy.to = r.Host()
			front := httptest.NewServer(tt.proxy)
			defer front.Close()
			at, err := url.Parse(front.URL)
			if err != nil {
				t.Fatal(err)
			}
			at.User = url.UserPassword("ann", "s3cret")
			host := &registry.Host{Roots: trust(r.ClientTLS().RootCAs)}
			c := &registry.Client{
				Backoff: time.Nanosecond,
				Proxy:   func(*http.Request) (*url.URL, error) { return at, nil },
				Hosts:   func(string) (*registry.Host, error) { return host, nil },
			}
			defer c.Close()
			repo, err := c.Repository("example.com", "app") // its certificate is good for that
			if err != nil {
				t.Fatal(err)
			}
			_, err = repo.Resolve(t.Context(), "v1")
			if errors.Is(err, content.ErrNotFound) { // the registry was reached
				err = read(t, repo, d.String(), body)
			}
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.says+at.Host) || err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v, want %v that names %s", err, tt.want, at.Host)
			}
			if tt.proxy.connects > tt.connects {
				t.Errorf("%d tunnels, want at most %d", tt.proxy.connects, tt.connects)
			}
		})
	}
}

// read reads blob d, which must be want.
func read(t *testing.T, repo *registry.Repository, d string, want []byte) error {
	t.Helper()
	rc, err := repo.Open(t.Context(), ocispec.Descriptor{Digest: digest.Digest(d), Size: int64(len(want))}, content.Range{})
	if err != nil {
		return err
	}
	got, err := io.ReadAll(rc)
	if err == nil && !bytes.Equal(got, want) {
		t.Errorf("%d bytes that are not the blob's", len(got))
	}
	return errors.Join(err, rc.Close())
}
