package e2e

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// A writer is a program that writes an image to a file or folder that wherry reads.
type writer struct {
	Name  string
	write func(b *box, image, path string) // an image of a registry to a path
	Form  string                           // how wherry is told; empty leaves it to find out
}

// peers write as people have them write; what takes a daemon is apart.
var peers = []writer{
	{"skopeo docker-archive", func(b *box, image, path string) { b.skopeo("copy", "docker://"+image, "docker-archive:"+path) }, "docker-archive:"},
	{"skopeo docker-archive with a name", func(b *box, image, path string) {
		b.skopeo("copy", "docker://"+image, "docker-archive:"+path+":example.org/team/app:3.20")
	}, "archive:"},
	{"skopeo oci-archive", func(b *box, image, path string) { b.skopeo("copy", "docker://"+image, "oci-archive:"+path) }, "oci-archive:"},
	{"skopeo oci-archive with a tag", func(b *box, image, path string) { b.skopeo("copy", "docker://"+image, "oci-archive:"+path+":3.20") }, "archive:"},
	{"skopeo oci", func(b *box, image, path string) { b.skopeo("copy", "docker://"+image, "oci:"+path) }, "oci:"},
	{"skopeo dir", func(b *box, image, path string) { b.skopeo("copy", "docker://"+image, "dir:"+path) }, "dir:"},
	{"podman docker-archive", podmanSave("docker-archive"), "docker-archive:"},
	{"podman oci-archive", podmanSave("oci-archive"), ""},
	{"podman docker-dir", podmanSave("docker-dir"), "dir:"},
	{"podman oci-dir", podmanSave("oci-dir"), "oci:"},
	{"crane tarball", func(b *box, image, path string) { b.crane("pull", image, path) }, "docker-archive:"},
	{"crane legacy", func(b *box, image, path string) { b.crane("pull", "--format=legacy", image, path) }, "archive:"},
	{"crane oci", func(b *box, image, path string) { b.crane("pull", "--format=oci", image, path) }, "oci:"},
	{"umoci repack", umociRepack, "oci:"},
}

func podmanSave(format string) func(b *box, image, path string) {
	return func(b *box, image, path string) {
		b.podman("pull", "-q", "--tls-verify=false", image)
		b.podman("save", "-q", "--format", format, "-o", path, image)
	}
}

// umociRepack gives an image a config of its own by umoci, in a layout that umoci cleaned up.
func umociRepack(b *box, image, path string) {
	b.skopeo("copy", "docker://"+image, "oci:"+path+":3.20")
	b.umoci("config", "--image", path+":3.20", "--tag", "3.20", "--config.label", "by=umoci")
	b.umoci("gc", "--layout", path)
}

func TestWhatPeersWriteArrivesWhole(t *testing.T) {
	reg := startRegistry(t, distribution3)
	newBox(t).crane("push", sample(t, "alpine-3.20.tar"), reg.ref("alpine:docker"))
	// A peer that has to turn one format into the other writes a config of its own.
	oci := reg.remote(t, "alpine").asOCI("docker", platform{OS: "linux", Architecture: "amd64"})
	sources := map[bool]string{true: "alpine@" + oci.Digest, false: "alpine:docker"}
	for _, w := range peers {
		t.Run(w.Name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			to := "from/" + strings.ReplaceAll(w.Name, " ", "-")
			path := b.path("image.tar")
			source := sources[strings.Contains(w.Name, "oci")]
			w.write(b, reg.ref(source), path)
			b.wherry("copy", w.Form+path, reg.ref(to+":v1"))
			switch w.Name {
			case "umoci repack":
				if got, want := reg.remote(t, to).digest("v1"), onDisk(t, path).index().Manifests[0].Digest; got != want {
					t.Errorf("arrived as %s, want %s", got, want)
				}
				reg.wantWhole(t, b, to+":v1")
			case "podman docker-dir": // calls raw layers gzipped, and so they stay
				reg.remote(t, to).walk("v1")
				b.skopeo("inspect", "--config", "docker://"+reg.ref(to+":v1"))
			default:
				reg.wantConfig(t, b, to+":v1", reg.config(t, source))
			}
		})
	}
}

// config is the digest of an image's config.
func (r *registry) config(t *testing.T, image string) string {
	t.Helper()
	name, ref := splitRef(image)
	_, m, _ := r.remote(t, name).manifest(ref)
	return m.Config.Digest
}

func splitRef(image string) (name, ref string) {
	if name, digest, ok := strings.Cut(image, "@"); ok {
		return name, digest
	}
	name, tag, _ := strings.Cut(image, ":")
	return name, tag
}

// wantConfig wants an image whole, by our own walk and to peers, with that config.
func (r *registry) wantConfig(t *testing.T, b *box, image, config string) {
	t.Helper()
	if got := r.config(t, image); got != config {
		t.Errorf("%s has config %s, want %s", image, got, config)
	}
	r.wantWhole(t, b, image)
}

// wantWhole wants an image whole, by our own walk and to peers.
func (r *registry) wantWhole(t *testing.T, b *box, image string) {
	t.Helper()
	name, ref := splitRef(image)
	r.remote(t, name).walk(ref)
	args := []string{"validate", "--remote", r.ref(image)}
	_, m, _ := r.remote(t, name).manifest(ref)
	if slices.ContainsFunc(m.Layers, func(d descriptor) bool { return !strings.HasSuffix(d.MediaType, "gzip") }) {
		args = append(args, "--fast") // crane takes every layer for gzip
	}
	b.in(t).crane(args...)
	b.in(t).skopeo("inspect", "docker://"+r.ref(image))
}

