package main_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/archive"
	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/layout"
	"github.com/wherry-dev/wherry/registry"
)

// The benchmarks of this file move one blob between two places within one process. The other end of the wire is here
// too, and does nothing but give bytes or throw them away, so that allocations are the data path's.

const blobSize = 64 << 20

// wire is a registry that has one blob, serves it in every repository but "empty", and forgets what it is sent.
type wire struct{ blob []byte }

func (w wire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodHead:
		rw.WriteHeader(http.StatusNotFound)
	case http.MethodPost:
		rw.Header().Set("Location", "/upload")
		rw.WriteHeader(http.StatusAccepted)
	case http.MethodPut:
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != int64(len(w.blob)) {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		rw.WriteHeader(http.StatusCreated)
	default:
		rw.Header().Set("Content-Length", strconv.Itoa(len(w.blob)))
		_, _ = rw.Write(w.blob) // a client that went away is its own affair
	}
}

// places hands out what a benchmark moves its blob between.
type places struct {
	b    *testing.B
	blob []byte
	desc ocispec.Descriptor
	host string
}

func newPlaces(b *testing.B) *places {
	b.Helper()
	blob := make([]byte, blobSize)
	if _, err := rand.NewChaCha8([32]byte{}).Read(blob); err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(wire{blob})
	b.Cleanup(srv.Close)
	return &places{
		b: b, blob: blob, host: strings.TrimPrefix(srv.URL, "http://"),
		desc: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(blob), Size: blobSize},
	}
}

// registry opens a repository as a new process does: nothing is remembered of earlier runs.
func (p *places) registry(name string) *registry.Repository {
	p.b.Helper()
	c := &registry.Client{}
	p.b.Cleanup(c.Close)
	r, err := c.Repository(p.host, name)
	if err != nil {
		p.b.Fatal(err)
	}
	return r
}

func (p *places) layout(dir string) *layout.Layout {
	p.b.Helper()
	l, err := layout.Create(dir)
	if err != nil {
		p.b.Fatal(err)
	}
	return l
}

func (p *places) fromRegistry() content.Source { return p.registry("full") }

// filled is a layout that has the blob.
func (p *places) filled() content.Source {
	p.b.Helper()
	l := p.layout(filepath.Join(p.b.TempDir(), "filled"))
	p.b.Cleanup(func() { _ = l.Close() }) // only read
	if _, err := l.PutBlob(p.b.Context(), held{p.desc, p.blob}); err != nil {
		p.b.Fatal(err)
	}
	return l
}

// held is a blob in memory.
type held struct {
	desc  ocispec.Descriptor
	bytes []byte
}

func (h held) Descriptor() ocispec.Descriptor { return h.desc }

func (h held) Open(_ context.Context, r content.Range) (io.ReadCloser, error) {
	off, n, err := r.Resolve(h.desc.Size)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(h.bytes[off : off+n])), nil
}

// A maker makes an empty sink, in dir if it has files, and says how to close it.
type maker func(p *places, dir string) (content.Sink, func() error)

// run moves the blob from src to what sink makes anew each time, without counting the making.
func (p *places) run(src content.Source, sink maker) {
	p.b.Helper()
	p.b.SetBytes(blobSize)
	p.b.ReportAllocs()
	for p.b.Loop() {
		p.b.StopTimer()
		dir, err := os.MkdirTemp(p.b.TempDir(), "")
		if err != nil {
			p.b.Fatal(err)
		}
		to, done := sink(p, dir)
		p.b.StartTimer()
		if outcome, err := to.PutBlob(p.b.Context(), content.NewBlob(src, p.desc)); err != nil || outcome != content.Stored {
			p.b.Fatalf("outcome %v, %v", outcome, err)
		}
		p.b.StopTimer()
		if err := done(); err != nil {
			p.b.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			p.b.Fatal(err)
		}
		p.b.StartTimer()
	}
}

func (p *places) toRegistry(string) (content.Sink, func() error) {
	return p.registry("empty"), func() error { return nil }
}

func (p *places) toLayout(dir string) (content.Sink, func() error) {
	l := p.layout(filepath.Join(dir, "layout"))
	return l, l.Close
}

func (p *places) toArchive(dir string) (content.Sink, func() error) {
	p.b.Helper()
	w, err := archive.Create(filepath.Join(dir, "image.tar"))
	if err != nil {
		p.b.Fatal(err)
	}
	return w, w.Close
}

func BenchmarkBlob(b *testing.B) {
	tests := []struct {
		name string
		src  func(*places) content.Source
		sink maker
	}{
		{"registry to layout", (*places).fromRegistry, (*places).toLayout},
		{"registry to registry", (*places).fromRegistry, (*places).toRegistry},
		{"registry to archive", (*places).fromRegistry, (*places).toArchive},
		{"layout to registry", (*places).filled, (*places).toRegistry},
		{"layout to layout", (*places).filled, (*places).toLayout},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			p := newPlaces(b)
			p.run(tt.src(p), tt.sink)
		})
	}
}
