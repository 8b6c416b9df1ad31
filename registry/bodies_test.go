package registry_test

import (
	"io"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/registry"
)

func TestNoMoreBlobsFlowAtOnceThanTheSettingsAllow(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	image := testimage.Layers(1, 12, 1<<20)
	image.PutTo(r, "app", "v1")
	c := &registry.Client{Hosts: func(string) (*registry.Host, error) {
		return &registry.Host{PlainHTTP: true, Concurrency: 2}, nil
	}}
	t.Cleanup(c.Close)
	repo, err := c.Repository(r.Host(), "app")
	if err != nil {
		t.Fatal(err)
	}
	m, err := repo.Manifest(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	r.Reset()
	var g errgroup.Group
	for _, d := range m.Blobs() {
		g.Go(func() error {
			rc, err := repo.Open(t.Context(), d, content.Range{})
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, rc) // what has been read to its end makes room, closed or not
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	// A handler may still be returning when its client has all the bytes.
	if peak := r.Peak(); peak > 4 || r.Count(testregistry.Is("GET", testregistry.KindBlob)) < 12 {
		t.Errorf("%d requests under way at once, want 2 and those that are over", peak)
	}
}
