package registry_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

func TestAnUploadElsewhereGetsNoCredentials(t *testing.T) {
	raw := random(1000, 23)
	other := testregistry.Start(t, testregistry.Config{})
	server := testregistry.Start(t, testregistry.Config{Auth: bearer, Faults: []fault{{Effect: testregistry.Location, Value: other.URL()}}})
	_, err := repository(t, client(t), server, "app").PutBlob(t.Context(), made(raw))
	if err == nil {
		t.Fatal("want an error: the other host knows no such session")
	}
	if len(other.Requests()) == 0 {
		t.Error("the other host was not asked")
	}
	if n := other.Count(func(q testregistry.Request) bool { return q.Auth != "" }); n != 0 {
		t.Errorf("%d requests with credentials", n)
	}
}

func TestSecretsAreInNoErrorAndNoLog(t *testing.T) {
	raw := random(1<<20, 24)
	signed := "s1gn4ture"
	storage := testregistry.Start(t, testregistry.Config{Faults: []fault{
		{Kind: testregistry.AnyKind, Effect: testregistry.Answer, N: 403, Header: http.Header{"Set-Cookie": {"sid=c00kie"}}},
	}})
	talks := testregistry.Start(t, testregistry.Config{Faults: []fault{
		{Kind: testregistry.AnyKind, Effect: testregistry.Answer, N: 403, Body: `{"errors":[{"code":"DENIED","message":"wrong ` + signed + `"},{"code":"` + signed + `"}]}`},
	}})
	echo := []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Echo, N: 403}, {Kind: testregistry.KindUpload, Effect: testregistry.Echo, N: 400}}
	basic := testregistry.Auth{Scheme: testregistry.Basic, Users: bearer.Users}
	refreshed := testregistry.Auth{Scheme: testregistry.Bearer, RefreshTokens: map[string]string{"r3fresh": "ann"}}
	for _, tt := range []struct {
		name   string
		auth   testregistry.Auth
		faults []fault
	}{
		{"right", bearer, nil},
		{"a registry that repeats a password", basic, echo},
		{"a registry that repeats it in plain text", basic, []fault{
			{Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 400, Body: "Authorization: Basic YW5uOnNlY3JldA== (ann, secret)"},
		}},
		{"a registry that repeats a token", bearer, echo},
		{"a registry that repeats a token got with a refresh token", refreshed, echo},
		{"a registry that repeats a password in headers", basic, []fault{
			{Kind: testregistry.AnyKind, Header: http.Header{"Warning": {"299 - YW5uOnNlY3JldA=="}, "Docker-Content-Digest": {"sha256:secret"}, "Location": {"http://127.0.0.2/secret/"}}},
		}},
		{"a token server that repeats a password", bearer, []fault{{Kind: testregistry.KindToken, Effect: testregistry.Echo, N: 403}}},
		{"a token server that repeats a refresh token", refreshed, []fault{{Kind: testregistry.KindToken, Effect: testregistry.Echo, N: 400}}},
		{"a token server that leads on to it", bearer, []fault{{Kind: testregistry.KindToken, Effect: testregistry.Redirect, Value: "http://10.0.0.1/secret"}}},
		{"storage that says how a URL was signed", bearer, []fault{
			{Kind: testregistry.KindManifest, Effect: testregistry.Redirect, Value: talks.URL() + "/x?X-Amz-Signature=" + signed + "&y="},
		}},
		{"basic", basic, nil},
		{"redirected to a signed URL", bearer, []fault{
			{Kind: testregistry.KindBlob, Effect: testregistry.Redirect, Value: storage.URL() + "/x?X-Amz-Signature=" + signed + "&y="},
			{Kind: testregistry.KindManifest, Effect: testregistry.Redirect, Value: storage.URL() + "/x?X-Amz-Signature=" + signed + "&y="},
		}},
		{"uploads to a signed URL", bearer, []fault{{Effect: testregistry.Location, Value: storage.URL() + "/x?sig=" + signed + "&y="}}},
		{"a token server that says too much", bearer, []fault{
			{Kind: testregistry.KindToken, Effect: testregistry.Answer, N: 200, Body: `{"refresh_token":"` + signed + `"}`},
		}},
		{"a token server that fails", bearer, []fault{{Kind: testregistry.KindToken, Effect: testregistry.Answer, N: 500}}},
		{"connections that break", bearer, []fault{{Kind: testregistry.AnyKind, Effect: testregistry.ResetAfter, N: -1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Auth: tt.auth, Faults: tt.faults})
			server.PutBlob("app", raw)
			var out bytes.Buffer
			c := client(t)
			if tt.auth.RefreshTokens != nil {
				c.Keychain = identity("r3fresh")
			}
			c.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
			repo := repository(t, c, server, "app")
			_, err := readAll(t.Context(), repo, raw, content.Range{})
			_, perr := repo.PutBlob(t.Context(), made(random(1000, 25)))
			_, merr := repo.Manifest(t.Context(), "v1")
			fmt.Fprintf(&out, "%v\n%v\n%v\n%#v", err, perr, merr, errors.Join(err, perr, merr))
			secrets := []string{"secret", "YW5uOnNlY3JldA", "r3fresh", signed, "c00kie"}
			checkUnseen(t, out.String(), append(secrets, tokens(server)...))
			if out.Len() < 200 {
				t.Error("nothing was logged")
			}
		})
	}
}

