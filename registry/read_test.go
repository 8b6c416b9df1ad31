package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

type fault = testregistry.Fault

// tail is a span in the second half of a blob.
var tail = content.Range{Off: 700_000, Len: 100_000}

func TestReadingSurvivesWhatConnectionsAndHostsDo(t *testing.T) {
	const size = 1 << 20
	raw := random(size, 1)
	tests := []struct {
		name   string
		faults []fault
		span   content.Range // the zero Range is the whole blob
		want   error         // class
		gets   int           // requests for the blob, redirects apart
		bytes  float64       // at most so many times the blob's size
	}{
		{"nothing wrong", nil, content.Range{}, nil, 1, 1},
		{"a span alone is asked for", nil, tail, nil, 1, 0.1},
		{"reset at half", []fault{{Effect: testregistry.ResetAfter, N: size / 2, Times: 1}}, content.Range{}, nil, 2, 1.5},
		{"closed at half", []fault{{Effect: testregistry.CutAfter, N: size / 2, Times: 1}}, content.Range{}, nil, 2, 1.01},
		{"chunked body that is cut", []fault{{Effect: testregistry.ChunkCut, N: size / 2, Times: 1}}, content.Range{}, nil, 2, 1.01},
		{"closed nine times, with progress", []fault{{Effect: testregistry.CutAfter, N: size / 10, Times: 9}}, content.Range{}, nil, 10, 1.01},
		{"reset seven times, with progress", []fault{{Effect: testregistry.ResetAfter, N: size / 8, Times: 7}}, content.Range{}, nil, 0, 2},
		{"a span that is cut", []fault{{Effect: testregistry.CutAfter, N: 1000, Times: 1}}, tail, nil, 2, 0.1},
		{"cut always, without a byte", []fault{{Effect: testregistry.CutAfter}}, content.Range{}, content.ErrUnavailable, 5, 0},
		{"range ignored after a reset", []fault{
			{Effect: testregistry.CutAfter, N: size / 2, Times: 1}, {Effect: testregistry.IgnoreRange},
		}, content.Range{}, nil, 2, 1.51},
		{"range ignored for a span", []fault{{Effect: testregistry.IgnoreRange}}, tail, nil, 1, 1},
		{"span that begins elsewhere", []fault{{Effect: testregistry.ContentRange, Value: "shift"}}, tail, nil, 2, 1.1},
		{"span without Content-Range", []fault{{Effect: testregistry.ContentRange, Value: "none"}}, tail, nil, 2, 1.1},
		{"span of an unknown total", []fault{{Effect: testregistry.ContentRange, Value: "bytes 700000-799999/*"}}, tail, nil, 2, 1.1},
		{"416 for a span", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 416, Times: 1}}, tail, nil, 2, 1},
		{"416 for ever", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 416}}, tail, content.ErrInvalid, 2, 0},
		{"shorter than it should be", []fault{{Effect: testregistry.Shorter, N: 10}}, content.Range{}, content.ErrCorrupt, 1, 1},
		{"longer than it should be", []fault{{Effect: testregistry.Longer, N: 10}}, content.Range{}, content.ErrCorrupt, 1, 1.1},
		{"without an end", []fault{{Effect: testregistry.Endless}}, content.Range{}, content.ErrCorrupt, 1, 9},
		{"compressed by a proxy", []fault{{Effect: testregistry.Gzip}}, content.Range{}, nil, 1, 1.1},
		{"503 twice", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 503, Times: 2}}, content.Range{}, nil, 3, 1},
		{"503 for ever", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 503}}, content.Range{}, content.ErrUnavailable, 5, 0},
		{"429 twice without a time", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 429, Times: 2}}, content.Range{}, nil, 3, 1},
		{"429 for ever", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 429}}, content.Range{}, content.ErrRateLimited, 5, 0},
		{"500 after a cut", []fault{
			{Effect: testregistry.CutAfter, N: size / 2, Times: 1},
			{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 500, Nth: 2, Times: 1},
		}, content.Range{}, nil, 3, 1.01},
		{"not there", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 404}}, content.Range{}, content.ErrNotFound, 1, 0},
		{"gone in the middle", []fault{
			{Effect: testregistry.CutAfter, N: size / 2, Times: 1},
			{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 404, Nth: 2},
		}, content.Range{}, content.ErrNotFound, 2, 0.6},
		{"denied", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 403}}, content.Range{}, content.ErrDenied, 1, 0},
		{"redirected to itself", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Redirect, Value: "loop"}}, content.Range{}, content.ErrUnavailable, 11, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{})
			server.PutBlob("app", raw)
			repo := repository(t, client(t), server, "app")
			if _, err := repo.Has(t.Context(), descriptorOf(raw)); err != nil { // the host has been met
				t.Fatal(err)
			}
			server.Reset()
			server.SetFaults(tt.faults...)
			got, err := readAll(t.Context(), repo, raw, tt.span)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if tt.want == nil && !bytes.Equal(got, spanOf(raw, tt.span)) {
				t.Errorf("got %d bytes that are not those of the span", len(got))
			}
			if tt.gets != 0 && server.Count(testregistry.Is("GET", testregistry.KindBlob)) != tt.gets {
				t.Errorf("%d requests, want %d", server.Count(testregistry.Is("GET", testregistry.KindBlob)), tt.gets)
			}
			if sent := float64(server.BlobBytesSent()) / size; sent > tt.bytes {
				t.Errorf("%.2f times the blob was sent, want at most %.2f", sent, tt.bytes)
			}
		})
	}
}

