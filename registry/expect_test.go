package registry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

// A registry that refuses an upload before it reads it should not be sent the blob for that.
func TestARefusalIsHeardBeforeTheBlobIsSent(t *testing.T) {
	raw := random(8<<20, 14)
	var puts, read atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case req.Method == http.MethodPost:
			w.Header().Set("Location", "/v2/app/blobs/uploads/one?_state=a%2Bb&x")
			w.WriteHeader(http.StatusAccepted)
		case req.Method == http.MethodGet:
			w.Header().Set("Range", "0-0")
			w.WriteHeader(http.StatusNoContent)
		case puts.Add(1) == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case !strings.HasPrefix(req.URL.RawQuery, "_state=a%2Bb&x&digest=sha256%3A"):
			t.Errorf("query %q", req.URL.RawQuery)
		default:
			n, err := io.Copy(io.Discard, req.Body)
			read.Add(n)
			if err != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusCreated)
		}
	}))
	defer server.Close()
	repo, err := client(t).Repository(strings.TrimPrefix(server.URL, "http://"), "app")
	if err != nil {
		t.Fatal(err)
	}
	blob := made(raw)
	if outcome, err := repo.PutBlob(t.Context(), blob); outcome != content.Stored || err != nil {
		t.Fatal(outcome, err)
	}
	if puts.Load() != 2 || read.Load() != int64(len(raw)) || blob.read > int64(len(raw))+1<<20 {
		t.Errorf("%d PUTs, %d bytes sent, %d bytes of the source read", puts.Load(), read.Load(), blob.read)
	}
}
