package e2e

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLookingAsksWhatIsThere compares what the looking verbs say with the bytes in every kind of registry.
func TestLookingAsksWhatIsThere(t *testing.T) {
	for _, kind := range registryKinds {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			reg, b := startRegistry(t, kind), newBox(t)
			f := smallFleet(t, reg, "team/app")
			image, remote := reg.ref("team/app:v1"), reg.remote(t, "team/app")
			b.showsBytes(reg, f)
			listed := strings.Fields(b.wherry("tags", reg.ref("team/app")))
			slices.Sort(listed)
			if want := remote.tags(); !slices.Equal(listed, want) {
				t.Errorf("tags = %v, want %v", listed, want)
			}
			if got := strings.Fields(b.wherry("repos", reg.Host)); !slices.Contains(got, "team/app") && !slices.Contains(got, reg.ref("team/app")) {
				t.Errorf("repos = %v, want team/app in it", got)
			}
			if text := b.wherry("inspect", "--json", image); !json.Valid([]byte(text)) || !strings.Contains(text, f.Children["arm64"].Digest) {
				t.Errorf("inspect --json = %s", text)
			}
			b.wherry("exists", image)
			b.wherryFails(4, "exists", reg.ref("team/app:none"))
			b.wherry("validate", image)
		})
	}
}

// showsBytes wants the verbs that write content to write it byte for byte, and digest to name it.
func (b *box) showsBytes(reg *registry, f fleet) {
	b.t.Helper()
	image, child := reg.ref("team/app:v1"), f.Children["arm64"].Digest
	_, arm, _ := reg.remote(b.t, "team/app").manifest(child)
	if got := b.wherry("digest", image); got != f.Index.Digest {
		b.t.Errorf("digest = %s, want %s", got, f.Index.Digest)
	}
	if got := b.wherry("digest", "--platform", "linux/arm64", image); got != child {
		b.t.Errorf("digest of arm64 = %s, want %s", got, child)
	}
	for want, args := range map[string][]string{
		f.Index.Digest:       {"manifest", image},
		child:                {"manifest", "--platform", "linux/arm64", image},
		arm.Config.Digest:    {"config", "--platform", "linux/arm64", image},
		arm.Layers[0].Digest: {"blob", reg.ref("team/app@" + arm.Layers[0].Digest)},
	} {
		out := b.run(call{Tool: "wherry", Args: args})
		if got := digestOf("", []byte(out.Stdout)); out.Code != 0 || got != want {
			b.t.Errorf("wherry %s gives bytes of %s, want %s (exit code %d: %s)", strings.Join(args, " "), got, want, out.Code, out.Stderr)
		}
	}
}

// TestAPlatformFilterRewritesTheIndexOnce keeps one platform and its attestation; again moves nothing.
func TestAPlatformFilterRewritesTheIndexOnce(t *testing.T) {
	for _, kind := range registryKinds {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			p := pair{t: t, b: newBox(t), src: startRegistry(t, distribution3), dst: startRegistry(t, kind)}
			f := smallFleet(t, p.src, "app")
			args := []string{"copy", "--platform", "linux/arm64", p.src.ref("app:v1"), p.dst.ref("mirror/app:v1")}
			r := p.b.run(call{Tool: "wherry", Args: args})
			remote := p.dst.remote(t, "mirror/app")
			_, index, _ := remote.manifest("v1")
			var got, want []string
			for _, d := range index.Manifests {
				got = append(got, d.Digest)
			}
			want = append(want, f.Children["arm64"].Digest, f.Attests[1].Digest)
			if r.Code != 0 || !slices.Equal(got, want) {
				t.Errorf("exit code %d, the index has %v, want %v\n%s", r.Code, got, want, r.Stderr)
			}
			rewritten := remote.digest("v1")
			if said := r.Stdout + r.Stderr; !strings.Contains(said, f.Index.Digest) || !strings.Contains(said, rewritten) {
				t.Errorf("not both digests, %s and %s, are told:\n%s", f.Index.Digest, rewritten, said)
			}
			remote.walk("v1")
			child := f.Children["arm64"].Digest
			sameFleet(t, fleet{Index: descriptor{Digest: rewritten}, SigTag: "v1", Signature: descriptor{Digest: rewritten}, Referrers: map[string][]descriptor{child: f.Referrers[child]}}, remote, "v1")

			for _, e := range p.dst.during(t, func() { p.b.wherry(args...) }) {
				if e.Method != http.MethodGet && e.Method != http.MethodHead {
					t.Errorf("the second copy with the same filter writes: %v", e)
				}
			}
			p.b.wherry("copy", "--platform", "linux/arm64,linux/amd64", p.src.ref("app:v1"), p.dst.ref("both/app:v1"))
			sameFleet(t, f, p.dst.remote(t, "both/app"), "v1")
			p.b.wherryFails(4, "copy", "--platform", "linux/s390x", p.src.ref("app:v1"), p.dst.ref("none/app:v1"))
		})
	}
}

