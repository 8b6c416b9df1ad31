package transfer_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/transfer"
)

func TestNamesThatExistAreKept(t *testing.T) {
	src, dst := &maker{t: t}, &maker{t: t}
	src.app("v1")
	old := dst.image("linux/amd64", nil, "old")
	m, err := dst.Manifest(t.Context(), old.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := dst.PutManifest(t.Context(), m, "v1"); err != nil {
		t.Fatal(err)
	}
	result := run(t, &transfer.Copier{}, transfer.Job{Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{
		{Sink: &dst.Memory, Names: []string{"v1"}, KeepNames: true},
	}})
	got := result.Images[0].Targets[0]
	if result.Err() != nil || !slices.Equal(got.Kept, []string{"v1"}) || digestOf(t, dst, "v1") != old.Digest {
		t.Errorf("got %+v, v1 is %s", got, digestOf(t, dst, "v1"))
	}
}

func TestForeignLayers(t *testing.T) {
	src := &maker{t: t}
	kept := src.blob(content.DockerForeignLayer, "kept at the source")
	gone := ocispec.Descriptor{MediaType: content.DockerForeignLayer, Digest: digest.FromString("gone"), Size: 4, URLs: []string{"https://layers.test/gone"}}
	config := src.blob(content.DockerConfig, "{}")
	src.manifest(map[string]any{"schemaVersion": 2, "mediaType": content.DockerManifest, "config": config, "layers": []ocispec.Descriptor{kept, gone}}, content.DockerManifest, "v1")
	for policy, want := range map[transfer.Foreign]struct{ stored, leftOut int }{
		transfer.ForeignAuto: {2, 1},
		transfer.ForeignSkip: {1, 2},
	} {
		result := run(t, &transfer.Copier{}, transfer.Job{
			Name: "windows", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: &content.Memory{}, Names: []string{"v1"}}},
			Filter: transfer.Filter{Foreign: policy},
		})
		image := result.Images[0]
		if result.Err() != nil || image.LeftOut != want.leftOut || image.Targets[0].Stored != want.stored {
			t.Errorf("policy %d: %v, %d left out, %d stored, want %+v", policy, result.Err(), image.LeftOut, image.Targets[0].Stored, want)
		}
	}
	fetch := run(t, &transfer.Copier{}, transfer.Job{
		Name: "windows", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: &content.Memory{}, Names: []string{"v1"}}},
		Filter: transfer.Filter{Foreign: transfer.ForeignFetch},
	})
	if !errors.Is(fetch.Err(), content.ErrNotFound) {
		t.Errorf("fetch of what no source has: %v", fetch.Err())
	}
}

func TestANameThatOnlyAReadFindsIsKept(t *testing.T) {
	src, there := &maker{t: t}, &maker{t: t}
	src.app("v1")
	old := there.app("v1")
	dst := newSpy(&there.Memory)
	dst.fail = func(op, _ string) error {
		if op == "resolve" {
			return content.ErrNotFound
		}
		return nil
	}
	result := run(t, &transfer.Copier{}, transfer.Job{Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{
		{Sink: dst, Names: []string{"v1"}, KeepNames: true},
	}})
	if got := result.Images[0].Targets[0]; result.Err() != nil || !slices.Equal(got.Kept, []string{"v1"}) || dst.count("put") != 0 {
		t.Errorf("got %+v and %d writes; v1 was %s", got, dst.count("put"), old.root.Digest)
	}
}

func TestALayerThatIsForeignInOneChildOnly(t *testing.T) {
	src := &maker{t: t}
	layer := src.blob(content.DockerForeignLayer, "base")
	usual := layer
	usual.MediaType = ocispec.MediaTypeImageLayer
	config := src.blob(ocispec.MediaTypeImageConfig, "{}")
	var children []ocispec.Descriptor
	for _, d := range []ocispec.Descriptor{layer, usual} {
		children = append(children, src.manifest(ocispec.Manifest{
			Versioned: versioned, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{d},
		}, ocispec.MediaTypeImageManifest))
	}
	src.manifest(ocispec.Index{Versioned: versioned, MediaType: ocispec.MediaTypeImageIndex, Manifests: children}, ocispec.MediaTypeImageIndex, "v1")
	dst := &content.Memory{}
	result := run(t, &transfer.Copier{}, transfer.Job{
		Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: dst, Names: []string{"v1"}}},
		Filter: transfer.Filter{Foreign: transfer.ForeignSkip},
	})
	has, err := dst.Has(t.Context(), usual)
	if result.Err() != nil || err != nil || !has || result.Images[0].LeftOut != 0 {
		t.Errorf("layer there: %t, %v, %d left out, %v", has, err, result.Images[0].LeftOut, result.Err())
	}
}

func TestAnImageThatLiesAboutASizeFailsAlone(t *testing.T) {
	src := &maker{t: t}
	honest := src.image("linux/amd64", nil, "shared")
	layer := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("shared"), Size: 4}
	config := src.blob(ocispec.MediaTypeImageConfig, "{}")
	liar := src.manifest(ocispec.Manifest{
		Versioned: versioned, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer},
	}, ocispec.MediaTypeImageManifest)
	job := func(d digest.Digest, dst content.Sink) transfer.Job {
		return transfer.Job{Name: d.String(), Src: newSpy(&src.Memory), Ref: d.String(), Dst: []transfer.Target{{Sink: dst, Names: []string{d.Encoded()[:8]}}}}
	}
	for range 10 {
		dst := &content.Memory{}
		result := run(t, &transfer.Copier{}, job(liar.Digest, dst), job(honest.Digest, dst))
		if err := result.Images[1].Targets[0].Err; err != nil {
			t.Errorf("the honest image: %v", err)
		}
		if err := result.Images[0].Targets[0].Err; !errors.Is(err, content.ErrCorrupt) {
			t.Errorf("the liar: %v, want corrupt", err)
		}
	}
}

