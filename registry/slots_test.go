package registry_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

// A registry that takes four blobs at once is hardly ever asked for a fifth, and
// not by who waits either.
func TestAHostIsNotAskedForMoreBlobsAtOnceThanItBears(t *testing.T) {
	const bears, blobs, readers = 4, 300, 6
	raw := random(20_000, 21)
	slow := fault{Kind: testregistry.KindBlob, Effect: testregistry.Delay, Min: 5 * time.Millisecond}
	server := testregistry.New(testregistry.Config{Faults: []fault{slow}})
	server.PutBlob("app", raw)
	var inside, refused atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			server.ServeHTTP(w, r)
			return
		}
		defer inside.Add(-1)
		if inside.Add(1) > bears {
			refused.Add(1)
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		server.ServeHTTP(w, r)
	}))
	defer front.Close()
	repo, err := client(t).Repository(front.Listener.Addr().String(), "app")
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	g.SetLimit(readers)
	for range blobs {
		g.Go(func() error {
			got, err := readAll(t.Context(), repo, raw, content.Range{})
			if err == nil && !bytes.Equal(got, raw) {
				t.Error("other bytes")
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	// Those that were on their way when the first was refused may be too.
	if n := refused.Load(); n > 2*readers {
		t.Errorf("%d of %d requests were refused", n, blobs)
	}
	t.Logf("%d refused", refused.Load())
}
