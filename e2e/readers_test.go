package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A shelf is a registry with three images to write to files: two for one platform, and a fleet.
type shelf struct {
	*registry
	Fleet   fleet
	Configs map[string]string // config digest by reference; the fleet's for amd64
}

func startShelf(t *testing.T) shelf {
	t.Helper()
	reg, b := startRegistry(t, distribution3), newBox(t)
	b.crane("push", sample(t, "alpine-3.20.tar"), reg.ref("alpine:3.20"))
	b.crane("push", sample(t, "docker-busybox-layers.tar"), reg.ref("team/busybox:dive"))
	s := shelf{registry: reg, Fleet: smallFleet(t, reg, "app"), Configs: map[string]string{}}
	for _, image := range []string{"alpine:3.20", "team/busybox:dive"} {
		s.Configs[reg.ref(image)] = reg.config(t, image)
	}
	s.Configs[reg.ref("app:v1")] = reg.config(t, "app@"+s.Fleet.Children["amd64"].Digest)
	return s
}

// saved are the files that wherry save writes, with the images each has.
func (s shelf) saved(b *box) map[string][]string {
	b.t.Helper()
	alpine, busybox, app := s.ref("alpine:3.20"), s.ref("team/busybox:dive"), s.ref("app:v1")
	b.wherry("save", alpine, "-o", b.path("one.tar"))
	b.wherry("save", alpine, busybox, "-o", b.path("several.tar"))
	b.wherry("save", app, "-o", b.path("platform.tar"))
	b.wherry("save", "--platform", "all", app, busybox, "-o", b.path("index.tar"))
	b.wherry("copy", alpine, "docker-archive:"+b.path("copied.tar"))
	b.wherry("copy", app, "oci-archive:"+b.path("fleet.tar"))
	return map[string][]string{
		"one.tar": {alpine}, "several.tar": {alpine, busybox}, "platform.tar": {app}, "index.tar": {app, busybox},
		"copied.tar": {alpine}, "fleet.tar": {app},
	}
}

func TestDockerReadsWhatWeWrite(t *testing.T) {
	s, b := startShelf(t), newBox(t)
	d := startDocker(t, b)
	// ids lists what docker has, and takes it away.
	ids := func(t *testing.T) map[string]string {
		t.Helper()
		all := map[string]string{}
		for line := range strings.Lines(d.docker("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")) {
			name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
			all[name] = id
		}
		for name := range all {
			d.docker("rmi", name)
		}
		return all
	}
	for file, images := range s.saved(b) {
		t.Run("load "+file, func(t *testing.T) {
			d.docker("load", "-i", b.path(file))
			s.wantImages(t, ids(t), images)
		})
	}
	t.Run("load from a pipe", func(t *testing.T) {
		image := s.ref("alpine:3.20")
		out := b.in(t).run(call{Tool: "wherry", Args: []string{"save", image}})
		b.in(t).must(call{Tool: "docker", Args: []string{"load"}, Stdin: strings.NewReader(out.Stdout), Env: d.env()})
		s.wantImages(t, ids(t), []string{image})
	})
	t.Run("pull from a registry we copied into", func(t *testing.T) {
		mirror := startRegistry(t, distribution2)
		b.in(t).wherry("copy", s.ref("app:v1"), mirror.ref("mirror/app:v1"))
		out := d.docker("pull", mirror.ref("mirror/app:v1"))
		if want := "Digest: " + s.Fleet.Index.Digest; !strings.Contains(out, want) {
			t.Errorf("docker pull says %s\nwant %q in it", out, want)
		}
		if got := ids(t)[mirror.ref("mirror/app:v1")]; got != s.Configs[s.ref("app:v1")] {
			t.Errorf("docker has %q, want %s", got, s.Configs[s.ref("app:v1")])
		}
	})
}

// wantImages wants a client to have exactly these images, each under its name.
func (s shelf) wantImages(t *testing.T, got map[string]string, images []string) {
	t.Helper()
	if len(got) != len(images) {
		t.Errorf("there are %d images, want %d: %v", len(got), len(images), got)
	}
	for _, image := range images {
		if strings.TrimPrefix(got[image], "sha256:") != strings.TrimPrefix(s.Configs[image], "sha256:") {
			t.Errorf("%s is %q, want %s; there is %v", image, got[image], s.Configs[image], got)
		}
	}
}

