package doctor_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/doctor"
	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/registry/config"
)

// What must not be found in any output.
const (
	password  = "canary-password"
	signature = "canary-signature"
)

// A scene is a small network: names with addresses, and who listens there.
type scene struct {
	t *testing.T

	registry   testregistry.Config            // of registry.test
	more       func(r *testregistry.Registry) // puts more into it; nil is nothing
	tags       []string                       // of team/app there
	cdn        []testregistry.Fault
	leaf       func(*x509.Certificate)                   // changes registry.test's certificate
	signer     string                                    // who signs it; "" is the authority
	front      func(http.Handler) http.Handler           // stands in front of it
	mirrors    map[string]func(r *testregistry.Registry) // by name: what is in it
	mirrorsMay string                                    // "" is pull, resolve
	names      map[string]string                         // to addresses
	open       map[string]string                         // "ip:port" to where somebody listens
	unknown    map[string]bool                           // names that DNS does not have
	dropped    map[string]bool                           // "ip:port" from which nothing comes back
	settings   []string                                  // of registry.test, in our own file
	others     string                                    // settings of others, each a line
	env        map[string]string
	alias      string        // that stands for registry.test/team/app
	blocked    bool          // registry.test is
	user       string        // whose credential there is, with password
	helper     time.Duration // that is how long one works on a credential
	lack       error         // why there is none
	trusted    bool          // the authority is known
	target     string
	doctor     doctor.Doctor

	mu     sync.Mutex
	tokens []string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	return &scene{
		t: t, trusted: true, tags: []string{"v1"}, target: "registry.test/team/app:v1",
		registry: testregistry.Config{Auth: testregistry.Auth{
			Scheme: testregistry.Bearer, AnonymousPull: true, Users: map[string]string{"ann": password},
		}},
		names: map[string]string{
			"registry.test": "127.0.0.2", "cdn.test": "127.0.0.3", "mirror.test": "127.0.1.1", "mirror2.test": "127.0.1.2", "mirror3.test": "127.0.1.3",
		},
		unknown: map[string]bool{},
		mirrors: map[string]func(*testregistry.Registry){},
		open:    map[string]string{}, dropped: map[string]bool{}, env: map[string]string{},
	}
}

// examine sets the scene up and lets the doctor look at it.
func (s *scene) examine(ctx context.Context) *doctor.Report {
	s.t.Helper()
	s.serveRegistry()
	s.serveBlobs()
	s.serveMirrors()
	s.doctor.View = s.view()
	directory := &endpoint.Directory{View: s.doctor.View}
	s.doctor.Client = func() (*registry.Client, error) {
		return &registry.Client{Hosts: directory.Host, Routes: directory.Route, Proxy: directory.Proxy}, nil
	}
	s.doctor.Credential = func(ctx context.Context, host, _ string) (registry.Credential, string, error) {
		if err := wait(ctx, s.helper); err != nil {
			return registry.Credential{}, "", err
		}
		if s.user == "" || host != "registry.test" {
			return registry.Credential{}, "", s.lack
		}
		return registry.Credential{Username: s.user, Password: password}, "/home/ann/.docker/config.json", nil
	}
	s.doctor.Resolver, s.doctor.Dial = s, s.dial
	began := time.Now()
	report, err := s.doctor.Examine(ctx, s.target)
	if err != nil {
		s.t.Fatal(err)
	}
	if took := time.Since(began); took > 9500*time.Millisecond {
		s.t.Errorf("it took %s", took)
	}
	s.checkSecrets(report)
	return report
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// checkSecrets looks for what must not be told.
func (s *scene) checkSecrets(report *doctor.Report) {
	s.t.Helper()
	raw, err := json.Marshal(report)
	if err != nil {
		s.t.Fatal(err)
	}
	text := string(raw) + fmt.Sprintf("%+v %v", report, report.Err())
	for _, secret := range append(s.tokens, password, signature) {
		if strings.Contains(text, secret) {
			s.t.Errorf("the report has the secret %s in it: %s", secret, text)
		}
	}
}

// LookupNetIP implements doctor.Resolver.
func (s *scene) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	address, ok := s.names[host]
	if !ok || s.unknown[host] {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr(address)}, nil
}

func (s *scene) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.dropped[address] {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: context.Cause(ctx)}
	}
	to, ok := s.open[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return (&net.Dialer{}).DialContext(ctx, network, to)
}

// refuse lets nobody listen where name is looked for.
func (s *scene) refuse(name string) { s.open[s.names[name]+":443"] = "127.0.0.1:1" }

