package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheMainJob carries an image of real size from registry to registry to layout to archive to registry, and lets
// peers judge what lies there.
func TestTheMainJob(t *testing.T) {
	first, second, last := startRegistry(t, distribution3), startRegistry(t, distribution2), startRegistry(t, withReferrers)
	b := newBox(t)
	f := realFleet(t, first, "app")
	sameFleet(t, f, first.remote(t, "app"), "v1")
	if got, want := len(first.remote(t, "app").walk("v1")), 20; got != want {
		t.Errorf("the fleet has %d manifests and blobs, want %d", got, want)
	}

	b.wherry("copy", first.ref("app:v1"), second.ref("team/app:v1"))
	sameFleet(t, f, second.remote(t, "team/app"), "v1")

	layout := b.path("layout")
	b.wherry("copy", second.ref("team/app:v1"), "oci:"+layout+":v1")
	onDisk(t, layout).sameFleet(f, "v1")
	onDisk(t, layout).valid()

	archive := b.path("app.tar")
	b.wherry("copy", "oci:"+layout+":v1", "oci-archive:"+archive+":v1")
	unpacked := onDisk(t, untar(b, archive))
	unpacked.sameFleet(f, "v1")
	unpacked.valid()

	b.wherry("copy", "oci-archive:"+archive+":v1", last.ref("app:v1"))
	sameFleet(t, f, last.remote(t, "app"), "v1")

	t.Run("skopeo reads the layout and the archive", func(t *testing.T) {
		b := b.in(t)
		for _, from := range []string{"oci:" + layout + ":v1", "oci-archive:" + archive + ":v1"} {
			if got := digestOf("", []byte(b.skopeo("inspect", "--raw", from))); got != f.Index.Digest {
				t.Errorf("skopeo inspect %s gives bytes of %s, want %s", from, got, f.Index.Digest)
			}
			b.skopeo("copy", "--all", from, "docker://"+last.ref("skopeo:v1"))
			if got := last.remote(t, "skopeo").digest("v1"); got != f.Index.Digest {
				t.Errorf("skopeo copied %s from %s, want %s", got, from, f.Index.Digest)
			}
		}
	})
	t.Run("umoci unpacks the layout", func(t *testing.T) {
		b := b.in(t)
		// umoci takes an index of several platforms for ambiguous, whoever wrote it.
		b.wherry("copy", "oci:"+layout+"@"+f.Children["arm64"].Digest, "oci:"+layout+":arm64")
		b.umoci("unpack", "--image", layout+":arm64", b.path("bundle"))
		text, err := os.ReadFile(filepath.Join(b.path("bundle"), "rootfs/srv/app/version.json"))
		if err != nil || string(text) != "{\"version\": 1}\n" {
			t.Errorf("version.json is %q, %v", text, err)
		}
	})
	t.Run("podman loads the archive", func(t *testing.T) {
		b := b.in(t)
		b.podman("load", "-i", archive)
		config := first.config(t, "app@"+f.Children["amd64"].Digest)
		if got := b.podman("images", "--no-trunc", "--format", "{{.Id}}"); strings.TrimPrefix(got, "sha256:") != strings.TrimPrefix(config, "sha256:") {
			t.Errorf("podman has image %q, want config %s", got, config)
		}
	})
}

// TestEveryKindOfRegistryIsAHop does the same in small, with every kind of registry at every place of the journey.
func TestEveryKindOfRegistryIsAHop(t *testing.T) {
	regs := make([]*registry, len(registryKinds))
	fleets := make([]fleet, len(registryKinds))
	for i, kind := range registryKinds {
		regs[i] = startRegistry(t, kind)
		fleets[i] = smallFleet(t, regs[i], "app")
	}
	for i, first := range regs {
		for j, second := range regs {
			if i == j {
				continue
			}
			t.Run(first.Kind.Name+" to "+second.Kind.Name, func(t *testing.T) {
				t.Parallel()
				b, f, last := newBox(t), fleets[i], regs[(j+1)%len(regs)]
				there, end := fmt.Sprintf("from%d/app", i), fmt.Sprintf("from%d/by%d", i, j)
				layout, archive := b.path("layout"), b.path("app.tar")

				b.wherry("copy", first.ref("app:v1"), second.ref(there+":v1"))
				sameFleet(t, f, second.remote(t, there), "v1")
				b.wherry("copy", second.ref(there+":v1"), "oci:"+layout+":v1")
				onDisk(t, layout).sameFleet(f, "v1")
				b.wherry("copy", "oci:"+layout+":v1", "oci-archive:"+archive+":v1")
				onDisk(t, untar(b, archive)).sameFleet(f, "v1")
				b.wherry("copy", "oci-archive:"+archive+":v1", last.ref(end+":v1"))
				sameFleet(t, f, last.remote(t, end), "v1")
			})
		}
	}
}
