package endpoint_test

import (
	"errors"
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
