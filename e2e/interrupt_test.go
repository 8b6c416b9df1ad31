package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A victim is a copy of a real image into a layout that will be interrupted. The layout has an image before it.
type victim struct {
	b            *box
	reg          *registry
	digest, from string
	size         int64 // of all that is copied
}

func newVictim(t *testing.T) victim {
	t.Helper()
	v := victim{b: newBox(t), reg: startRegistry(t, distribution3)}
	v.b.crane("push", realImage(t, "app-v1.tar"), v.reg.ref("app:docker"))
	app := v.reg.remote(t, "app").asOCI("docker", platform{OS: "linux", Architecture: "amd64"})
	_, m, _ := v.reg.remote(t, "app").manifest(app.Digest)
	v.digest, v.from = app.Digest, v.reg.ref("app@"+app.Digest)
	v.size = app.Size + m.Config.Size
	for _, d := range m.Layers {
		v.size += d.Size
	}
	v.b.crane("push", sample(t, "whiteout.tar"), v.reg.ref("before:docker"))
	before := v.reg.remote(t, "before").asOCI("docker", platform{OS: "linux", Architecture: "amd64"})
	v.b.crane("tag", v.reg.ref("before@"+before.Digest), "v0")
	return v
}

// layout makes a layout with an image in it.
func (v victim) layout(name string) *disk {
	v.b.t.Helper()
	v.b.wherry("copy", v.reg.ref("before:v0"), "oci:"+v.b.path(name)+":v0")
	return onDisk(v.b.t, v.b.path(name))
}

// An end is how an interrupted process ended.
type end struct {
	Code int           // -1 where it was killed
	Took time.Duration // from the signal on; 0 where it was done before
}

// interrupt runs a copy of the image with these arguments, and sends it a signal once there are so many bytes in folder.
func (v victim) interrupt(s syscall.Signal, folder string, at int64, args ...string) end {
	t := v.b.t
	t.Helper()
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), tool(t, "wherry"), append([]string{"copy", v.from}, args...)...)
	cmd.Env, cmd.Dir, cmd.Stderr = v.b.env, v.b.Dir, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // its exit code tells
	}()
	look := time.NewTicker(500 * time.Microsecond)
	defer look.Stop()
	for bytesIn(folder) < at {
		select {
		case <-done:
			t.Logf("the copy ended before %d bytes were seen: %s", at, said.String())
			return end{Code: cmd.ProcessState.ExitCode()}
		case <-look.C:
		}
	}
	told := time.Now()
	if err := cmd.Process.Signal(s); err != nil {
		t.Log(err) // it ended by itself just now
	}
	<-done
	return end{Code: cmd.ProcessState.ExitCode(), Took: time.Since(told)}
}

// rerun copies to the end and wants no more to be fetched than is missing.
func (v victim) rerun(l *disk, there int64) {
	v.b.t.Helper()
	again := v.reg.during(v.b.t, func() { v.b.wherry("copy", v.from, "oci:"+l.Path+":v1") })
	// What was on its way into the file when the process ended may be fetched again.
	const slack = 1 << 20
	fetched := again.sent()
	v.b.t.Logf("%d of %d bytes were there, the rerun fetched %d", there, v.size, fetched)
	if fetched > v.size-there+slack {
		v.b.t.Errorf("%d of %d bytes were there, and the rerun fetched %d", there, v.size, fetched)
	}
	l.valid()
	if names := l.names(); names["v1"] != v.digest || names["v0"] == "" {
		v.b.t.Errorf("after the rerun the layout has %v", names)
	}
}

// TestAKilledCopyLeavesAValidLayout kills a copy at 20 points of its progress. Right after, the layout must be valid to
// everybody; one rerun must complete it and fetch no more than what is missing.
func TestAKilledCopyLeavesAValidLayout(t *testing.T) {
	v := newVictim(t)
	const points = 20
	killed := 0
	for i := range points {
		l := v.layout(fmt.Sprintf("layout%d", i))
		empty := bytesIn(l.Path)
		if v.interrupt(syscall.SIGKILL, l.Path, empty+v.size*int64(i)/points+1, "oci:"+l.Path+":v1").Code < 0 {
			killed++
		}
		there := bytesIn(l.Path) - empty
		l.valid()
		if names := l.names(); names["v0"] == "" {
			t.Errorf("point %d: the image before is gone: %v", i, names)
		}
		v.b.skopeo("inspect", "--raw", "oci:"+l.Path+":v0")
		v.b.umoci("stat", "--image", l.Path+":v0")
		v.b.wherry("validate", "oci:"+l.Path+":v0")

		v.rerun(l, there)
		v.b.skopeo("inspect", "--config", "oci:"+l.Path+":v1")
		v.b.wherry("validate", "oci:"+l.Path+":v1")
	}
	if killed < points*3/4 {
		t.Errorf("only %d of %d copies were killed before they were done", killed, points)
	}
}