func TestASparseCopyKeepsTheIndex(t *testing.T) {
	reg, b := startRegistry(t, distribution3), newBox(t)
	f := smallFleet(t, reg, "app")
	b.wherry("copy", "--platform", "linux/arm64", "--sparse", reg.ref("app:v1"), "oci:"+b.path("layout")+":v1")
	l := onDisk(t, b.path("layout"))
	if got := l.names()["v1"]; got != f.Index.Digest {
		t.Errorf("v1 is %s, want %s", got, f.Index.Digest)
	}
	l.walk(f.Children["arm64"].Digest)
	l.noneWrong()
	if _, err := os.Stat(l.file(f.Children["amd64"].Digest)); err == nil {
		t.Error("amd64 came along")
	}
}

// TestADryRunWritesNothing looks at every kind of destination.
func TestADryRunWritesNothing(t *testing.T) {
	src, dst, b := startRegistry(t, distribution3), startRegistry(t, distribution2), newBox(t)
	f := smallFleet(t, src, "app")
	b.wherry("save", src.ref("app:v1"), "-o", b.path("app.tar"))
	before := bytesIn(b.Dir)
	for _, args := range [][]string{
		{"copy", src.ref("app:v1"), dst.ref("app:v1")},
		{"copy", src.ref("app:v1"), "oci:" + b.path("layout") + ":v1"},
		{"copy", src.ref("app:v1"), "oci-archive:" + b.path("new.tar")},
		{"copy", src.ref("app:v1"), "dir:" + b.path("dir")},
		{"save", src.ref("app:v1"), "-o", b.path("saved.tar")},
		{"load", "-i", b.path("app.tar"), "--to", dst.ref("load")},
	} {
		var out string
		var there traffic
		here := src.during(t, func() {
			there = dst.during(t, func() { out = b.wherry(append(args, "--dry-run")...) })
		})
		for _, e := range append(here, there...) {
			if e.Method != http.MethodGet && e.Method != http.MethodHead {
				t.Errorf("wherry %s --dry-run writes: %v", strings.Join(args, " "), e)
			}
		}
		if args[0] == "copy" && !strings.Contains(out, f.Index.Digest) {
			t.Errorf("the plan does not say what is moved: %s", out)
		}
	}
	if after := bytesIn(b.Dir); after != before {
		t.Errorf("there were %d bytes on disk, now %d", before, after)
	}
	entries, err := os.ReadDir(b.Dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v; want app.tar alone", entries, err)
	}
}

// TestExitCodesSayWhatToDo runs into what real registries answer.
func TestExitCodesSayWhatToDo(t *testing.T) {
	dead := deadHost(t)
	for _, kind := range registryKinds {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			reg, b := startRegistry(t, kind), newBox(t)
			b.crane("push", sample(t, "docker-busybox-layers.tar"), reg.ref("app:v1"))
			layout := "oci:" + b.path("layout") + ":v1"
			for _, c := range []struct {
				Code int
				Args []string
			}{
				{2, []string{"copy", reg.ref("app:v1")}},
				{2, []string{"copy", reg.ref("UPPER/case:v1"), layout}},
				{2, []string{"copy", "--no-such-flag", reg.ref("app:v1"), layout}},
				{4, []string{"copy", reg.ref("app:none"), layout}},
				{4, []string{"copy", reg.ref("none:v1"), layout}},
				{4, []string{"copy", reg.ref("app@sha256:" + strings.Repeat("0", 64)), layout}},
				{4, []string{"copy", "oci:" + b.path("none") + ":v1", layout}},
				{4, []string{"copy", b.path("none.tar"), layout}},
				{4, []string{"digest", reg.ref("app:none")}},
				{4, []string{"manifest", reg.ref("none:v1")}},
				{4, []string{"tags", reg.ref("none")}},
				{4, []string{"inspect", reg.ref("app:none")}},
				{4, []string{"validate", reg.ref("app:none")}},
				{4, []string{"blob", reg.ref("app@sha256:" + strings.Repeat("0", 64))}},
				{9, []string{"copy", dead + "/app:v1", layout, "--retries", "1"}},
				{9, []string{"copy", reg.ref("app:v1"), dead + "/app:v1", "--retries", "1"}},
				{9, []string{"digest", dead + "/app:v1", "--retries", "1"}},
				{10, []string{"save", reg.ref("app:v1"), "-o", "/dev/full"}},
			} {
				said := b.wherryFails(c.Code, c.Args...)
				if !strings.HasPrefix(said, "wherry: ") {
					t.Errorf("wherry %s says %q", strings.Join(c.Args, " "), said)
				}
			}
			if _, err := os.Stat(b.path("layout/index.json")); err == nil {
				if names := onDisk(t, b.path("layout")).names(); len(names) > 0 {
					t.Errorf("the layout has %v", names)
				}
			}
		})
	}
}

