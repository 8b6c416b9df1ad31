package e2e

import (
	"strings"
	"testing"
)

// A userStore is a local image store of wherry's.
type userStore struct {
	b    *box
	path string
}

func newStore(t *testing.T) userStore {
	t.Helper()
	b := newBox(t)
	return userStore{b, b.path("store")}
}

func (s userStore) wherry(args ...string) string {
	s.b.t.Helper()
	return s.b.wherry(append([]string{"--store", s.path}, args...)...)
}

// ids returns the image IDs by name, as `wherry images` prints them.
func (s userStore) ids() map[string]string {
	s.b.t.Helper()
	ids := map[string]string{}
	for line := range strings.Lines(s.wherry("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")) {
		name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		ids[name] = id
	}
	return ids
}

func TestEachNameInTheStoreIsOneToPeers(t *testing.T) {
	shelf, s := startShelf(t), newStore(t)
	app := shelf.ref("app:v1")
	// Debian's skopeo passes over what is not of the OCI's types in a layout, and crane pushes docker's.
	s.wherry("load", "-i", sample(t, "alpine-3.20.tar"))
	s.wherry("pull", "--platform", "all", app)
	s.wherry("tag", "alpine", "127.0.0.1:5000/alpine:3.20")
	s.wherry("tag", app, "registry.example/team/app:2")
	ids := s.ids()
	if len(ids) != 4 {
		t.Fatalf("the store has %v, want 4 names", ids)
	}
	for name, id := range ids {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			from := "oci:" + s.path + ":" + name
			b.skopeo("inspect", from)
			b.podman("pull", "-q", from)
			if got := strings.TrimSpace(b.podman("images", "-q", "--no-trunc")); got != id {
				t.Errorf("podman has %s of it, want %s", got, id)
			}
		})
	}
	onDisk(t, s.path).valid()
}

func TestWhatPodmanSavesIsLoadedAndWhatIsSavedPodmanLoads(t *testing.T) {
	shelf := startShelf(t)
	image := shelf.ref("alpine:3.20")
	want := shelf.Configs[image]
	for _, format := range []string{"docker-archive", "oci-archive"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.b.podman("pull", "-q", "--tls-verify=false", image)
			s.b.podman("save", "-q", "--format", format, "-o", s.b.path("podman.tar"), image)
			wantID := strings.TrimSpace(s.b.podman("images", "-q", "--no-trunc"))
			if format == "docker-archive" && wantID != want {
				t.Fatalf("podman has %s, want %s", wantID, want)
			}
			s.wherry("load", "-i", s.b.path("podman.tar"))
			loaded := s.ids()
			for _, id := range loaded {
				if id != wantID && format == "docker-archive" {
					t.Errorf("loaded as %v, want %s", loaded, wantID)
				}
			}
			if len(loaded) != 1 {
				t.Errorf("the store has %v, want one image", loaded)
			}
			s.wherry("save", "-o", s.b.path("ours.tar"), firstOf(loaded))
			other := newBox(t)
			other.podman("load", "-q", "-i", s.b.path("ours.tar"))
			if got := strings.TrimSpace(other.podman("images", "-q", "--no-trunc")); got != loaded[firstOf(loaded)] {
				t.Errorf("podman has %s of what was saved, want %v", got, loaded)
			}
		})
	}
}

func firstOf(ids map[string]string) string {
	for name := range ids {
		return name
	}
	return ""
}

func TestDockerHasTheImageIDsOfTheStore(t *testing.T) {
	shelf, s := startShelf(t), newStore(t)
	alpine, busybox := shelf.ref("alpine:3.20"), shelf.ref("team/busybox:dive")
	s.wherry("pull", alpine, busybox)
	d := startDocker(t, s.b)
	s.wherry("save", "-o", s.b.path("ours.tar"), alpine, busybox)
	d.docker("load", "-i", s.b.path("ours.tar"))
	for name, id := range s.ids() {
		if got := strings.TrimSpace(d.docker("image", "inspect", "--format", "{{.Id}}", name)); got != id {
			t.Errorf("docker has %s as %s, want %s", name, got, id)
		}
	}
	d.docker("save", "-o", s.b.path("dockers.tar"), alpine, busybox)
	back := newStore(t)
	back.wherry("load", "-i", s.b.path("dockers.tar"))
	for name, id := range s.ids() {
		if got := back.ids()[name]; got != id {
			t.Errorf("what docker saved is loaded as %s, want %s as %s", got, name, id)
		}
	}
}
