package cli

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
)

const testList = "registry.test/app:v1"

// testChild returns a child of a draft that is called ref.
func testChild(t *testing.T, ref, mediaType string) draftChild {
	t.Helper()
	config := `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + digest.FromString(ref).String() + `","size":2}`
	raw := []byte(`{"schemaVersion":2,"mediaType":"` + mediaType + `","config":` + config + `,"layers":[]}`)
	m, err := content.ParseManifest(mediaType, raw, content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	child := draftChild{Ref: ref, Descriptor: bare(m), Raw: raw}
	child.Descriptor.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	return child
}

func TestADraftIsChangedByOneAfterTheOther(t *testing.T) {
	all := drafts{filepath.Join(t.TempDir(), "manifests")}
	refs := []string{"registry.test/app:a", "registry.test/app:b", "registry.test/app:c", "registry.test/app:d"}
	var g errgroup.Group
	for _, ref := range refs {
		child := testChild(t, ref, ocispec.MediaTypeImageManifest)
		g.Go(func() error {
			return all.change(t.Context(), testList, func(d *draft) error { d.add(child); return nil })
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	d, err := all.load(testList)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range d.Children {
		got = append(got, c.Ref)
	}
	slices.Sort(got)
	if !slices.Equal(got, refs) {
		t.Errorf("the draft has %q", got)
	}
}

func TestAChangeThatFailsChangesNothing(t *testing.T) {
	all := drafts{t.TempDir()}
	broken := errors.New("broken")
	err := all.change(t.Context(), testList, func(d *draft) error {
		d.add(testChild(t, testList, ocispec.MediaTypeImageManifest))
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("change = %v", err)
	}
	if _, err := all.load(testList); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("load = %v", err)
	}
}

func TestADamagedDraftIsRefused(t *testing.T) {
	all := drafts{t.TempDir()}
	child := testChild(t, testList, ocispec.MediaTypeImageManifest)
	if err := all.change(t.Context(), testList, func(d *draft) error { d.add(child); return nil }); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(all.dir, draftFile(testList))
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(child.Raw, []byte(`"size":2`), []byte(`"size":3`), 1)
	tests := []struct {
		name string
		file []byte
		want error
	}{
		{"it is cut off", good[:len(good)/2], content.ErrInvalid},
		{"it is of another list", bytes.ReplaceAll(good, []byte("v1"), []byte("v2")), content.ErrInvalid},
		{
			"a manifest has other bytes than its digest says",
			bytes.ReplaceAll(good, []byte(base64.StdEncoding.EncodeToString(child.Raw)), []byte(base64.StdEncoding.EncodeToString(other))),
			content.ErrCorrupt,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := all.load(testList); !errors.Is(err, tt.want) {
				t.Errorf("load = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestADraftThatWasChangedSinceItWasReadIsNotPurged(t *testing.T) {
	all := drafts{t.TempDir()}
	add := func(ref string) {
		child := testChild(t, ref, ocispec.MediaTypeImageManifest)
		if err := all.change(t.Context(), testList, func(d *draft) error { d.add(child); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	add("registry.test/app:a")
	before, err := all.load(testList)
	if err != nil {
		t.Fatal(err)
	}
	add("registry.test/app:b")
	if err := all.purge(t.Context(), before); !errors.Is(err, content.ErrConflict) {
		t.Errorf("purge = %v, want a conflict", err)
	}
	now, err := all.load(testList)
	if err != nil || len(now.Children) != 2 {
		t.Fatalf("the draft has %d children, %v", len(now.Children), err)
	}
	if err := all.purge(t.Context(), now); err != nil {
		t.Error(err)
	}
	if _, err := all.load(testList); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("load = %v after it was purged", err)
	}
	if err := all.purge(t.Context(), now); err != nil {
		t.Errorf("purge again = %v", err)
	}
}

func TestAChildIsFoundByWhatItIsCalledAndByItsDigest(t *testing.T) {
	a, b := testChild(t, "docker.io/library/app:latest", ocispec.MediaTypeImageManifest), testChild(t, "registry.test/app:b", content.DockerManifest)
	d := draft{List: testList, Children: []draftChild{a, b}}
	tests := []struct {
		arg  string
		want int
	}{
		{"app", 0},
		{"docker.io/library/app:latest", 0},
		{"app@" + a.Descriptor.Digest.String(), 0},
		{"registry.test/app:b", 1},
		{"registry.test/app:c@" + b.Descriptor.Digest.String(), 1},
		{"registry.test/app", -1},
		{"registry.test/other@" + b.Descriptor.Digest.String(), -1},
		{"registry.test/app@" + a.Descriptor.Digest.String(), -1},
	}
	for _, tt := range tests {
		e, err := endpoint.Parse(tt.arg)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.find(e); got != tt.want {
			t.Errorf("%s is child %d, want %d", tt.arg, got, tt.want)
		}
	}
	if got := d.list().MediaType; got != content.DockerManifestList {
		t.Errorf("with a manifest of docker's it is %s", got)
	}
	d.Children = d.Children[:1]
	if got := d.list().MediaType; got != ocispec.MediaTypeImageIndex {
		t.Errorf("without one it is %s", got)
	}
}
