//go:build cloud

package cloud_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/wherry-dev/wherry/internal/cloud"
	"github.com/wherry-dev/wherry/registry"
)

// The hosts of the tests.
const (
	ecrHost    = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
	publicHost = "public.ecr.aws"
	garHost    = "europe-docker.pkg.dev"
	acrHost    = "contoso.azurecr.io"
)

// canary is in everything that is secret.
const canary = "c4nary"

// world answers for every host of every cloud: what leaves a keychain is led to it.
type world struct {
	t      *testing.T
	secure *httptest.Server
	plain  *httptest.Server
	roots  *x509.CertPool

	mu      sync.Mutex
	answers map[string]http.HandlerFunc // by "METHOD host/path", without a query
	asked   []string
}

func newWorld(t *testing.T, answers map[string]http.HandlerFunc) *world {
	t.Helper()
	w := &world{t: t, answers: answers}
	w.secure, w.plain = httptest.NewUnstartedServer(w), httptest.NewServer(w)
	certificate := everybody(t)
	w.roots = x509.NewCertPool()
	w.roots.AddCert(certificate.Leaf)
	w.secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	w.secure.StartTLS()
	t.Cleanup(w.secure.Close)
	t.Cleanup(w.plain.Close)
	return w
}

// everybody is a certificate for all hosts of the tests.
var everybody = func() func(*testing.T) tls.Certificate {
	create := sync.OnceValues(func() (tls.Certificate, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return tls.Certificate{}, err
		}
		now := time.Now()
		template := x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
			DNSNames: []string{
				"*.eu-central-1.amazonaws.com", "*.ecr.eu-central-1.amazonaws.com", "*.us-east-2.api.aws", "*.ecr.cn-north-1.amazonaws.com.cn", "api.ecr-public.us-east-1.amazonaws.com",
				"oauth2.googleapis.com", "contoso.azurecr.io", "contoso.azurecr.us", "login.microsoftonline.com", "login.microsoftonline.us", "login.corp.example", "keys.example",
			},
		}
		raw, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
		if err != nil {
			return tls.Certificate{}, err
		}
		leaf, err := x509.ParseCertificate(raw)
		return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}, err
	})
	return func(t *testing.T) tls.Certificate {
		t.Helper()
		c, err := create()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}()

// ServeHTTP implements [http.Handler].
func (w *world) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	what := req.Method + " " + req.Host + req.URL.Path
	w.mu.Lock()
	w.asked = append(w.asked, what)
	answer := w.answers[what]
	w.mu.Unlock()
	if answer == nil {
		http.NotFound(rw, req)
		return
	}
	answer(rw, req)
}

// requests returns what was asked.
func (w *world) requests() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// keychain returns one in an environment; HOME is its home.
func (w *world) keychain(env map[string]string) *cloud.Keychain {
	return &cloud.Keychain{
		Env: func(name string) string { return env[name] }, Home: env["HOME"], Roots: func() (*x509.CertPool, error) { return w.roots, nil }, System: vendor("QEMU", "Standard PC"),
		Connect: func(ctx context.Context, network, address string) (net.Conn, error) {
			to := w.secure.Listener.Addr()
			if strings.HasSuffix(address, ":80") {
				to = w.plain.Listener.Addr()
			}
			return (&net.Dialer{}).DialContext(ctx, network, to.String())
		},
	}
}

// vendor is a machine of somebody's.
func vendor(name, product string) fs.FS {
	return fstest.MapFS{
		"sys/class/dmi/id/sys_vendor":   {Data: []byte(name + "\n")},
		"sys/class/dmi/id/product_name": {Data: []byte(product + "\n")},
	}
}

// azureVM is a machine of Azure's.
func azureVM() fs.FS {
	return fstest.MapFS{
		"sys/class/dmi/id/sys_vendor":        {Data: []byte("Microsoft Corporation\n")},
		"sys/class/dmi/id/chassis_asset_tag": {Data: []byte("7783-7084-3265-9085-8269-3286-77\n")},
	}
}

// file writes a file and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// says answers with a status and JSON.
func says(status int, text string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/x-amz-json-1.1")
		rw.Header().Set("Metadata-Flavor", "Google")
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, text)
	}
}

// stalls answers when nobody waits any more.
func stalls(_ http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	<-req.Context().Done()
}

// ecrToken is what Amazon says to who may pull.
func ecrToken(password string, end time.Time) string {
	token := base64.StdEncoding.EncodeToString([]byte("AWS:" + password))
	return fmt.Sprintf(`{"authorizationData": [{"authorizationToken": %q, "expiresAt": %d, "proxyEndpoint": "https://attacker.example"}]}`, token, end.Unix())
}

// jwt is a token that ends.
func jwt(end time.Time) string {
	claims, _ := json.Marshal(map[string]int64{"exp": end.Unix()})
	return "e30." + base64.RawURLEncoding.EncodeToString(claims) + "." + canary
}

const askECR = "POST api.ecr.eu-central-1.amazonaws.com/"

var keys = map[string]string{"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": canary + "secret", "AWS_SESSION_TOKEN": canary + "session"}

// find asks a keychain, and holds that no secret is in an error.
func find(t *testing.T, k *cloud.Keychain, host string) (registry.Credential, string, error) {
	t.Helper()
	c, from, err := k.Find(t.Context(), host)
	if err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("a secret is in the error: %v", err)
	}
	if err != nil && c != (registry.Credential{}) {
		t.Error("there is a credential and an error")
	}
	return c, from, err
}