func readAll(ctx context.Context, src content.Source, raw []byte, span content.Range) ([]byte, error) {
	rc, err := src.Open(ctx, descriptorOf(raw), span)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(rc)
	return got, errors.Join(err, rc.Close())
}

func spanOf(raw []byte, span content.Range) []byte {
	if span.Len == 0 {
		return raw[span.Off:]
	}
	return raw[span.Off : span.Off+span.Len]
}

func TestEmptySpansCostNoRequest(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{})
	raw := random(100, 2)
	repo := repository(t, client(t), server, "app")
	for _, tt := range []struct {
		name string
		raw  []byte
		span content.Range
		want error
	}{
		{"at the end", raw, content.Range{Off: 100}, nil},
		{"of an empty blob", nil, content.Range{}, nil},
		{"past the end", raw, content.Range{Off: 101}, content.ErrInvalid},
		{"that reaches past the end", raw, content.Range{Off: 50, Len: 51}, content.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readAll(t.Context(), repo, tt.raw, tt.span)
			if !errors.Is(err, tt.want) || len(got) != 0 {
				t.Errorf("%d bytes, %v; want none, %v", len(got), err, tt.want)
			}
		})
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

func TestAStalledBodyIsReadOnFromWhereItStood(t *testing.T) {
	raw := random(1<<20, 3)
	server := testregistry.Start(t, testregistry.Config{Faults: []fault{{Effect: testregistry.StallAfter, N: 1 << 19, Times: 1}}})
	server.PutBlob("app", raw)
	c := client(t)
	c.StallTimeout = 50 * time.Millisecond
	got, err := readAll(t.Context(), repository(t, c, server, "app"), raw, content.Range{})
	if err != nil || !bytes.Equal(got, raw) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if sent := server.BlobBytesSent(); sent > 1<<20+1<<18 {
		t.Errorf("%d bytes were sent", sent)
	}
}