// listen lets h be found at name, over https.
func (s *scene) listen(name string, h http.Handler, change func(*x509.Certificate)) {
	s.t.Helper()
	at := s.names[name] + ":443"
	if _, taken := s.open[at]; taken {
		return // somebody else is there
	}
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{s.certificate(name, change)}}
	server.StartTLS()
	s.t.Cleanup(server.Close)
	s.open[at] = server.Listener.Addr().String()
}

// serveRegistry lets registry.test keep its blobs at cdn.test, under signed URLs.
func (s *scene) serveRegistry() {
	s.registry.TLS = true
	r := testregistry.New(s.registry)
	for _, tag := range s.tags {
		image.PutTo(r, "team/app", tag)
	}
	if s.more != nil {
		s.more(r)
	}
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/token":
			s.noteToken(w, r, req)
		case strings.Contains(req.URL.Path, "/blobs/"):
			http.Redirect(w, req, "https://cdn.test"+req.URL.Path+"?X-Amz-Signature="+signature, http.StatusTemporaryRedirect)
		default:
			r.ServeHTTP(w, req)
		}
	})
	if s.front != nil {
		h = s.front(h)
	}
	s.listen("registry.test", h, s.leaf)
}

// noteToken remembers the token that is given, so that it can be looked for.
func (s *scene) noteToken(w http.ResponseWriter, r *testregistry.Registry, req *http.Request) {
	answer := httptest.NewRecorder()
	r.ServeHTTP(answer, req)
	var given struct{ Token string }
	if json.Unmarshal(answer.Body.Bytes(), &given) == nil && given.Token != "" {
		s.mu.Lock()
		s.tokens = append(s.tokens, given.Token)
		s.mu.Unlock()
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // who does not read it learns nothing
}

func (s *scene) serveBlobs() {
	r := testregistry.New(testregistry.Config{TLS: true, Faults: s.cdn})
	image.PutTo(r, "team/app", "v1")
	if s.more != nil {
		s.more(r)
	}
	s.listen("cdn.test", r, nil)
}

func (s *scene) serveMirrors() {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.mirrors)) {
		r := testregistry.New(testregistry.Config{TLS: true})
		s.mirrors[name](r)
		s.listen(name, r, nil)
		list = append(list, "{location: "+name+", capabilities: ["+cmp.Or(s.mirrorsMay, "pull, resolve")+"]}")
	}
	if list != nil {
		s.settings = append(s.settings, "mirrors: ["+strings.Join(list, ", ")+"]")
	}
}

func (s *scene) view() *config.View {
	s.t.Helper()
	dir := s.t.TempDir()
	own := filepath.Join(dir, "config.yaml")
	if s.trusted {
		ca := filepath.Join(dir, "ca.pem")
		if err := os.WriteFile(ca, authority(s.t).pem, 0o600); err != nil {
			s.t.Fatal(err)
		}
		s.env["SSL_CERT_FILE"] = ca
	}
	text := "registries:\n  registry.test: {" + strings.Join(s.settings, ", ") + "}\n" + s.others
	if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	conf := ""
	if s.alias != "" {
		conf += "[aliases]\n" + s.alias + " = \"registry.test/team/app\"\n"
	}
	if s.blocked {
		conf += "[[registry]]\nlocation = \"registry.test\"\nblocked = true\n"
	}
	s.env["CONTAINERS_REGISTRIES_CONF"] = filepath.Join(dir, "registries.conf")
	if err := os.WriteFile(s.env["CONTAINERS_REGISTRIES_CONF"], []byte(conf), 0o600); err != nil {
		s.t.Fatal(err)
	}
	v, err := config.Load(config.From{Own: own, Root: dir, Env: func(name string) string { return s.env[name] }})
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// image is what team/app:v1 stands for.
var image = testimage.Index(1)

// An issuer signs certificates.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

var theIssuer = sync.OnceValues(func() (issuer, error) { return newIssuer("Test Authority") })

func newIssuer(name string) (issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return issuer{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-24 * 365 * time.Hour), NotAfter: time.Now().Add(24 * 365 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return issuer{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return issuer{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, err
}

func authority(t *testing.T) issuer {
	t.Helper()
	i, err := theIssuer()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// certificate makes one for name, with changes.
func (s *scene) certificate(name string, change func(*x509.Certificate)) tls.Certificate {
	s.t.Helper()
	t, by := s.t, authority(s.t)
	if s.signer != "" && name == "registry.test" {
		var err error
		if by, err = newIssuer(s.signer); err != nil {
			t.Fatal(err)
		}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * 30 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
