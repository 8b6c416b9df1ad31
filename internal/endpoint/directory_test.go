package endpoint_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/wherry-dev/wherry/internal/endpoint"
	"github.com/wherry-dev/wherry/registry/config"
)

func TestAMirrorWithAWrongSettingStopsNoRegistry(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "etc", "containerd", "certs.d", "r.example")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file := "[host.'https://bad.example']\nca = 'nowhere.pem'\n[host.'https://good.example']\n"
	if err := os.WriteFile(filepath.Join(folder, "hosts.toml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	view, err := config.Load(config.From{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	route, err := (&endpoint.Directory{View: view}).Route("r.example", "app")
	if err != nil || len(route.Mirrors) != 2 {
		t.Fatalf("%d mirrors, %v; want two", len(route.Mirrors), err)
	}
	if _, wrong := errors.AsType[*config.SettingError](route.Mirrors[0].Wrong); !wrong {
		t.Errorf("of bad.example: %v, want what is wrong", route.Mirrors[0].Wrong)
	}
	if err := route.Mirrors[1].Wrong; err != nil {
		t.Errorf("of good.example: %v", err)
	}
}

func TestWhomToTrustIsFoundOutOnceForAllHosts(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	root := t.TempDir()
	file := func(name string) string { return filepath.Join(root, name) }
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, text := range map[string]string{
		"all.pem":  string(certificate),
		"own.yaml": "registries:\n  b.example: {concurrency: 2}\n  c.example: {ca: all.pem}\n",
	} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"SSL_CERT_FILE": file("all.pem")}
	view, err := config.Load(config.From{Root: root, Own: file("own.yaml"), Env: func(name string) string { return env[name] }})
	if err != nil {
		t.Fatal(err)
	}
	d := &endpoint.Directory{View: view}
	pool := func(name string) *x509.CertPool {
		host, err := d.Host(name)
		if err != nil {
			t.Fatal(err)
		}
		roots, err := host.Roots()
		if err != nil {
			t.Fatal(err)
		}
		return roots
	}
	a := pool("a.example")
	if pool("b.example") != a {
		t.Error("the files were parsed for each host")
	}
	if pool("c.example") == a {
		t.Error("a host with files of its own shares those of others")
	}
}