func TestAHostThatDoesNotAnswerIsLeft(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{Faults: []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Hold}}})
	c := client(t)
	c.StallTimeout, c.Retries = 20*time.Millisecond, 3
	_, err := repository(t, c, server, "app").Manifest(t.Context(), "v1")
	if !errors.Is(err, content.ErrUnavailable) || !strings.Contains(err.Error(), "stalled") {
		t.Errorf("error %v", err)
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	raw := random(1<<20, 4)
	server := testregistry.Start(t, testregistry.Config{Faults: []fault{{Effect: testregistry.StallAfter, N: 1 << 19}}})
	server.PutBlob("app", raw)
	ctx, cancel := context.WithCancel(t.Context())
	rc, err := repository(t, client(t), server, "app").Open(ctx, descriptorOf(raw), content.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, err := io.CopyN(io.Discard, rc, 1000); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, rc); !errors.Is(err, context.Canceled) || errors.Is(err, content.ErrUnavailable) {
		t.Errorf("error %v, want canceled alone", err)
	}
	if n := server.Count(testregistry.Is("GET", testregistry.KindBlob)); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestASignedURLThatRanOutIsAskedForAgain(t *testing.T) {
	raw := random(1<<20, 5)
	for _, tt := range []struct {
		name   string
		faults []fault // of the storage host
		gets   int     // at the registry
		want   error
	}{
		{"at once", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 403, Times: 1}}, 2, nil},
		{"on resuming", []fault{
			{Effect: testregistry.CutAfter, N: 1 << 19, Times: 1},
			{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 400, Nth: 2, Times: 2},
		}, 3, nil},
		{"where a page is in its place", []fault{
			{Effect: testregistry.CutAfter, N: 1 << 19, Times: 1},
			{Kind: testregistry.KindBlob, Effect: testregistry.HTML, Nth: 2, Times: 1},
		}, 2, nil},
		{"where another span is in its place", []fault{
			{Effect: testregistry.CutAfter, N: 1 << 19, Times: 1},
			{Kind: testregistry.KindBlob, Effect: testregistry.ContentRange, Value: "shift", Nth: 2, Times: 1},
		}, 2, nil},
		{"not where ranges are ignored", []fault{
			{Effect: testregistry.CutAfter, N: 1 << 19, Times: 1},
			{Kind: testregistry.KindBlob, Effect: testregistry.IgnoreRange},
		}, 1, nil},
		{"not while it is good", []fault{{Effect: testregistry.CutAfter, N: 1 << 19, Times: 1}}, 1, nil},
		{"for ever", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 403}}, 5, content.ErrDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			storage := testregistry.Start(t, testregistry.Config{Faults: tt.faults})
			storage.PutBlob("app", raw)
			server := testregistry.Start(t, testregistry.Config{
				Auth:   testregistry.Auth{Scheme: testregistry.Basic, Users: map[string]string{"ann": "secret"}},
				Faults: []fault{{Kind: testregistry.KindBlob, Method: http.MethodGet, Effect: testregistry.Redirect, Value: storage.URL()}},
			})
			got, err := readAll(t.Context(), repository(t, client(t), server, "app"), raw, content.Range{})
			if !errors.Is(err, tt.want) || err == nil && !bytes.Equal(got, raw) {
				t.Fatalf("%d bytes, %v; want %v", len(got), err, tt.want)
			}
			redirected := func(q testregistry.Request) bool { return q.Kind == testregistry.KindBlob && q.Status == 307 }
			if n := server.Count(redirected); n != tt.gets {
				t.Errorf("%d requests at the registry, want %d", n, tt.gets)
			}
			if n := storage.Count(func(q testregistry.Request) bool { return q.Auth != "" }); n != 0 {
				t.Errorf("%d requests with credentials at the storage", n)
			}
		})
	}
}

func TestABlobsDigestNeverBecomesAnotherPath(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{})
	repo := repository(t, client(t), server, "app")
	good := descriptorOf([]byte("x"))
	for _, d := range []string{
		"", "sha256:../../x", "sha256:" + strings.Repeat("a", 63), "sha256:" + strings.Repeat("a", 65),
		"sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("%2f", 21) + "a", "sha256:" + strings.Repeat("a", 63) + "\n", "md5:" + strings.Repeat("a", 32),
	} {
		bad := good
		bad.Digest = digest.Digest(d)
		_, err := repo.Open(t.Context(), bad, content.Range{})
		_, herr := repo.Has(t.Context(), bad)
		_, perr := repo.PutBlob(t.Context(), content.NewBlob(repo, bad))
		for _, err := range []error{err, herr, perr} {
			if !errors.Is(err, content.ErrInvalid) {
				t.Errorf("%q: error %v, want invalid", d, err)
			}
		}
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}