// TestAnInterruptedCopyEndsAtOnceAndGoesOn sends SIGINT and SIGTERM in the middle.
func TestAnInterruptedCopyEndsAtOnceAndGoesOn(t *testing.T) {
	v := newVictim(t)
	for s, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		t.Run(s.String(), func(t *testing.T) {
			v := victim{b: v.b.in(t), reg: v.reg, digest: v.digest, from: v.from, size: v.size}
			l := v.layout("layout-" + s.String())
			empty := bytesIn(l.Path)
			got := v.interrupt(s, l.Path, v.size/3, "oci:"+l.Path+":v1", "--limit-rate", "30MB/s")
			if got.Code != want {
				t.Errorf("exit code %d, want %d", got.Code, want)
			}
			if got.Took > 2*time.Second {
				t.Errorf("it took %v to end", got.Took)
			}
			l.valid()
			v.rerun(l, bytesIn(l.Path)-empty)
		})
	}
}

// TestAnInterruptedSaveLeavesNothing sends SIGINT in the middle of an archive: neither it nor a part of it stays, and what
// was there before under its name does.
func TestAnInterruptedSaveLeavesNothing(t *testing.T) {
	v := newVictim(t)
	v.b.write(v.b.path("app.tar"), "before")
	empty := bytesIn(v.b.Dir)
	got := v.interrupt(syscall.SIGINT, v.b.Dir, empty+v.size/3, "oci-archive:"+v.b.path("app.tar"), "--limit-rate", "30MB/s")
	if got.Code != 130 || got.Took > 2*time.Second {
		t.Errorf("exit code %d after %v, want 130 at once", got.Code, got.Took)
	}
	if left := bytesIn(v.b.Dir); left != empty {
		t.Errorf("there were %d bytes, now %d", empty, left)
	}
}

// TestAKilledCopyIntoARegistryIsCompletedByARerun kills a copy between registries: nothing that is not whole has a name,
// and the rerun sends no blob that has arrived.
func TestAKilledCopyIntoARegistryIsCompletedByARerun(t *testing.T) {
	v := newVictim(t)
	_, m, _ := v.reg.remote(t, "app").manifest(v.digest)
	for i, kind := range []registryKind{distribution2, distribution3, craneServe} {
		t.Run(kind.Name, func(t *testing.T) {
			v := victim{b: v.b.in(t), reg: v.reg, digest: v.digest, from: v.from, size: v.size}
			to := startRegistry(t, kind)
			remote := to.remote(t, "mirror")
			v.interrupt(syscall.SIGKILL, to.Folder, v.size*int64(i+1)/4, to.ref("mirror:v1"), "--limit-rate", "100MB/s")
			if remote.has("v1") {
				t.Error("the tag is there already")
			}
			missing := remote.missing(append(m.Layers, *m.Config))
			again := to.during(t, func() { v.b.wherry("copy", v.from, to.ref("mirror:v1")) })
			// The killed copy's requests may come late into the log: those failed.
			sent := slices.DeleteFunc(again.of("digest="), func(e exchange) bool { return e.Status >= 300 })
			if len(sent) > missing {
				t.Errorf("%d blobs were missing, and the rerun sent %d:\n%v", missing, len(sent), again.of("/blobs/"))
			}
			if got := remote.digest("v1"); got != v.digest {
				t.Errorf("the rerun left %s, want %s", got, v.digest)
			}
			remote.walk("v1")
		})
	}
}

// missing counts the blobs that are not there.
func (r *remote) missing(blobs []descriptor) int {
	r.t.Helper()
	n := 0
	for _, d := range blobs {
		if r.do(r.request(http.MethodHead, r.base+"/blobs/"+d.Digest, nil), http.StatusOK, http.StatusNotFound).status == http.StatusNotFound {
			n++
		}
	}
	return n
}
