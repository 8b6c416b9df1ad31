package registry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry"
)

// files is a web server with a file, and with ways that lead to it and elsewhere.
func files(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "" || r.Header.Get("X-Own") != "":
			http.Error(w, "it was shown a secret", http.StatusTeapot)
		case r.URL.Path == "/file":
			_, _ = io.WriteString(w, "the file "+r.URL.RawQuery)
		case r.URL.Path == "/led":
			http.Redirect(w, r, "/file", http.StatusFound)
		case r.URL.Path == "/misled":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		case r.URL.Path == "/private":
			w.Header().Set("WWW-Authenticate", `Basic realm="files"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
		case r.URL.Path == "/short":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestFetchReadsAFileWithNobodysCredentials(t *testing.T) {
	at := files(t)
	c := &registry.Client{
		Keychain: registry.CredentialFunc(func(context.Context, string, string) (registry.Credential, error) {
			return registry.Credential{Username: "ann", Password: "secret"}, nil
		}),
		Hosts: func(string) (*registry.Host, error) {
			return &registry.Host{Header: http.Header{"X-Own": {"secret"}}}, nil
		},
		Retries: 1,
	}
	t.Cleanup(c.Close)
	for _, path := range []string{"/file?a=b%2F&c", "/led"} {
		rc, err := c.Fetch(t.Context(), at+path)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(rc)
		if err != nil || !strings.HasPrefix(string(raw), "the file") {
			t.Errorf("%s: got %q, %v", path, raw, err)
		}
		if path != "/led" && !strings.HasSuffix(string(raw), "a=b%2F&c") {
			t.Errorf("the query became %q", raw)
		}
		_ = rc.Close()
	}
	tests := []struct {
		address string
		want    error
	}{
		{at + "/none", content.ErrNotFound},
		{at + "/private", content.ErrDenied},
		{at + "/misled", content.ErrInvalid},
		{"file:///etc/passwd", content.ErrInvalid},
		{"http:/file", content.ErrInvalid},
		{"http://bob:secret@files.example/x", content.ErrInvalid},
		{"http://files_example%00/x", content.ErrInvalid},
		{"http://127.0.0.1:1/x", content.ErrUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.address, func(t *testing.T) {
			rc, err := c.Fetch(t.Context(), tt.address)
			if err == nil {
				_ = rc.Close()
			}
			if !errors.Is(err, tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	rc, err := c.Fetch(t.Context(), at+"/short")
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, err := io.ReadAll(rc); !errors.Is(err, content.ErrUnavailable) {
		t.Errorf("what broke off: %v", err)
	}
}
