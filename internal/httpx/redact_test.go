package httpx_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
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
		{"https://r.example/x?anothersecret==", "https://r.example/x?REDACTED"},
		{"https://r.example/x?last=&n=5", "https://r.example/x?last=&n=5"},
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
		resp.Header = http.Header{"Set-Cookie": {"c00kie"}, "Warning": {"299 - who has t0ken?"}, "Www-Authenticate": {"Bearer realm=x"}, "Location": {"/u?_state=st4te"}, "Content-Length": {"7"}, "Server": {"asked for s1gnature%2Fx, s1gnature/x"}}
		return resp, nil
	})}
	rt.Mask = func(text string) string { return strings.ReplaceAll(text, "t0ken", "hidden") }
	req := get(t, "https://r.example/x?sig=s1gnature%2Fx")
	req.Header.Set("Authorization", "Bearer t0ken")
	req.Header.Set("User-Agent", "t0ken")
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, part := range []string{"method=GET", "sig=REDACTED", "status=401", "Content-Length:7", "Bearer ***", "_state=REDACTED", "who has hidden?", "User-Agent:hidden", "Server:asked for ***, ***"} {
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

func TestAnAuthorizationThatIsNothingButASecretIsNotShown(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	rt := httpx.Log{Logger: logger, Next: roundTrip(func(*http.Request) (*http.Response, error) { return answer(200, ""), nil })}
	for _, value := range []string{"s3cret", "s3cret and more", "Basic", ""} {
		req := get(t, "https://r.example/x")
		req.Header.Set("Authorization", value)
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if strings.Contains(out.String(), "s3cret") || strings.Count(out.String(), "Authorization:***") != 4 {
		t.Errorf("logged %s", out.String())
	}
}

func TestASecretIsHiddenInEverySpelling(t *testing.T) {
	const secret = `p4ss/w+rd"&<é?`
	for _, text := range []string{
		secret, "p4ss%2Fw%2Brd%22%26%3C%C3%A9%3F", "p4ss%2fw%2brd%22%26%3c%c3%a9%3f", "p4ss/w+rd%22&%3C%C3%A9%3F", "p4ss/w+rd&#34;&amp;&lt;é?",
		`p4ss/w+rd\"&<é?`, `p4ss/w+rd\"\u0026\u003cé?`, `p4ss/w+rd\"&<\u00e9?`, `p4ss/w+rd\\\"\\u0026\\u003cé?`, hex.EncodeToString([]byte(secret)),
		"p4ss/w+rd%22&%3C%C3%A9?", // with a query behind it, as a URL has it
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("a:" + secret)), base64.RawURLEncoding.EncodeToString([]byte("ab:" + secret + "\n")),
	} {
		hidden := httpx.Hide("x "+text+" y", httpx.Spellings(secret))
		if !strings.Contains(hidden, "***") || len(hidden) > len("x *** y")+8 {
			t.Errorf("%s became %s", text, hidden)
		}
	}
}
