package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// A daemon is a running dockerd with a data root, exec root, pid file and socket of its own. It needs root, and of
// root only what a container without privileges has: no bridge, no iptables, no mounts.
type daemon struct {
	box    *box
	socket string
}

var apiListening = regexp.MustCompile(`API listen on (\S+?)"?\s`)

// startDocker starts dockerd for this test.
func startDocker(t *testing.T, b *box) *daemon {
	t.Helper()
	tool(t, "docker")
	if os.Getuid() != 0 {
		missing.skip(t, "root (dockerd)")
	}
	dir := shortFolder(t)
	socket := filepath.Join(dir, "sock")
	b.write(filepath.Join(dir, "daemon.json"), "{}")
	startServer(t, service{
		Tool: "dockerd",
		Args: []string{
			"--config-file=" + filepath.Join(dir, "daemon.json"), "--host=unix://" + socket,
			"--data-root=" + filepath.Join(dir, "data"), "--exec-root=" + filepath.Join(dir, "exec"), "--pidfile=" + filepath.Join(dir, "pid"),
			"--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs",
		},
		Ready: apiListening,
	})
	return &daemon{box: b, socket: socket}
}

// docker runs the docker command against the daemon and wants exit code 0. Registries on loopback are insecure by
// themselves to it, so pull and push work over http.
func (d *daemon) docker(args ...string) string {
	d.box.t.Helper()
	return d.box.must(call{Tool: "docker", Args: args, Env: d.env()})
}

// env tells the docker command where the daemon is.
func (d *daemon) env() []string { return []string{"DOCKER_HOST=unix://" + d.socket} }
