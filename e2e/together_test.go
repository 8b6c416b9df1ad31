package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// pushShared pushes images that share all layers of one archive and have a config of their own each.
func pushShared(t *testing.T, reg *registry, archive string, n int) []descriptor {
	t.Helper()
	newBox(t).crane("push", archive, reg.ref("app:docker"))
	r := reg.remote(t, "app")
	base := r.asOCI("docker", platform{OS: "linux", Architecture: "amd64"})
	_, m, _ := r.manifest(base.Digest)
	images := make([]descriptor, n)
	for i := range images {
		m.Annotations = map[string]string{"org.example.number": fmt.Sprint(i)}
		images[i] = r.putManifest(m, fmt.Sprintf("v%d", i))
	}
	return images
}

// TestEightProcessesWriteOneLayout starts eight copies of eight tags at once: each must be kept, and what they share be
// fetched once.
func TestEightProcessesWriteOneLayout(t *testing.T) {
	const processes = 8
	reg, b := startRegistry(t, distribution3), newBox(t)
	images := pushShared(t, reg, realImage(t, "app-v1.tar"), processes)
	_, m, _ := reg.remote(t, "app").manifest("v0")
	layout := b.path("layout")

	var running sync.WaitGroup
	asked := reg.during(t, func() {
		for i := range processes {
			cmd := exec.CommandContext(t.Context(), tool(t, "wherry"), "copy", reg.ref(fmt.Sprintf("app:v%d", i)), fmt.Sprintf("oci:%s:v%d", layout, i))
			cmd.Env, cmd.Dir = b.env, b.Dir
			running.Go(func() {
				var said bytes.Buffer
				cmd.Stderr = &said
				if err := cmd.Run(); err != nil {
					t.Errorf("process %d: %v\n%s", i, err, said.String())
				}
			})
		}
		running.Wait()
	})

	names := onDisk(t, layout).names()
	for i, d := range images {
		if got := names[fmt.Sprintf("v%d", i)]; got != d.Digest {
			t.Errorf("v%d is %q, want %s", i, got, d.Digest)
		}
	}
	onDisk(t, layout).valid()
	for _, d := range append(m.Layers, *m.Config) {
		if sent := asked.of(d.Digest).sent(); sent != d.Size {
			t.Errorf("%d bytes of the %d of %s were sent:\n%v", sent, d.Size, d.Digest, asked.of(d.Digest))
		}
	}
	b.wherry("validate", "oci:"+layout)
	if listed := strings.Fields(b.umoci("ls", "--layout", layout)); len(listed) != processes {
		t.Errorf("umoci lists %v", listed)
	}
}

// TestProcessesWriteOneRegistry starts four copies of a fleet into one repository at once, under tags of their own, where
// referrers have to be merged into a fallback tag and all write the same children.
func TestProcessesWriteOneRegistry(t *testing.T) {
	for _, kind := range []registryKind{distribution3, distribution2, craneServe} {
		t.Run(kind.Name, func(t *testing.T) {
			src, dst, b := startRegistry(t, withReferrers), startRegistry(t, kind), newBox(t)
			f := smallFleet(t, src, "app")
			here := src.remote(t, "app")
			for i := range 8 {
				f.Referrers[f.Index.Digest] = append(f.Referrers[f.Index.Digest], here.refer(f.Index, "application/vnd.example.scan", fmt.Sprint(i)))
			}
			var running sync.WaitGroup
			for i := range 4 {
				cmd := exec.CommandContext(t.Context(), tool(t, "wherry"), "copy", src.ref("app:v1"), dst.ref(fmt.Sprintf("app:v%d", i)))
				cmd.Env, cmd.Dir = b.env, b.Dir
				running.Go(func() {
					if said, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("process %d: %v\n%s", i, err, said)
					}
				})
			}
			running.Wait()
			for i := range 4 {
				sameFleet(t, f, dst.remote(t, "app"), fmt.Sprintf("v%d", i))
			}
		})
	}
}

// TestRunnersSignOneImage has six processes each bring a signature of its own to one image, on registries where each has to
// write into the same fallback tag.
func TestRunnersSignOneImage(t *testing.T) {
	for _, kind := range []registryKind{distribution3, distribution2, craneServe} {
		t.Run(kind.Name, func(t *testing.T) {
			dst, b := startRegistry(t, kind), newBox(t)
			var f fleet
			var running sync.WaitGroup
			src := make([]*registry, 6)
			for i := range src {
				src[i] = startRegistry(t, withReferrers)
				own := smallFleet(t, src[i], "app")
				if i == 0 {
					f = own
				}
				d := src[i].remote(t, "app").refer(own.Index, "application/vnd.example.signature", fmt.Sprint(i))
				f.Referrers[f.Index.Digest] = append(f.Referrers[f.Index.Digest], d)
			}
			for i := range src {
				cmd := exec.CommandContext(t.Context(), tool(t, "wherry"), "copy", src[i].ref("app:v1"), dst.ref("app:v1"))
				cmd.Env, cmd.Dir = b.env, b.Dir
				running.Go(func() {
					if said, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("process %d: %v\n%s", i, err, said)
					}
				})
			}
			running.Wait()
			sameFleet(t, f, dst.remote(t, "app"), "v1")
		})
	}
}
