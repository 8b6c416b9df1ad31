package config_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry/config"
)

// get asks a server with the settings that a machine has for its host.
func (m machine) get(t *testing.T, server *httptest.Server) error {
	t.Helper()
	settings := m.load(t).Host(strings.TrimPrefix(server.URL, "https://"))
	c, err := settings.TLS()
	if err != nil {
		return err
	}
	secure := &tls.Config{Certificates: c.Certificates, InsecureSkipVerify: settings.SkipVerify.Value}
	if c.Roots != nil {
		if secure.RootCAs, err = c.Roots(); err != nil {
			return err
		}
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// privateKey returns the key of a server in PEM.
func privateKey(t *testing.T, server *httptest.Server) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestCertificatesAreFoundWhereTheyAreKept(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	// What the server shows serves as the authority and as the client's certificate too.
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	key := privateKey(t, server)

	pairIn := func(folder string) map[string]string {
		return map[string]string{folder + "/ca.crt": certificate, folder + "/me.cert": certificate, folder + "/me.key": key}
	}
	tests := map[string]map[string]string{
		"podman's, system": pairIn("etc/containers/certs.d/" + host),
		"podman's, user":   pairIn("home/.config/containers/certs.d/" + host),
		"docker's, system": pairIn("etc/docker/certs.d/" + host),
		"docker's, user":   pairIn("home/.docker/certs.d/" + host),
		"containerd's without a hosts.toml, key inside": {
			"etc/containerd/certs.d/" + host + "/ca.crt":  certificate,
			"etc/containerd/certs.d/" + host + "/me.cert": certificate + key,
		},
		"a hosts.toml": {
			"etc/containerd/certs.d/" + host + "/hosts.toml": "ca = 'a/ca.pem'\nclient = [['a/me.pem', 'a/key.pem']]\n",
			"etc/containerd/certs.d/" + host + "/a/ca.pem":   certificate,
			"etc/containerd/certs.d/" + host + "/a/me.pem":   certificate,
			"etc/containerd/certs.d/" + host + "/a/key.pem":  key,
		},
		"our own file, the authority elsewhere": {
			"own.yaml":                              "registries:\n  '" + host + "': {clientCertificate: both.pem}\n",
			"both.pem":                              certificate + key,
			"etc/docker/certs.d/" + host + "/x.crt": certificate,
		},
		"nobody looks": {
			"own.yaml": "registries:\n  '" + host + "': {skipVerify: true, clientCertificate: both.pem}\n",
			"both.pem": certificate + key,
		},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			if err := newMachine(t, files).get(t, server); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("not without the authority", func(t *testing.T) {
		if err := newMachine(t, nil).get(t, server); err == nil {
			t.Error("the server was trusted")
		}
	})
	t.Run("the environment's", func(t *testing.T) {
		m := newMachine(t, map[string]string{
			"all.pem":  certificate,
			"own.yaml": "registries:\n  '" + host + "': {clientCertificate: both.pem}\n",
			"both.pem": certificate + key,
		})
		m.env = map[string]string{"SSL_CERT_FILE": "$ROOT/all.pem"}
		if from := m.load(t).Host(host).Roots[0].From.String(); from != "SSL_CERT_FILE" {
			t.Errorf("roots are by %s", from)
		}
		if err := m.get(t, server); err != nil {
			t.Error(err)
		}
	})
}

func TestCertificatesThatAreNoneAreNamedWithTheirSetting(t *testing.T) {
	tests := []struct {
		name, own, want string
	}{
		{"missing", "{ca: nowhere.pem}", "nowhere.pem (own.yaml:2): "},
		{"empty", "{ca: empty.pem}", "empty.pem (own.yaml:2): no certificate in it"},
		{"of something else", "{ca: other.pem}", "other.pem (own.yaml:2): no certificate in it"},
		{"a certificate that is none", "{ca: broken.pem}", "broken.pem (own.yaml:2): no certificate in it"},
		{"a pair that is none", "{clientCertificate: empty.pem}", "empty.pem and empty.pem (own.yaml:2): "},
		{"a pair without a key", "{clientCertificate: empty.pem, clientKey: nowhere.key}", "nowhere.key (own.yaml:2): "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, map[string]string{
				"own.yaml": "registries:\n  a.example: " + tt.own + "\n", "empty.pem": "",
				"other.pem":  "-----BEGIN THING-----\nYQ==\n-----END THING-----\n",
				"broken.pem": "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n",
			})
			_, err := m.load(t).Host("a.example").TLS()
			wrong, ok := errors.AsType[*config.SettingError](err)
			if !ok || wrong.From.Line != 2 || !strings.HasPrefix(m.short(err.Error()), tt.want) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrInvalid) {
				t.Errorf("%v has a class of content", err)
			}
		})
	}
	c, err := config.Host{}.TLS()
	if err != nil || c.Roots != nil || len(c.Certificates) > 0 {
		t.Errorf("without settings: %+v, %v", c, err)
	}
}

func TestFilesAreOnlyNamedUntilTheyAreNeeded(t *testing.T) {
	m := newMachine(t, map[string]string{"etc/docker/certs.d/a.example/ca.crt": "x"})
	v := m.load(t)
	if err := os.RemoveAll(m.path("etc")); err != nil {
		t.Fatal(err)
	}
	_, err := v.Host("a.example").TLS()
	if _, wrong := errors.AsType[*config.SettingError](err); !wrong {
		t.Errorf("got %v", err)
	}
	if _, err := v.Host("b.example").TLS(); err != nil {
		t.Error(err)
	}
}

func TestWhatWasLookedAtIsTrusted(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	m := newMachine(t, map[string]string{
		"own.yaml": "registries:\n  a.example: {ca: ca.pem}\n",
		"ca.pem":   "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n" + certificate,
	})
	c, err := m.load(t).Host("a.example").TLS()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.path("ca.pem")); err != nil {
		t.Fatal(err)
	}
	roots, err := c.Roots()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Certificate().Verify(x509.VerifyOptions{Roots: roots}); err != nil {
		t.Error(err)
	}
	if again, err := c.Roots(); again != roots || err != nil {
		t.Errorf("the second time: another pool, or %v", err)
	}
}
