// Package testregistry is an OCI registry in memory, for tests and for the demo.
//
// It follows the distribution spec closely where clients notice: a blob belongs to one repository until it is
// pushed or mounted into another, uploads are sessions with offsets, ranges are exact, lists have pages, and
// manifests are refused while what they name is missing. Every request is recorded, so that a test can say how
// many there were and how many bytes they moved. Faults, given as values, make the registry misbehave in the
// ways real ones do.
//
//	r := testregistry.Start(t, testregistry.Config{})
//	d := r.PutBlob("app", []byte("hello"))
//	… a client works with r.Host() …
//	if n := r.BlobBytesSent(); n != 5 { … }
package testregistry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// A Config says what kind of registry to be. The zero Config is an open registry with every optional part of the
// spec, over plain HTTP.
type Config struct {
	Auth   Auth    // who may do what; the zero Auth lets everybody do everything
	Faults []Fault // what goes wrong; all that match a request apply, in this order
	Quirks []Quirk // what it does in its own way; of those that answer, the first counts
	Budget Budget  // how much may be pulled; the zero Budget is no limit

	TLS               bool        // serve HTTPS (and HTTP/2) with a certificate of CertificatePEM
	NoHTTP2           bool        // with TLS, HTTP/1.1 alone
	NoReferrers       bool        // no referrers API: 404, and no OCI-Subject
	NoReferrersFilter bool        // referrers API that leaves artifactType to the client
	NoMount           bool        // mounts are answered with an upload session
	NoSinglePost      bool        // POST with digest and body is answered with an upload session
	NoDelete          bool        // DELETE of tags, manifests and blobs is 405 UNSUPPORTED
	AllowMissing      bool        // accept manifests whose blobs or children are not there
	Certificate       Certificate // with TLS
	PageSize          int         // most names on one page of a list; 0 means no limit
	MaxManifest       int64       // largest manifest in bytes; 0 means 4 MiB
	ChunkMin          int64       // announced as OCI-Chunk-Min-Length; a PATCH after a smaller one is refused
	ChunkMax          int64       // larger PATCH bodies are refused with 413; 0 means no limit
}

// A Registry is an http.Handler with state of its own. Its methods may be called from several goroutines.
type Registry struct {
	config Config
	log    requestLog
	faults faultSet
	tokens tokenSet
	pulls  tally
	hits   hitCount
	paced  atomic.Int64 // requests that slow-down has seen

	mu      sync.Mutex
	repos   map[string]*repository
	uploads map[string]*upload

	sessions int // upload sessions that were asked for

	main   *httptest.Server
	token  *httptest.Server
	store  *httptest.Server
	done   chan struct{} // closed by Close; ends stalls
	finish sync.Once
}

// New returns a registry that listens nowhere yet.
func New(c Config) *Registry {
	r := &Registry{
		config:  c,
		repos:   map[string]*repository{},
		uploads: map[string]*upload{},
		done:    make(chan struct{}),
	}
	r.tokens.live = map[string]*grant{}
	r.SetFaults(c.Faults...)
	return r
}

// Start returns a registry that listens on a free port of 127.0.0.1 until tb ends.
func Start(tb testing.TB, c Config) *Registry {
	tb.Helper()
	r := New(c)
	if err := r.Listen("127.0.0.1:0"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

// Listen serves r at address, "host:port", until Close. Port 0 takes a free one, see Host. The token server is there
// before the first request is: its address stands in answers.
func (r *Registry) Listen(address string) error {
	return r.ListenOn(address, func(address string) (net.Listener, error) {
		var config net.ListenConfig
		return config.Listen(context.Background(), "tcp", address)
	})
}

// ListenOn is Listen on a network of the caller's. A reset, on connections that have a method Reset() error, is that.
func (r *Registry) ListenOn(address string, listen func(address string) (net.Listener, error)) error {
	l, err := listen(address)
	if err != nil {
		return fmt.Errorf("test registry: %w", err)
	}
	listening := []net.Listener{l}
	servers := []**httptest.Server{&r.main}
	host, _, _ := net.SplitHostPort(l.Addr().String()) // a listener's address has both
	for server, wanted := range map[**httptest.Server]bool{&r.token: r.config.Auth.OwnHost, &r.store: r.config.has("storage")} {
		if !wanted {
			continue
		}
		other, err := listen(net.JoinHostPort(host, "0"))
		if err != nil {
			err = fmt.Errorf("test registry: second host: %w", err)
			for _, l := range listening {
				err = errors.Join(err, l.Close())
			}
			return err
		}
		listening, servers = append(listening, other), append(servers, server)
	}
	for i, server := range servers {
		*server = r.server(listening[i])
	}
	for _, s := range r.servers() {
		if s == nil {
			continue
		}
		if err := r.start(s); err != nil {
			return fmt.Errorf("test registry: %w", err)
		}
	}
	return nil
}

// servers are all that listen for r, the main one last: some are nil.
func (r *Registry) servers() []*httptest.Server { return []*httptest.Server{r.token, r.store, r.main} }

func (r *Registry) server(l net.Listener) *httptest.Server {
	return &httptest.Server{Listener: l, Config: &http.Server{Handler: r, ConnContext: withConn, ErrorLog: silentLog()}}
}

func (r *Registry) start(s *httptest.Server) error {
	if !r.config.TLS {
		s.Start()
		return nil
	}
	s.TLS = r.config.Certificate.config()
	if s.EnableHTTP2 = !r.config.NoHTTP2; s.EnableHTTP2 {
		if err := serveFrames(s.Config); err != nil {
			return err
		}
	}
	s.StartTLS()
	return nil
}

// Close stops listening, ends stalled answers and waits for what is under way. The content stays readable.
func (r *Registry) Close() {
	r.finish.Do(func() {
		close(r.done)
		for _, s := range r.servers() {
			if s != nil {
				s.CloseClientConnections()
				s.Close()
			}
		}
	})
}

// Host is the address r listens on, "127.0.0.1:port".
func (r *Registry) Host() string { return r.main.Listener.Addr().String() }

// URL is Host with its scheme in front and no slash behind.
func (r *Registry) URL() string { return r.main.URL }

// TokenHost is the address of the token server: Host, or one of its own with Auth.OwnHost.
func (r *Registry) TokenHost() string {
	if r.token != nil {
		return r.token.Listener.Addr().String()
	}
	return r.Host()
}

// CertificatePEM is the certificate of a registry with Config.TLS, as --ca takes it.
func (r *Registry) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.main.Certificate().Raw})
}

// ClientTLS is a client's configuration that trusts a registry with Config.TLS.
func (r *Registry) ClientTLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(r.main.Certificate())
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}
