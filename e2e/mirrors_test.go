package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// copied is what a test looks at of `wherry copy --json`.
type copied struct {
	Bytes  int64            `json:"bytes"`
	Served map[string]int64 `json:"served"`
}

// pull copies into a layout of its own, by the files of all programs.
func (b *box) pull(ref, layout string) (c copied) {
	b.t.Helper()
	said := b.must(call{
		Tool: "wherry", Args: []string{"copy", "--json", ref, "oci:" + b.path(layout) + ":v1"}, Env: []string{"WHERRY_OWN_ONLY="},
	})
	if err := json.Unmarshal([]byte(said), &c); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// TestAMirrorThatPodmanKnows has a real pull-through cache in front of a real registry, both of them in podman's file.
func TestAMirrorThatPodmanKnows(t *testing.T) {
	origin := startRegistry(t, distribution3)
	f := smallFleet(t, origin, "app")
	cache, b := startCacheOf(t, origin), newBox(t)
	ref := origin.ref("app:v1")
	b.write(filepath.Join(b.Home, ".config/containers/registries.conf"), fmt.Sprintf(`
[[registry]]
location = %q
insecure = true
[[registry.mirror]]
location = %q
insecure = true
`, origin.Host, cache.Host))

	var c copied
	asked := origin.during(t, func() { c = b.pull(ref, "first") })
	if c.Served[cache.Host] != c.Bytes || c.Served[origin.Host] != 0 {
		t.Errorf("%d bytes were moved, served: %v", c.Bytes, c.Served)
	}
	if !strings.Contains(asked.String(), http.MethodHead+" /v2/app/manifests/v1 200") {
		t.Errorf("the registry was not asked what the tag stands for:\n%s", asked)
	}
	onDisk(t, b.path("first")).sameFleet(f, "v1")

	// What the cache has by now costs the registry no blob. skopeo goes the same way.
	asked = origin.during(t, func() { b.pull(ref, "second") })
	if blobs := asked.of("/blobs/"); len(blobs) > 0 {
		t.Errorf("the registry was asked for blobs again:\n%s", blobs)
	}
	onDisk(t, b.path("second")).sameFleet(f, "v1")
	b.skopeo("copy", "--all", "docker://"+ref, "oci:"+b.path("skopeo")+":v1")
	if got, want := onDisk(t, b.path("skopeo")).names()["v1"], f.Index.Digest; got != want {
		t.Errorf("skopeo has %s, want %s", got, want)
	}

	// doctor sees both ends, and that nothing is wrong.
	r := b.run(call{Tool: "wherry", Args: []string{"doctor", ref}, Env: []string{"WHERRY_OWN_ONLY="}})
	if r.Code != 0 || !strings.Contains(r.Stdout, cache.Host) || !strings.Contains(r.Stdout, "nothing is wrong") {
		t.Errorf("doctor: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}