func TestPodmanReadsWhatWeWrite(t *testing.T) {
	s, b := startShelf(t), newBox(t)
	for file, images := range s.saved(b) {
		t.Run("load "+file, func(t *testing.T) {
			t.Parallel()
			own := newBox(t)
			own.podman("load", "-q", "-i", b.path(file))
			got := map[string]string{}
			for line := range strings.Lines(own.podman("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.Id}}")) {
				name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
				got[name] = id
			}
			s.wantImages(t, got, images)
		})
	}
}

func TestSkopeoReadsWhatWeWrite(t *testing.T) {
	s, b := startShelf(t), newBox(t)
	mirror := startRegistry(t, craneServe)
	app, alpine := s.ref("app:v1"), s.ref("alpine:3.20")
	b.wherry("copy", app, "oci:"+b.path("layout")+":v1")
	b.wherry("copy", app, "oci-archive:"+b.path("oci.tar")+":v1")
	b.wherry("copy", app, "dir:"+b.path("dir"))
	b.wherry("copy", alpine, "docker-archive:"+b.path("docker.tar"))
	b.wherry("copy", alpine, "dir:"+b.path("plain"))
	// skopeo and umoci pass over what is not of the OCI's types in a layout, so here it is.
	b.wherry("copy", s.ref("app@"+s.Fleet.Children["amd64"].Digest), "oci:"+b.path("layout")+":alpine")
	for from, want := range map[string]string{
		"oci:" + b.path("layout") + ":v1":                       s.Fleet.Index.Digest,
		"oci-archive:" + b.path("oci.tar") + ":v1":              s.Fleet.Index.Digest,
		"dir:" + b.path("dir"):                                  s.Fleet.Index.Digest,
		"dir:" + b.path("plain"):                                s.remote(t, "alpine").digest("3.20"),
		"oci:" + b.path("layout") + ":alpine":                   s.Fleet.Children["amd64"].Digest,
		"docker-archive:" + b.path("docker.tar"):                "",
		"docker-archive:" + b.path("docker.tar") + ":@0":        "",
		"docker-archive:" + b.path("docker.tar") + ":" + alpine: "",
	} {
		kind, _, _ := strings.Cut(from, ":")
		t.Run("copy from "+kind, func(t *testing.T) {
			b := b.in(t)
			b.skopeo("copy", "--all", from, "docker://"+mirror.ref(kind+":v1"))
			remote := mirror.remote(t, kind)
			remote.walk("v1")
			if want != "" && remote.digest("v1") != want {
				t.Errorf("skopeo copied %s, want %s", remote.digest("v1"), want)
			}
			if want == "" {
				mirror.wantConfig(t, b, kind+":v1", s.Configs[alpine])
			}
		})
	}
	t.Run("inspect", func(t *testing.T) {
		if got := digestOf("", []byte(b.in(t).skopeo("inspect", "--raw", "oci:"+b.path("layout")+":v1"))); got != s.Fleet.Index.Digest {
			t.Errorf("skopeo inspect gives bytes of %s, want %s", got, s.Fleet.Index.Digest)
		}
	})
}

func TestUmociReadsWhatWeWrite(t *testing.T) {
	s, b := startShelf(t), newBox(t)
	layout := b.path("layout")
	b.wherry("copy", s.ref("app:v1"), "oci:"+layout+":v1")
	b.wherry("copy", s.ref("app@"+s.Fleet.Children["amd64"].Digest), "oci:"+layout+":alpine")
	listed := strings.Fields(b.umoci("ls", "--layout", layout))
	for _, name := range []string{"v1", "alpine", s.Fleet.SigTag} {
		if !slices.Contains(listed, name) {
			t.Errorf("umoci lists %v, want %s in it", listed, name)
		}
	}
	b.umoci("unpack", "--image", layout+":alpine", b.path("bundle"))
	if _, err := os.Stat(filepath.Join(b.path("bundle"), "rootfs/etc/alpine-release")); err != nil {
		t.Error(err)
	}
	// What umoci cannot reach from index.json it takes for garbage.
	b.umoci("gc", "--layout", layout)
	onDisk(t, layout).sameFleet(s.Fleet, "v1")
	onDisk(t, layout).valid()
	// And what umoci wrote into the layout stays there when we write again.
	b.umoci("tag", "--image", layout+":alpine", "umocis")
	b.wherry("copy", s.ref("team/busybox:dive"), "oci:"+layout+":busybox")
	names := onDisk(t, layout).names()
	if names["umocis"] != names["alpine"] || names["busybox"] == "" {
		t.Errorf("the layout has %v, want umocis, alpine and busybox", names)
	}
	onDisk(t, layout).valid()
}
