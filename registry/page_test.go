package registry_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

// TestAWebPageIsNoBlobUnlessTheBlobIsOne serves pages in place of blobs, and blobs that are pages.
func TestAWebPageIsNoBlobUnlessTheBlobIsOne(t *testing.T) {
	portal := []byte("<!DOCTYPE html><html><body>Please sign in.</body></html>\n")
	large := []byte("<html>" + strings.Repeat("<p>wherry</p>", 10_000) + "</html>")
	other := random(100_000, 8)
	for _, tt := range []struct {
		name   string
		blob   []byte
		sent   []byte
		kind   string // Content-Type
		length lengthOf
		want   error
	}{
		{"a portal in place of a large blob", other, portal, "text/html; charset=utf-8", told, content.ErrUnavailable},
		{"a portal that does not tell its length", other, portal, "text/html", open, content.ErrUnavailable},
		{"a portal in place of a small blob", other[:10], portal, "text/html", open, content.ErrUnavailable},
		{"a blob that is a page", portal, portal, "text/html", told, nil},
		{"a blob that is a page, of no told length", portal, portal, "text/html", open, nil},
		{"a large one", large, large, "text/html", open, nil},
		{"any blob that is said to be a page", other, other, "text/html", open, nil},
		{"a blob of another size", other, other[:50], "application/octet-stream", told, content.ErrCorrupt},
		{"a page that says it is a blob", other, portal, "application/octet-stream", told, content.ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := serveBlobs(t, tt.kind, tt.sent, tt.length)
			repo, err := client(t).Repository(host, "app")
			if err != nil {
				t.Fatal(err)
			}
			got, err := readAll(t.Context(), repo, tt.blob, content.Range{})
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if tt.want == nil && !bytes.Equal(got, tt.blob) {
				t.Errorf("%d bytes that are not the blob's", len(got))
			}
			if errors.Is(tt.want, content.ErrUnavailable) && (err == nil || !strings.Contains(err.Error(), "web page") || !strings.Contains(err.Error(), host)) {
				t.Errorf("%v does not say that %s gave a web page", err, host)
			}
		})
	}
}

// A lengthOf is whether an answer tells its length.
type lengthOf string

const (
	told lengthOf = "told"
	open lengthOf = "open"
)

// serveBlobs answers sent to whoever asks for a blob, and returns the host.
func serveBlobs(t *testing.T, kind string, sent []byte, length lengthOf) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.Contains(req.URL.Path, "/blobs/") {
			return
		}
		w.Header().Set("Content-Type", kind)
		if length == told {
			w.Header().Set("Content-Length", strconv.Itoa(len(sent)))
		} else {
			w.(http.Flusher).Flush() //nolint:forcetypeassert // of net/http
		}
		_, _ = io.Copy(w, bytes.NewReader(sent)) // whoever reads no more has gone
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}