// TestDamageOnARegistrysDiskIsFound deletes and flips a layer where distribution keeps it.
func TestDamageOnARegistrysDiskIsFound(t *testing.T) {
	for _, kind := range []registryKind{distribution3, distribution2} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			reg, b := startRegistry(t, kind), newBox(t)
			f := smallFleet(t, reg, "app")
			image := reg.ref("app:v1")
			_, m, _ := reg.remote(t, "app").manifest(f.Children["amd64"].Digest)
			hex := strings.TrimPrefix(m.Layers[0].Digest, "sha256:")
			data := filepath.Join(reg.Folder, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
			b.wherry("validate", image)

			flip(t, data, m.Layers[0].Size/2)
			b.eachFails(6, m.Layers[0].Digest, [][]string{
				{"validate", image},
				{"copy", image, "oci:" + b.path("flipped") + ":v1"},
				{"copy", image, "oci-archive:" + b.path("flipped.tar")},
				{"save", image, "-o", b.path("saved.tar")},
				{"blob", reg.ref("app@" + m.Layers[0].Digest), "-o", b.path("blob")},
			})
			if names := onDisk(t, b.path("flipped")).names(); names["v1"] != "" {
				t.Errorf("the layout has %v", names)
			}
			onDisk(t, b.path("flipped")).noneWrong()
			flip(t, data, m.Layers[0].Size/2)
			b.wherry("copy", image, "oci:"+b.path("flipped")+":v1")
			onDisk(t, b.path("flipped")).sameFleet(f, "v1")

			must(t, os.Remove(data))
			b.eachFails(4, m.Layers[0].Digest, [][]string{
				{"validate", image},
				{"validate", "--fast", image},
				{"copy", image, "oci:" + b.path("deleted") + ":v1"},
			})
			for _, file := range []string{"flipped.tar", "saved.tar", "blob"} {
				if _, err := os.Stat(b.path(file)); err == nil {
					t.Errorf("%s was left behind", file)
				}
			}
		})
	}
}

// eachFails wants that exit code of each call, and that it says what is wrong: in its result, as validate does, or
// in its error.
func (b *box) eachFails(code int, what string, calls [][]string) {
	b.t.Helper()
	for _, args := range calls {
		r := b.run(call{Tool: "wherry", Args: args})
		if said := r.Stdout + r.Stderr; r.Code != code || !strings.Contains(said, what) {
			b.t.Errorf("wherry %s: exit code %d, want %d and %s in: %s", strings.Join(args, " "), r.Code, code, what, said)
		}
	}
}

// flip changes one byte of a file; twice is as if nothing had been.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	_, err = f.ReadAt(one, at)
	must(t, err)
	one[0] ^= 0xff
	_, err = f.WriteAt(one, at)
	must(t, errors.Join(err, f.Close()))
}

// TestDamageInALayoutIsHealed flips and cuts what lies in a layout; a rerun fetches it again and nothing else.
func TestDamageInALayoutIsHealed(t *testing.T) {
	reg, b := startRegistry(t, distribution3), newBox(t)
	f := smallFleet(t, reg, "app")
	_, m, _ := reg.remote(t, "app").manifest(f.Children["amd64"].Digest)
	layout := b.path("layout")
	b.wherry("copy", reg.ref("app:v1"), "oci:"+layout+":v1")
	l := onDisk(t, layout)
	damage := map[string]func(path string){
		"flipped":   func(path string) { flip(t, path, 100) },
		"truncated": func(path string) { must(t, os.Truncate(path, 10)) },
		"emptied":   func(path string) { must(t, os.Truncate(path, 0)) },
		"deleted":   func(path string) { must(t, os.Remove(path)) },
	}
	for name, do := range damage {
		for _, d := range []descriptor{m.Layers[0], *m.Config, f.Children["amd64"]} {
			t.Run(name+" "+d.MediaType, func(t *testing.T) {
				b := b.in(t)
				do(l.file(d.Digest))
				if r := b.run(call{Tool: "wherry", Args: []string{"validate", "oci:" + layout}}); r.Code != 6 && r.Code != 4 {
					t.Errorf("validate: exit code %d, want 4 or 6: %s", r.Code, r.Stderr)
				}
				asked := reg.during(t, func() { b.wherry("copy", reg.ref("app:v1"), "oci:"+layout+":v1") })
				if sent := asked.sent(); sent > d.Size {
					t.Errorf("%d bytes were fetched for %d:\n%v", sent, d.Size, asked)
				}
				onDisk(t, layout).sameFleet(f, "v1")
				onDisk(t, layout).valid()
			})
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
