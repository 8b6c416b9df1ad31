package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tests of this file try the servers and clients themselves, without wherry: where one of them fails, the machine
// or a tool is at fault and no other result counts.

func TestEveryRegistryServesItsPeers(t *testing.T) {
	for _, kind := range registryKinds {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			reg, b := startRegistry(t, kind), newBox(t)
			f := smallFleet(t, reg, "app")
			sameFleet(t, f, reg.remote(t, "app"), "v1")
			if got := b.crane("digest", reg.ref("app:v1")); got != f.Index.Digest {
				t.Errorf("crane digest = %s, want %s", got, f.Index.Digest)
			}
			b.skopeo("copy", "--all", "docker://"+reg.ref("app:v1"), "docker://"+reg.ref("copied:v1"))
			if got := reg.remote(t, "copied").digest("v1"); got != f.Index.Digest {
				t.Errorf("skopeo copied %s, want %s", got, f.Index.Digest)
			}
			if got := reg.remote(t, "copied").tags(); !slices.Equal(got, []string{"v1"}) {
				t.Errorf("tags = %v, want [v1]", got)
			}
			asked := reg.during(t, func() { reg.remote(t, "app").digest("v1") })
			if len(asked) != 1 || asked[0].Method != http.MethodGet || asked[0].Path != "/v2/app/manifests/v1" {
				t.Errorf("the registry's log shows instead of one request:\n%v", asked)
			}
		})
	}
}

func TestBothGenerationsOfDistributionAskForALogin(t *testing.T) {
	for _, kind := range []registryKind{distribution3, distribution2} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			reg, b := startRegistryWithLogin(t, kind), newBox(t)
			if r := b.run(call{Tool: "crane", Args: []string{"catalog", reg.Host}}); r.Code == 0 {
				t.Error("a stranger was let in")
			}
			b.must(call{Tool: "crane", Args: []string{"auth", "login", reg.Host, "-u", boatman.user, "--password-stdin"}, Stdin: strings.NewReader(boatman.password)})
			b.crane("push", sample(t, "alpine-3.20.tar"), reg.ref("alpine:3.20"))
			b.crane("catalog", reg.Host)
		})
	}
}

func TestClientsReadWhatPeersWrite(t *testing.T) {
	reg, b := startRegistry(t, distribution3), newBox(t)
	image := reg.ref("alpine:3.20")
	b.crane("push", sample(t, "alpine-3.20.tar"), image)

	t.Run("umoci unpacks a layout of skopeo's", func(t *testing.T) {
		b := b.in(t)
		b.skopeo("copy", "docker://"+image, "oci:"+b.path("layout")+":3.20")
		b.umoci("unpack", "--image", b.path("layout")+":3.20", b.path("bundle"))
		if _, err := os.Stat(filepath.Join(b.path("bundle"), "rootfs/etc/alpine-release")); err != nil {
			t.Error(err)
		}
	})
	t.Run("podman loads, lists and saves", func(t *testing.T) {
		b := b.in(t)
		b.podman("load", "-i", sample(t, "alpine-3.20.tar"))
		b.podman("save", "--format", "oci-archive", "-o", b.path("podman.tar"), "alpine:latest")
		b.podman("pull", "--tls-verify=false", image)
		if got := b.podman("images", "--format", "{{.Repository}}:{{.Tag}}"); !strings.Contains(got, image) || !strings.Contains(got, "alpine:latest") {
			t.Errorf("podman images = %q, want alpine twice", got)
		}
	})
	t.Run("docker loads, pulls and saves", func(t *testing.T) {
		b := b.in(t)
		d := startDocker(t, b)
		d.docker("load", "-i", sample(t, "alpine-3.20.tar"))
		d.docker("pull", image)
		d.docker("save", "-o", b.path("docker.tar"), image)
		if id := d.docker("images", "--no-trunc", "-q", "alpine:latest"); !strings.HasPrefix(id, "sha256:324bc02ae123") {
			t.Errorf("docker images = %q, want the config digest sha256:324bc02ae123…", id)
		}
	})
}
