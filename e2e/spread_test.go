package e2e

import (
	"net"
	"os"
	"testing"
)

// TestBlobsAreMountedOnTheSameRegistry copies between repositories of one registry: no byte of a blob goes either way.
func TestBlobsAreMountedOnTheSameRegistry(t *testing.T) {
	for _, kind := range []registryKind{distribution3, distribution2} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			reg, b := startRegistry(t, kind), newBox(t)
			f := smallFleet(t, reg, "app")
			asked := reg.during(t, func() { b.wherry("copy", reg.ref("app:v1"), reg.ref("elsewhere/app:v2")) })
			sameFleet(t, f, reg.remote(t, "elsewhere/app"), "v2")
			if sent := asked.uploads(); len(sent) > 0 {
				t.Errorf("bytes were sent:\n%v", sent)
			}
			if n := asked.sent(); n > 0 {
				t.Errorf("%d bytes were fetched:\n%v", n, asked.of("/blobs/sha"))
			}
			if len(asked.of("mount=")) == 0 {
				t.Errorf("nothing was mounted:\n%v", asked)
			}

			asked = reg.during(t, func() { b.wherry("copy", "--no-referrers", reg.ref("app:v1"), reg.ref("app:v2")) })
			if blobs := asked.of("/blobs/uploads/"); len(blobs) > 0 {
				t.Errorf("a new tag in the same repository uploads:\n%v", blobs)
			}
		})
	}
}

// deadHost is an address at which nobody listens.
func deadHost(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// TestSeveralDestinationsReadTheSourceOnce copies to a registry, a layout, an archive and another registry in one run; a
// dead registry among them stops none of the others.
func TestSeveralDestinationsReadTheSourceOnce(t *testing.T) {
	src, one, two, b := startRegistry(t, distribution3), startRegistry(t, distribution2), startRegistry(t, craneServe), newBox(t)
	f := smallFleet(t, src, "app")
	var size int64
	counted := map[string]bool{}
	for _, root := range append(append(f.Attests, f.Signature, f.Children["amd64"], f.Children["arm64"]), allReferrers(f)...) {
		_, m, _ := src.remote(t, "app").manifest(root.Digest)
		for _, d := range append(m.Layers, *m.Config) {
			if !counted[d.Digest] {
				counted[d.Digest] = true
				size += d.Size
			}
		}
	}
	dead := deadHost(t)
	for _, c := range []struct {
		Name string
		Code int
		Dst  []string
	}{
		{"all alive", 0, nil},
		{"one dead", 3, []string{dead + "/app:v1"}},
	} {
		t.Run(c.Name, func(t *testing.T) {
			b := b.in(t)
			layout, archive := b.path("layout"+c.Name[:3]), b.path(c.Name[:3]+".tar")
			to := "to-" + c.Name[:3]
			args := append([]string{"copy", "--retries", "1", src.ref("app:v1")}, c.Dst...)
			args = append(args, one.ref(to+":v1"), "oci:"+layout+":v1", "oci-archive:"+archive+":v1", two.ref(to+":v1"))
			asked := src.during(t, func() {
				if r := b.run(call{Tool: "wherry", Args: args}); r.Code != c.Code {
					t.Errorf("exit code %d, want %d\n%s", r.Code, c.Code, r.Stderr)
				}
			})
			if sent := asked.sent(); sent != size {
				t.Errorf("the source sent %d bytes of blobs, they have %d:\n%v", sent, size, asked.of("/blobs/"))
			}
			sameFleet(t, f, one.remote(t, to), "v1")
			sameFleet(t, f, two.remote(t, to), "v1")
			onDisk(t, layout).sameFleet(f, "v1")
			onDisk(t, untar(b, archive)).sameFleet(f, "v1")
		})
	}
	t.Run("all dead", func(t *testing.T) {
		b := b.in(t)
		b.wherryFails(9, "copy", "--retries", "1", src.ref("app:v1"), dead+"/app:v1", dead+"/other:v1")
		if _, err := os.Stat(b.path("none")); err == nil {
			t.Error("something was written")
		}
	})
}

func allReferrers(f fleet) []descriptor {
	var all []descriptor
	for _, some := range f.Referrers {
		all = append(all, some...)
	}
	return all
}