// tokens are those that a registry was shown.
func tokens(server *testregistry.Registry) (all []string) {
	for _, q := range server.Requests() {
		if token, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer "); ok {
			all = append(all, token)
		}
	}
	return all
}

func checkUnseen(t *testing.T, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%q was printed: …%s", secret, text[max(0, i-200):min(len(text), i+20)])
		}
	}
}

// An identity is a keychain of one refresh token.
type identity string

func (i identity) Resolve(authn.Resource) (authn.Authenticator, error) {
	return registry.Credential{IdentityToken: string(i)}, nil
}

func TestCredentialsDoNotPrint(t *testing.T) {
	c := registry.Credential{Username: "ann", Password: "p4ss", IdentityToken: "1dent", RegistryToken: "t0ken"}
	raw, err := json.Marshal(map[string]any{"c": c})
	if err != nil {
		t.Fatal(err)
	}
	if odd, err := json.Marshal(registry.Credential{Username: "ann\x00\a", Password: "p4ss"}); err != nil {
		t.Errorf("a name that Go and JSON quote differently: %v, %s", err, odd)
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "c", c)
	fmt.Fprintf(&out, "%s %v %+v %#v %q %x %d %s", c, c, c, c, c, c, &c, raw)
	for _, canary := range []string{"p4ss", "1dent", "t0ken", "70347373"} {
		if strings.Contains(out.String(), canary) {
			t.Errorf("%s is in %s", canary, out.String())
		}
	}
}

// Whatever a host repeats, in whatever spelling, wherever: no error quotes it.
func TestWhatAHostWasShownIsNotQuotedInAnySpelling(t *testing.T) {
	const password, header, proxied = `p4ss/w+rd"<é`, `h34der "s3cret"`, "pr0xy-p4ss:w@rd"
	said := func(s string) []string {
		quoted, _ := json.Marshal(s)
		return []string{s, url.QueryEscape(s), url.PathEscape(s), string(quoted), base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte("x:" + s)), hex.EncodeToString([]byte(s))}
	}
	for i := range said("") {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			text := said(password)[i] + " " + said(header)[i] + " " + said(proxied)[i]
			switch {
			case req.Header.Get("Authorization") == "":
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
			case req.Method == http.MethodPost:
				w.Header().Set("Location", "/v2/app/blobs/uploads/"+url.PathEscape(password+header))
				w.WriteHeader(http.StatusAccepted)
			case req.Method == http.MethodHead:
				w.Header().Set("Location", "/v2/"+url.PathEscape(password)+"/manifests/v1")
				w.WriteHeader(http.StatusTemporaryRedirect)
			default:
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, text)
			}
		}))
		t.Cleanup(server.Close)
		var out bytes.Buffer
		c := client(t)
		c.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Hosts = func(string) (*registry.Host, error) {
			return &registry.Host{Header: http.Header{"X-Corp": {header}}, PlainHTTP: true}, nil
		}
		c.Keychain = registry.CredentialFunc(func(context.Context, string, string) (registry.Credential, error) {
			return registry.Credential{Username: "ann", Password: password}, nil
		})
		c.Proxy = func(*http.Request) (*url.URL, error) {
			return &url.URL{Scheme: "http", Host: strings.TrimPrefix(server.URL, "http://"), User: url.UserPassword("bob", proxied)}, nil
		}
		repo, err := c.Repository("r.example", "app")
		if err != nil {
			t.Fatal(err)
		}
		_, err = repo.Manifest(t.Context(), "v1")
		_, rerr := repo.Resolve(t.Context(), "v1")
		_, perr := repo.PutBlob(t.Context(), made(random(1000, 25)))
		fmt.Fprintf(&out, "%v\n%v\n%v\n%s", err, rerr, perr, c.Mask("seen: "+said(password)[i]))
		for _, s := range []string{password, header, proxied} {
			checkUnseen(t, out.String(), append(said(s)[:4:4], s[:8]))
		}
	}
}