// TestWhatDockerSavesArrivesWhole reads what the real docker save writes: one image and several, plain and compressed, from
// a file and from standard input.
func TestWhatDockerSavesArrivesWhole(t *testing.T) {
	reg, b := startRegistry(t, distribution2), newBox(t)
	d := startDocker(t, b)
	d.docker("load", "-i", sample(t, "alpine-3.20.tar"))
	d.docker("load", "-i", sample(t, "docker-busybox-layers.tar"))
	d.docker("tag", "alpine:latest", "example.org:5000/team/alpine:3.20")
	alpine := d.docker("images", "--no-trunc", "-q", "alpine:latest")
	busybox := d.docker("images", "--no-trunc", "-q", "dive-test:latest")
	one, several := b.path("one.tar"), b.path("several.tar")
	d.docker("save", "-o", one, "dive-test:latest")
	d.docker("save", "-o", several, "alpine:latest", "dive-test:latest", "example.org:5000/team/alpine:3.20")

	t.Run("one image of a file", func(t *testing.T) {
		b.in(t).wherry("copy", one, reg.ref("one:v1"))
		reg.wantConfig(t, b, "one:v1", busybox)
	})
	for _, c := range []struct{ Tool, Suffix string }{{"gzip", ".gz"}, {"zstd", ".zst"}, {"xz", ".xz"}, {"bzip2", ".bz2"}} {
		t.Run("one image by "+c.Tool, func(t *testing.T) {
			b := b.in(t)
			b.must(call{Tool: c.Tool, Args: []string{"-k", "-1", one}})
			b.wherry("copy", "archive:"+one+c.Suffix, reg.ref(c.Tool+":file"))
			reg.wantConfig(t, b, c.Tool+":file", busybox)
			b.must(call{Tool: "wherry", Args: []string{"copy", "-", reg.ref(c.Tool + ":stdin")}, Stdin: open(t, one+c.Suffix)})
			reg.wantConfig(t, b, c.Tool+":stdin", busybox)
		})
	}
	t.Run("one of several by its name", func(t *testing.T) {
		b.in(t).wherry("copy", "docker-archive:"+several+":dive-test:latest", reg.ref("picked:v1"))
		reg.wantConfig(t, b, "picked:v1", busybox)
	})
	t.Run("several are ambiguous without a name", func(t *testing.T) {
		if text := b.in(t).wherryFails(2, "copy", several, reg.ref("none:v1")); !strings.Contains(text, "dive-test:latest") {
			t.Errorf("the message does not list the images: %s", text)
		}
	})
	for name, stdin := range map[string]io.Reader{"file": nil, "stdin": open(t, several)} {
		t.Run("all by load from "+name, func(t *testing.T) {
			args := []string{"load", "--to", reg.ref("load/" + name)}
			if stdin == nil {
				args = append(args, "-i", several)
			}
			out := b.in(t).must(call{Tool: "wherry", Args: args, Stdin: stdin})
			for _, image := range []string{"alpine:latest", "dive-test:latest", "alpine:3.20"} {
				if want := "Loaded image: " + reg.ref("load/"+name+"/"+image); !strings.Contains(out, want) {
					t.Errorf("load says %q, want %q in it", out, want)
				}
			}
			reg.wantConfig(t, b, "load/"+name+"/alpine:latest", alpine)
			reg.wantConfig(t, b, "load/"+name+"/alpine:3.20", alpine)
			reg.wantConfig(t, b, "load/"+name+"/dive-test:latest", busybox)
		})
	}
}

// TestSeveralImagesOfPeersAreLoaded reads archives of several images by podman and crane.
func TestSeveralImagesOfPeersAreLoaded(t *testing.T) {
	reg, b := startRegistry(t, distribution3), newBox(t)
	images := map[string]string{"alpine:3.20": "alpine-3.20.tar", "busybox:dive": "docker-busybox-layers.tar"}
	configs, args := map[string]string{}, []string{}
	for image, file := range images {
		b.crane("push", sample(t, file), reg.ref(image))
		configs[image] = reg.config(t, image)
		b.podman("pull", "-q", "--tls-verify=false", reg.ref(image))
		args = append(args, reg.ref(image))
	}
	writers := map[string]func(path string){
		"podman": func(path string) {
			b.podman(append([]string{"save", "-q", "--multi-image-archive", "--format", "docker-archive", "-o", path}, args...)...)
		},
		"crane": func(path string) { b.crane(append([]string{"pull"}, append(args, path)...)...) },
	}
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			path := b.path(name + ".tar")
			write(path)
			b.in(t).wherry("load", "-i", path, "--to", reg.ref(name))
			for image, config := range configs {
				reg.wantConfig(t, b, name+"/"+image, config)
			}
		})
	}
}

// TestArchivesInTheRepositoryArrive reads what other programs wrote long ago.
func TestArchivesInTheRepositoryArrive(t *testing.T) {
	reg := startRegistry(t, craneServe)
	for _, file := range []string{
		"alpine-3.20.tar", "docker-busybox-layers.tar", "docker25-hello-world.tar", "whiteout.tar",
		"oci-estargz.tar", "oci-gzip.tar", "oci-uncompressed.tar", "oci-zstd.tar",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			b, to := newBox(t), strings.TrimSuffix(file, ".tar")
			b.wherry("copy", sample(t, file), reg.ref(to+":v1"))
			reg.wantWhole(t, b, to+":v1")
		})
	}
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
