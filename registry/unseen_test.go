package registry_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

func TestABlobThatIsNotShownIsSent(t *testing.T) {
	hides := fault{Method: http.MethodHead, Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 403}
	denies := fault{Kind: testregistry.AnyKind, Effect: testregistry.Answer, N: 403}
	for _, tt := range []struct {
		name    string
		fault   fault
		without registry.Answer
		want    error
		says    string
		posts   int
	}{
		{"by who takes it", hides, 0, nil, "", 1},
		{"by who denies that too", denies, 0, content.ErrDenied, "POST ", 1},
		{"but where that is left out", hides, registry.WriteUnseen, content.ErrDenied, "HEAD ", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Faults: []fault{tt.fault}})
			c, blob := client(t), made(random(1000, 3))
			c.Without = tt.without
			outcome, err := repository(t, c, server, "app").PutBlob(t.Context(), blob)
			if !errors.Is(err, tt.want) || err == nil && outcome != content.Stored || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, %v; want %v with %q", outcome, err, tt.want, tt.says)
			}
			if _, there := server.Blob("app", blob.desc.Digest); there != (tt.want == nil) {
				t.Errorf("the blob is there: %t", there)
			}
			if n := server.Count(testregistry.Is(http.MethodPost, testregistry.KindUpload)); n != tt.posts {
				t.Errorf("%d sessions were asked for, want %d", n, tt.posts)
			}
		})
	}
}

// TestWhatWasNotSeenIsAskedForAgain lets a registry deny the first look only.
func TestWhatWasNotSeenIsAskedForAgain(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{Faults: []fault{
		{Method: http.MethodHead, Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 403, Times: 1},
	}})
	blob := made(random(1000, 4))
	server.PutBlob("app", blob.raw)
	repo := repository(t, client(t), server, "app")
	if there, err := repo.Has(t.Context(), blob.desc); there || err != nil {
		t.Errorf("at first: %t, %v", there, err)
	}
	if outcome, err := repo.PutBlob(t.Context(), blob); outcome != content.Existed || err != nil {
		t.Errorf("later: %v, %v; want that it existed", outcome, err)
	}
}
