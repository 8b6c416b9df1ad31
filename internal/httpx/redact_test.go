package httpx_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/internal/httpx"
)

func TestURLsAreRedacted(t *testing.T) {
	for _, tt := range []struct{ url, want string }{
		{"https://r.example/v2/a/tags/list?n=5&last=x", "https://r.example/v2/a/tags/list?n=5&last=x"},
		{"https://ann:pw@r.example/x#frag", "https://r.example/x"},
		{"https://r.example/x?X-Amz-Signature=abc&digest=sha256:1&se=2", "https://r.example/x?X-Amz-Signature=REDACTED&digest=sha256:1&se=REDACTED"},
		{"https://r.example/x?justasecret", "https://r.example/x?REDACTED"},
		{"https://r.example/x?a=b;sig=c", "https://r.example/x?a=REDACTED&sig=REDACTED"},
		{"https://r.example/x?from=a/b&mount=sha256:1&artifactType=t", "https://r.example/x?from=a/b&mount=sha256:1&artifactType=t"},
		{"https://r.example/x?" + strings.Repeat("k", 50) + "=v", "https://r.example/x?REDACTED=REDACTED"},
	} {
		if got := httpx.RedactText(tt.url); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.url, got, tt.want)
		}
	}
	if got := httpx.RedactText("https://%zz?secret"); got != "REDACTED" {
		t.Errorf("got %s", got)
	}
}

func TestLogsHaveWhatHappenedAndNoSecret(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	rt := httpx.Log{Logger: logger, Next: roundTrip(func(*http.Request) (*http.Response, error) {
		resp := answer(401, "")
		resp.Header = http.Header{"Set-Cookie": {"c00kie"}, "Warning": {"299 - who has t0ken?"}, "Www-Authenticate": {"Bearer realm=x"}, "Location": {"/u?_state=st4te"}, "Content-Length": {"7"}}
		return resp, nil
	})}
	rt.Mask = func(text string) string { return strings.ReplaceAll(text, "t0ken", "hidden") }
	req := get(t, "https://r.example/x?sig=s1g")
	req.Header.Set("Authorization", "Bearer t0ken")
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, part := range []string{"method=GET", "sig=REDACTED", "status=401", "Content-Length:7", "Bearer ***", "_state=REDACTED", "who has hidden?"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %s in %s", part, out.String())
		}
	}
	for _, canary := range []string{"s1g", "t0ken", "c00kie", "st4te"} {
		if strings.Contains(out.String(), canary) {
			t.Errorf("%s is in %s", canary, out.String())
		}
	}
}
