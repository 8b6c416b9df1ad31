package e2e

import (
	"encoding/json"
	"regexp"
	"testing"
)

// layersData is the one field of skopeo's object that came late (skopeo 1.11), with the line before and behind it.
var layersData = regexp.MustCompile(`(?s)    "LayersData": (\[.*?\n    \]),\n`)

// TestInspectIsSkopeos compares what `wherry inspect --compat skopeo` prints with what skopeo does, byte for byte.
func TestInspectIsSkopeos(t *testing.T) {
	for _, kind := range registryKinds {
		t.Run(kind.Name, func(t *testing.T) {
			reg, b := startRegistry(t, kind), newBox(t)
			f := smallFleet(t, reg, "app")
			b.crane("push", sample(t, "docker-busybox-layers.tar"), reg.ref("app:busybox"))
			b.crane("push", sample(t, "docker25-hello-world.tar"), reg.ref("app:hello"))
			b.crane("mutate", reg.ref("app:busybox"), "-t", reg.ref("app:labelled"),
				"--label", "maintainer=A <a@example.com> & co", "--env", "EMPTY=", "--set-platform", "linux/arm/v7")
			for name, tt := range map[string]struct{ ref, arch string }{
				"a docker image":       {reg.ref("app:busybox"), ""},
				"what docker 25 saved": {reg.ref("app:hello"), ""},
				"labels and variables": {reg.ref("app:labelled"), ""},
				"an image by digest":   {reg.ref("app@" + f.Children["amd64"].Digest), ""},
				"an index, amd64":      {reg.ref("app:v1"), "amd64"},
				"an index, arm64":      {reg.ref("app:v1"), "arm64"},
			} {
				t.Run(name, func(t *testing.T) { sameAsSkopeo(t, b.in(t), tt.ref, tt.arch) })
			}
		})
	}
}

// sameAsSkopeo inspects an image with both; of an index that for linux and arch.
func sameAsSkopeo(t *testing.T, b *box, ref, arch string) {
	t.Helper()
	ours, theirs := []string{"inspect", "--compat", "skopeo", ref}, []string{"--insecure-policy"}
	if arch != "" {
		ours = append(ours, "--platform", "linux/"+arch)
		theirs = append(theirs, "--override-os", "linux", "--override-arch", arch)
	}
	want := b.must(call{Tool: "skopeo", Args: append(theirs, "inspect", "--tls-verify=false", "docker://"+ref)})
	got := b.wherry(ours...)
	if !layersData.MatchString(want) {
		wantLayersData(t, got)
		got = layersData.ReplaceAllString(got, "")
	}
	if got != want {
		t.Errorf("wherry says\n%s\nskopeo says\n%s", got, want)
	}
}

// wantLayersData holds LayersData to Layers, where this skopeo says nothing of it.
func wantLayersData(t *testing.T, object string) {
	t.Helper()
	var image struct {
		Layers     []string
		LayersData []struct {
			MIMEType, Digest string
			Size             int64
		}
	}
	if err := json.Unmarshal([]byte(object), &image); err != nil {
		t.Fatal(err)
	}
	if len(image.LayersData) != len(image.Layers) {
		t.Fatalf("%d layers, and LayersData has %d", len(image.Layers), len(image.LayersData))
	}
	for i, l := range image.LayersData {
		if l.Digest != image.Layers[i] || l.Size <= 0 || l.MIMEType == "" {
			t.Errorf("LayersData has %+v for layer %s", l, image.Layers[i])
		}
	}
}
