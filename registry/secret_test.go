package registry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

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
	for _, tt := range []struct {
		name   string
		auth   testregistry.Auth
		faults []fault
	}{
		{"right", bearer, nil},
		{"basic", testregistry.Auth{Scheme: testregistry.Basic, Users: bearer.Users}, nil},
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
			c.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
			repo := repository(t, c, server, "app")
			_, err := readAll(t.Context(), repo, raw, content.Range{})
			_, perr := repo.PutBlob(t.Context(), made(random(1000, 25)))
			_, merr := repo.Manifest(t.Context(), "v1")
			fmt.Fprintf(&out, "%v\n%v\n%v\n%#v", err, perr, merr, errors.Join(err, perr, merr))
			for _, q := range server.Requests() {
				if token, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer "); ok && strings.Contains(out.String(), token) {
					t.Error("a token was printed")
				}
			}
			for _, canary := range []string{"secret", "YW5uOnNlY3JldA", signed, "c00kie"} {
				if i := strings.Index(out.String(), canary); i >= 0 {
					t.Errorf("%q was printed: …%s", canary, out.String()[max(0, i-200):i+20])
				}
			}
			if out.Len() < 200 {
				t.Error("nothing was logged")
			}
		})
	}
}

func TestCredentialsDoNotPrint(t *testing.T) {
	c := registry.Credential{Username: "ann", Password: "p4ss", IdentityToken: "1dent", RegistryToken: "t0ken"}
	raw, err := json.Marshal(map[string]any{"c": c})
	if err != nil {
		t.Fatal(err)
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
