package killed

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wherry-dev/wherry/internal/durable"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// A gauge is a registry that counts the bytes of one blob that it sends, and says
// when it has sent some.
type gauge struct {
	http.Handler
	blob string // its digest
	at   int64  // when reached is closed

	sent    atomic.Int64
	reached chan struct{}
	once    sync.Once
}

// ServeHTTP implements [http.Handler].
func (g *gauge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, g.blob) {
		w = gauged{w, g}
	}
	g.Handler.ServeHTTP(w, r)
}

type gauged struct {
	http.ResponseWriter
	g *gauge
}

// Unwrap shows [http.ResponseController] what it controls.
func (w gauged) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements [http.ResponseWriter].
func (w gauged) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	if w.g.sent.Add(int64(n)) >= w.g.at {
		w.g.once.Do(func() { close(w.g.reached) })
	}
	return n, err
}

// allowed is 2 % of 1 GiB. What connections that are given up leave unread, in
// whichever process, counts as well: of a smaller blob it is as much.
const allowed = 1 << 30 / 50

// TestOfABlobThatWasHalfThereLittleIsFetchedAgain kills a pull when the registry
// has sent half of a blob, of 1 GiB under make soak. What the process had written
// by then is there, and little of the blob may come although it was. What lay
// unread in the sockets then nobody has, and how much that is the kernel decides.
func TestOfABlobThatWasHalfThereLittleIsFetchedAgain(t *testing.T) {
	mib := int64(128)
	if os.Getenv("WHERRY_SOAK") != "" {
		mib = 1 << 10
	}
	img := testimage.Big(3, mib)
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			r := testregistry.New(testregistry.Config{})
			defer r.Close()
			img.PutTo(r, "app", "v1")
			fetchedAgain(t, l, r, img)
		})
	}
}

func fetchedAgain(t *testing.T, l line, r http.Handler, img testimage.Image) {
	t.Helper()
	blob := img.Largest()
	size := int64(len(img.Blobs[blob]))
	g := &gauge{Handler: r, blob: blob.String(), at: size / 2, reached: make(chan struct{})}
	server := httptest.NewServer(g)
	defer server.Close()
	home := t.TempDir()
	dst := filepath.Join(home, "layout")
	args := []string{"copy", "-q", "docker://" + l.through(t, server.Listener.Addr().String()) + "/app:v1", "oci:" + dst + ":next"}
	if !killWhen(t, wherry(t, home, args...), func() <-chan struct{} { return g.reached }) {
		t.Fatal("it was done before it was killed")
	}
	fi, err := os.Stat(filepath.Join(dst, ".wherry", "partial", "sha256-"+blob.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	first, held := g.sent.Load(), durable.Held(fi)
	finish(t, home, args...)
	again := g.sent.Load() - first - (size - held)
	t.Logf("killed after %d of %d bytes, of which %d were written, and %d came again: %.2f %%", first, size, held, again, 100*float64(again)/float64(size))
	if again > allowed {
		t.Errorf("%d bytes came again, more than %d", again, allowed)
	}
}
