//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Nobody may ever write to a pipe: it is refused in place of a file.
func TestPipesAreNoFilesOfSettings(t *testing.T) {
	home := t.TempDir()
	pipe := filepath.Join(home, "pipe")
	folders := map[string]string{"config": ".config/wherry/config.yaml", "docker": ".docker/config.json", "podman": ".config/containers/auth.json"}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []map[string]string{
		{"WHERRY_CONFIG": pipe}, {"REGISTRY_AUTH_FILE": pipe}, {"HOME": "config"}, {"HOME": "docker"}, {"HOME": "podman"},
	} {
		path := pipe
		if name := tt["HOME"]; name != "" {
			tt["HOME"] = filepath.Join(home, name)
			path = filepath.Join(tt["HOME"], folders[name])
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(pipe, path); err != nil {
				t.Fatal(err)
			}
		}
		f := offline(t, tt)
		_, err := f.View()
		if err == nil {
			_, err = f.authFiles()
		}
		if err == nil || !strings.HasSuffix(err.Error(), path+": not a file") {
			t.Errorf("%v: got %v", tt, err)
		}
	}
	f := offline(t, nil)
	f.Flags.AuthFile = pipe
	if err := f.checkAuthFile(); err == nil || !strings.HasSuffix(err.Error(), pipe+": not a file") {
		t.Errorf("--authfile: got %v", err)
	}
}
