package doctor_test

import (
	"testing"

	"github.com/wherry-dev/wherry/internal/doctor"
)

func TestWhatLooksLikeAHostIsARegistry(t *testing.T) {
	for target, host := range map[string]bool{
		"docker.io": true, "ghcr.io": true, "localhost": true, "localhost:5000": true, "registry.corp:5000": true,
		"127.0.0.1": true, "127.0.0.1:5000": true, "[::1]:5000": true,
		"nginx": false, "nginx:1.27": false, "nginx:1.27.3-alpine3.20": false, "nginx:5000": false, "my.app:v1.2": false,
		"ghcr.io/org/app": false, "localhost:5000/app": false, "user/app:1.2": false, "docker://my.app": false,
		"images.tar": false, "images.tar.gz": false,
	} {
		if got := doctor.IsHost(target); got != host {
			t.Errorf("%s is a registry: %t, want %t", target, got, host)
		}
	}
}