func TestAWholeCopyAfterOneThatLeftSomeOut(t *testing.T) {
	src := &maker{t: t}
	made := src.app("v1")
	dst := newSpy(&content.Memory{})
	c := &transfer.Copier{Facts: contenttest.NewFacts()}
	job := transfer.Job{
		Name: "app", Src: newSpy(&src.Memory), Ref: "v1", Dst: []transfer.Target{{Sink: dst, Names: []string{"v1"}}},
		Filter: transfer.Filter{Platforms: []content.Platform{{OS: "linux", Architecture: "amd64"}}, Sparse: true},
	}
	if err := run(t, c, job).Err(); err != nil {
		t.Fatal(err)
	}
	job.Filter = transfer.Filter{}
	for i, want := range []bool{false, true} {
		result := run(t, c, job)
		if got := result.Images[0].Targets[0]; result.Err() != nil || got.UpToDate != want {
			t.Errorf("whole copy %d: up to date %t, want %t; %v", i+1, got.UpToDate, want, result.Err())
		}
	}
	if _, err := dst.Memory.Manifest(t.Context(), made.arm64.Digest.String()); err != nil {
		t.Errorf("what was left out is still not there: %v", err)
	}
}

func TestWhatIsSparseAtTheSourceIsCopiedAsItIs(t *testing.T) {
	src := &maker{t: t}
	made := src.app("v1")
	sparse := &content.Memory{}
	narrow := transfer.Job{
		Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: sparse, Names: []string{"v1"}}},
		Filter: transfer.Filter{Platforms: []content.Platform{{OS: "linux", Architecture: "amd64"}}, Sparse: true},
	}
	if err := run(t, &transfer.Copier{}, narrow).Err(); err != nil {
		t.Fatal(err)
	}
	dst := &content.Memory{}
	job := transfer.Job{Name: "app", Src: sparse, Ref: "v1", Dst: []transfer.Target{{Sink: dst, Names: []string{"v1"}}}}
	if err := run(t, &transfer.Copier{}, job).Err(); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("without Here: %v, want not found", err)
	}
	job.Filter = transfer.Filter{Here: true, Sparse: true}
	if err := run(t, &transfer.Copier{}, job).Err(); err != nil {
		t.Fatal(err)
	}
	if got := digestOf(t, dst, "v1"); got != made.root.Digest {
		t.Errorf("the index is %s, want %s", got, made.root.Digest)
	}
	checkChildren(t, dst, []digest.Digest{made.amd64.Digest, made.arm64.Digest, made.attestation.Digest}, []digest.Digest{made.arm64.Digest})
}

// A loose sink cannot be told from others.
type loose struct {
	*content.Memory
	_ []string
}

func TestEndsHaveToBeComparable(t *testing.T) {
	src := &maker{t: t}
	src.app("v1")
	job := transfer.Job{Name: "app", Src: &src.Memory, Ref: "v1", Dst: []transfer.Target{{Sink: loose{Memory: &content.Memory{}}, Names: []string{"v1"}}}}
	if err := run(t, &transfer.Copier{}, job).Err(); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("error is %v, want invalid", err)
	}
}

func TestANameThatIsTakenAfterThePlanIsKept(t *testing.T) {
	src := &maker{t: t}
	first := src.app("v1").root
	other := src.image("linux/s390x", nil, "another")
	for name, sink := range map[string]func(*content.Memory) content.Sink{
		"where names are kept in one step": func(m *content.Memory) content.Sink { return m },
		"at a registry":                    func(m *content.Memory) content.Sink { return newSpy(m) },
	} {
		t.Run(name, func(t *testing.T) {
			var dst content.Memory
			var c transfer.Copier
			plan := func(d digest.Digest) *transfer.Plan {
				p, err := c.Plan(t.Context(), transfer.Job{Name: "app", Src: &src.Memory, Ref: d.String(), Dst: []transfer.Target{
					{Sink: sink(&dst), Names: []string{"v1"}, KeepNames: true},
				}})
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			wins, loses := plan(first.Digest), plan(other.Digest)
			wantNames(t, &c, wins, []string{"v1"}, nil)
			wantNames(t, &c, loses, nil, []string{"v1"})
			if got := digestOf(t, &dst, "v1"); got != first.Digest {
				t.Errorf("v1 is %s, want the first", got)
			}
		})
	}
}

// wantNames runs a plan of one image for one destination.
func wantNames(t *testing.T, c *transfer.Copier, p *transfer.Plan, written, kept []string) {
	t.Helper()
	result, err := c.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got := result.Images[0].Targets[0]; !slices.Equal(got.Names, written) || !slices.Equal(got.Kept, kept) {
		t.Errorf("wrote %v and kept %v, want %v and %v", got.Names, got.Kept, written, kept)
	}
}
