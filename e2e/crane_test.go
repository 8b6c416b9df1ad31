package e2e

import "testing"

// TestInspectIsCranes compares what `wherry inspect --compat crane` prints with what `crane manifest` and `crane config`
// do, byte for byte: nothing of either depends on crane's version.
func TestInspectIsCranes(t *testing.T) {
	for _, kind := range registryKinds {
		t.Run(kind.Name, func(t *testing.T) {
			reg, b := startRegistry(t, kind), newBox(t)
			f := smallFleet(t, reg, "app")
			b.crane("push", sample(t, "docker-busybox-layers.tar"), reg.ref("app:busybox"))
			for name, tt := range map[string]struct{ ref, platform string }{
				"a docker image":      {reg.ref("app:busybox"), ""},
				"an image by digest":  {reg.ref("app@" + f.Children["arm64"].Digest), ""},
				"an index":            {reg.ref("app:v1"), ""},
				"an index by digest":  {reg.ref("app@" + f.Index.Digest), ""},
				"one platform of two": {reg.ref("app:v1"), "linux/arm64"},
			} {
				t.Run(name, func(t *testing.T) { sameAsCrane(t, b.in(t), tt.ref, tt.platform) })
			}
		})
	}
}

// sameAsCrane shows the manifest and the config of an image with both; of an index those for a platform, if one is given.
func sameAsCrane(t *testing.T, b *box, ref, platform string) {
	t.Helper()
	more := []string{ref}
	if platform != "" {
		more = append(more, "--platform", platform)
	}
	for verb, ours := range map[string][]string{
		"manifest": {"inspect", "--compat", "crane"},
		"config":   {"inspect", "--compat", "crane", "--config"},
	} {
		want := b.run(call{Tool: "crane", Args: append([]string{verb}, more...)})
		got := b.run(call{Tool: "wherry", Args: append(ours, more...)})
		if want.Code != 0 || got.Code != 0 || want.Stdout == "" {
			t.Fatalf("crane %s: exit code %d, %s; wherry: exit code %d, %s", verb, want.Code, want.Stderr, got.Code, got.Stderr)
		}
		if got.Stdout != want.Stdout {
			t.Errorf("wherry says\n%s\ncrane %s says\n%s", got.Stdout, verb, want.Stdout)
		}
	}
}
