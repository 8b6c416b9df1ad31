package registry_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
	"github.com/wherry-dev/wherry/transfer"
)

// TestBlobsThatARegistryLostBetweenPlanAndRunAreSentAgain lets a registry collect garbage at the wrong moment.
func TestBlobsThatARegistryLostBetweenPlanAndRunAreSentAgain(t *testing.T) {
	from, to := testregistry.Start(t, testregistry.Config{}), testregistry.Start(t, testregistry.Config{})
	image := testimage.Single(1)
	image.PutTo(from, "app", "v1")
	for _, raw := range image.Blobs {
		to.PutBlob("app", raw)
	}
	c := client(t)
	var copier transfer.Copier
	dst := transfer.Target{Name: "dst", Sink: repository(t, c, to, "app"), Names: []string{"v1"}}
	p, err := copier.Plan(t.Context(), transfer.Job{Name: "app", Src: repository(t, c, from, "app"), Ref: "v1", Dst: []transfer.Target{dst}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Images[0].Targets[0].Missing); n != 0 {
		t.Fatalf("%d blobs are to be moved, want none", n)
	}
	for d := range image.Blobs {
		to.DeleteBlob("app", d)
	}
	to.Reset()
	if _, err := copier.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for d := range image.Blobs {
		if _, there := to.Blob("app", d); !there {
			t.Errorf("blob %s is not there", d)
		}
	}
	if to.Digest("app", "v1") != from.Digest("app", "v1") {
		t.Error("the tag is not there")
	}
	posts := to.Count(testregistry.Is(http.MethodPost, testregistry.KindUpload))
	puts := to.Count(testregistry.Is(http.MethodPut, testregistry.KindManifest))
	if posts != len(image.Blobs) || puts != 2 {
		t.Errorf("%d uploads and %d PUTs of the manifest, want %d and 2", posts, puts, len(image.Blobs))
	}
}

// TestLostSessionsAreTheRegistrysFault gives up before the sessions do.
func TestLostSessionsAreTheRegistrysFault(t *testing.T) {
	for retries := range 5 {
		server := testregistry.Start(t, testregistry.Config{Faults: []fault{{Method: http.MethodPut, Kind: testregistry.KindUpload, Effect: testregistry.SessionLost}}})
		c := client(t)
		c.Retries = 1 + retries
		_, err := repository(t, c, server, "app").PutBlob(t.Context(), made(random(1000, 5)))
		if !errors.Is(err, content.ErrUnavailable) || errors.Is(err, content.ErrNotFound) {
			t.Errorf("with %d tries: %v, want that the host is unavailable", c.Retries, err)
		}
	}
}
