package e2e

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestEveryTagOfARepositoryIsCopied takes a repository with fleets, plain images and what refers to them.
func TestEveryTagOfARepositoryIsCopied(t *testing.T) {
	src, dst, b := startRegistry(t, distribution3), startRegistry(t, distribution2), newBox(t)
	f := smallFleet(t, src, "app")
	b.crane("push", sample(t, "docker-busybox-layers.tar"), src.ref("app:busybox"))
	b.wherry("copy", "--all-tags", src.ref("app"), dst.ref("mirror/app"))
	if got, want := dst.remote(t, "mirror/app").tags(), src.remote(t, "app").tags(); !slices.Equal(got, want) {
		t.Errorf("the mirror has tags %v, want %v", got, want)
	}
	for _, tag := range src.remote(t, "app").tags() {
		dst.remote(t, "mirror/app").walk(tag)
	}
	sameFleet(t, f, dst.remote(t, "mirror/app"), "v1")

	b.wherry("copy", "-a", src.ref("app"), "oci:"+b.path("layout"))
	onDisk(t, b.path("layout")).sameFleet(f, src.ref("app:v1"))
	b.wherry("copy", "-a", "oci:"+b.path("layout"), dst.ref("back/app"))
	sameFleet(t, f, dst.remote(t, "back/app"), "v1")
	dst.remote(t, "back/app").walk("busybox")
}

// TestTagsThatExistAreLeftAlone is for --no-clobber.
func TestTagsThatExistAreLeftAlone(t *testing.T) {
	reg, b := startRegistry(t, distribution3), newBox(t)
	b.crane("push", sample(t, "docker-busybox-layers.tar"), reg.ref("old:v1"))
	b.crane("push", sample(t, "whiteout.tar"), reg.ref("new:v1"))
	old, latest := reg.remote(t, "old"), reg.remote(t, "new").digest("v1")
	kept := old.digest("v1")
	b.wherry("copy", "--no-clobber", reg.ref("new:v1"), reg.ref("old:v1"))
	if got := old.digest("v1"); got != kept {
		t.Errorf("v1 is %s, want %s as before", got, kept)
	}
	b.wherry("copy", "--no-clobber", reg.ref("new:v1"), reg.ref("old:v2"))
	if got := old.digest("v2"); got != latest {
		t.Errorf("v2 is %s, want %s", got, latest)
	}
	out := b.wherry("copy", "--digestfile", b.path("digest"), reg.ref("new:v1"), reg.ref("old:v1"))
	if got := old.digest("v1"); got != latest {
		t.Errorf("v1 is %s, want %s", got, latest)
	}
	if text, err := os.ReadFile(b.path("digest")); err != nil || strings.TrimSpace(string(text)) != latest {
		t.Errorf("the digest file has %q, %v; want %s", text, err, latest)
	}
	lines := strings.Split(out, "\n")
	if got, want := lines[len(lines)-1], reg.ref("old@"+latest); got != want {
		t.Errorf("the last line is %q, want %q", got, want)
	}
}

// TestASaveIsTheSameEveryTime writes the same images from a registry twice and from a layout, and loads them back.
func TestASaveIsTheSameEveryTime(t *testing.T) {
	reg, b := startRegistry(t, distribution3), newBox(t)
	f := smallFleet(t, reg, "team/app")
	b.crane("push", sample(t, "docker-busybox-layers.tar"), reg.ref("busybox:dive"))
	images := []string{reg.ref("team/app:v1"), reg.ref("busybox:dive")}
	save := func(file string, args ...string) []byte {
		b.wherry(append([]string{"save", "--platform", "all", "-o", b.path(file)}, append(args, images...)...)...)
		text, err := os.ReadFile(b.path(file))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := save("first.tar")
	for _, jobs := range []string{"1", "3", "8"} {
		if again := save("again.tar", "-j", jobs); !bytes.Equal(first, again) {
			t.Errorf("with %s jobs the archive has other bytes", jobs)
		}
	}
	piped := b.run(call{Tool: "wherry", Args: append([]string{"save", "--platform", "all"}, images...)})
	if piped.Stdout != string(first) {
		t.Errorf("through a pipe the archive has other bytes: %d, want %d", len(piped.Stdout), len(first))
	}
	b.wherry("load", "-i", b.path("first.tar"), "--to", reg.ref("loaded"))
	sameFleet(t, f, reg.remote(t, "loaded/app"), "v1")
	if got, want := reg.remote(t, "loaded/busybox").digest("dive"), reg.remote(t, "busybox").digest("dive"); got != want {
		t.Errorf("busybox is loaded as %s, want %s", got, want)
	}
}

// TestAFleetGoesThroughEveryFormOfFile is the journey through dir: and docker-archive:, which the main job leaves out.
func TestAFleetGoesThroughEveryFormOfFile(t *testing.T) {
	reg, b := startRegistry(t, craneServe), newBox(t)
	f := smallFleet(t, reg, "app")
	from := reg.ref("app:v1")
	for _, to := range []string{"dir:" + b.path("dir"), "docker-archive:" + b.path("docker.tar"), "archive:" + b.path("any.tar"), "ocidir://" + b.path("layout") + ":v1", b.path("bare.tar")} {
		b.wherry("copy", from, to)
		from = to
	}
	b.wherry("copy", from, reg.ref("arrived:v1"))
	sameFleet(t, f, reg.remote(t, "arrived"), "v1")
}
