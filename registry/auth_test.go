package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

var bearer = testregistry.Auth{Scheme: testregistry.Bearer, Users: map[string]string{"ann": "secret"}}

func TestTokensAreFetchedOnceForWhatIsDone(t *testing.T) {
	raw := random(1000, 20)
	tests := []struct {
		name   string
		auth   testregistry.Auth
		tokens int
	}{
		{"from the registry itself", bearer, 2},
		{"from another host", testregistry.Auth{Scheme: testregistry.Bearer, Users: bearer.Users, OwnHost: true}, 2},
		{"that do not say how long they last", testregistry.Auth{Scheme: testregistry.Bearer, Users: bearer.Users, HideExpiry: true}, 2},
		{"that are good for one request each", testregistry.Auth{Scheme: testregistry.Bearer, Users: bearer.Users, TokenUses: 1}, 0},
		{"by name and password in every request", testregistry.Auth{Scheme: testregistry.Basic, Users: bearer.Users}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Auth: tt.auth})
			repo := repository(t, client(t), server, "app")
			if outcome, err := repo.PutBlob(t.Context(), made(raw)); outcome != content.Stored || err != nil {
				t.Fatal(outcome, err)
			}
			var g errgroup.Group
			if tt.auth.TokenUses > 0 {
				g.SetLimit(1)
			}
			for range 20 {
				g.Go(func() error {
					_, err := readAll(t.Context(), repo, raw, content.Range{})
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			if n := server.Count(testregistry.Is("", testregistry.KindToken)); tt.tokens != 0 && n != tt.tokens {
				t.Errorf("%d tokens, want %d: one to read and one to write", n, tt.tokens)
			}
		})
	}
}

func TestCredentialsThatAreWrongAreSaidSo(t *testing.T) {
	for _, auth := range []testregistry.Auth{bearer, {Scheme: testregistry.Basic, Users: bearer.Users}} {
		server := testregistry.Start(t, testregistry.Config{Auth: auth})
		c := client(t)
		c.Keychain = keychain{"ann", "wrong"}
		repo := repository(t, c, server, "app")
		for range 3 {
			if _, err := repo.Manifest(t.Context(), "v1"); !errors.Is(err, content.ErrUnauthorized) {
				t.Errorf("%s: error %v, want unauthorized", auth.Scheme, err)
			}
		}
		if n := server.Count(testregistry.Is("", testregistry.KindToken)); n > 1 {
			t.Errorf("%d tokens were asked for, want one: the answer will be the same", n)
		}
	}
}

func TestARevokedTokenIsReplaced(t *testing.T) {
	raw := random(1<<20, 21)
	server := testregistry.Start(t, testregistry.Config{Auth: bearer})
	server.PutBlob("app", raw)
	repo := repository(t, client(t), server, "app")
	for range 2 {
		got, err := readAll(t.Context(), repo, raw, content.Range{})
		if err != nil || !bytes.Equal(got, raw) {
			t.Fatal(len(got), err)
		}
		server.RevokeTokens()
	}
	server.SetFaults(fault{Effect: testregistry.CutAfter, N: 1 << 19, Times: 1, Hit: server.RevokeTokens})
	if got, err := readAll(t.Context(), repo, raw, content.Range{}); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("revoked in the middle of a blob: %d bytes, %v", len(got), err)
	}
}

func TestATokenThatEndsDuringAnUploadIsReplaced(t *testing.T) {
	raw := random(8<<20, 22)
	server := testregistry.Start(t, testregistry.Config{Auth: bearer})
	repo := repository(t, client(t), server, "app")
	server.SetFaults(
		fault{Method: http.MethodPost, Kind: testregistry.KindUpload, Hit: server.RevokeTokens},
		fault{Method: http.MethodPut, Kind: testregistry.KindUpload, Effect: testregistry.ResetAfter, N: 4 << 20, Times: 1, Hit: server.RevokeTokens},
	)
	if outcome, err := repo.PutBlob(t.Context(), made(raw)); outcome != content.Stored || err != nil {
		t.Fatal(outcome, err)
	}
}

func TestTokensAreRenewedBeforeTheyEnd(t *testing.T) {
	auth := bearer
	auth.TokenLife = time.Second // renewed after 0.8
	server := testregistry.Start(t, testregistry.Config{Auth: auth})
	m := manifest(t, "one", "")
	put(server, m, "v1")
	repo := repository(t, client(t), server, "app")
	end := time.After(1300 * time.Millisecond)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := repo.Manifest(t.Context(), "v1"); err != nil {
				t.Fatal(err)
			}
			continue
		case <-end:
		}
		break
	}
	refused := func(q testregistry.Request) bool { return q.Status == http.StatusUnauthorized }
	if n := server.Count(refused); n != 1 {
		t.Errorf("%d requests were refused, want the first only", n)
	}
}

func TestOneWaiterWhoGivesUpLeavesTheOthersTheirToken(t *testing.T) {
	release := make(chan struct{})
	server := testregistry.Start(t, testregistry.Config{Auth: bearer, Faults: []fault{
		{Kind: testregistry.KindToken, Effect: testregistry.Hold, Release: release, Times: 1, Hit: func() {}},
	}})
	put(server, manifest(t, "one", ""), "v1")
	repo := repository(t, client(t), server, "app")
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error {
		if _, err := repo.Manifest(ctx, "v1"); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("the one who gave up: %w", err)
		}
		return nil
	})
	for range 5 {
		g.Go(func() error {
			defer cancel()
			_, err := repo.Manifest(t.Context(), "v1")
			return err
		})
	}
	for server.Count(testregistry.Is("", testregistry.KindToken)) == 0 {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	close(release)
	if err := g.Wait(); err != nil && !strings.Contains(err.Error(), "the one who gave up") {
		t.Error(err)
	}
}

func TestRealmsThatAreNotFollowed(t *testing.T) {
	for _, realm := range []string{
		"", "file:///etc/passwd", "unix:/x", "token", "http://ann:pw@127.0.0.1/token", "http://169.254.169.254/token",
		"http://0.0.0.0/token", "http://[::]/token", "http://[::ffff:169.254.169.254]/token", "http://example.com/token", "://",
	} {
		t.Run(realm, func(t *testing.T) {
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				asked.Add(1)
				if req.Header.Get("Authorization") != "" {
					t.Error("credentials were sent")
				}
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="x"`)
				w.WriteHeader(http.StatusUnauthorized)
			}))
			defer server.Close()
			c := client(t)
			c.Proxy = nil
			repo, err := c.Repository(strings.TrimPrefix(server.URL, "http://"), "app")
			if err != nil {
				t.Fatal(err)
			}
			_, err = repo.Manifest(t.Context(), "v1")
			if err == nil || errors.Is(err, content.ErrUnavailable) {
				t.Errorf("error %v, want a refusal", err)
			}
			if n := asked.Load(); n > 3 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// What a token server answers says nothing of whether an image is there.
func TestTokenServersSayNothingOfImages(t *testing.T) {
	for answer, want := range map[int]error{
		400: content.ErrUnauthorized, 401: content.ErrUnauthorized, 403: content.ErrDenied, 404: content.ErrUnavailable,
		405: content.ErrUnavailable, 410: content.ErrUnavailable, 418: content.ErrUnavailable, 429: content.ErrRateLimited,
	} {
		server := testregistry.Start(t, testregistry.Config{Auth: bearer})
		server.SetFaults(fault{Kind: testregistry.KindToken, Effect: testregistry.Answer, N: int64(answer)})
		_, err := repository(t, client(t), server, "app").Manifest(t.Context(), "v1")
		if !errors.Is(err, want) || errors.Is(err, content.ErrNotFound) {
			t.Errorf("%d of a token server: %v, want %v", answer, err, want)
		}
	}
}

func TestATokenThatNoHeaderCanCarryIsNone(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{Auth: bearer})
	server.SetFaults(fault{Kind: testregistry.KindToken, Effect: testregistry.Answer, N: 200, Body: `{"token":"a\r\nX: y"}`})
	_, err := repository(t, client(t), server, "app").Manifest(t.Context(), "v1")
	if err == nil || !strings.Contains(err.Error(), "the token server gave no token") {
		t.Errorf("error %v", err)
	}
	if n := len(server.Requests()); n > 3 {
		t.Errorf("%d requests", n)
	}
}

// TestEndsOfPasswordsAreHiddenToo has passwords that end in what messages are
// trimmed of.
func TestEndsOfPasswordsAreHiddenToo(t *testing.T) {
	for _, secret := range []string{"S3CR3Tpw;", "S3CR3Tpw ", "S3CR3Tpw; ", `S3CR3T"pw`, "S3CR3T'pw", "S3CR3T/&pw"} {
		for _, body := range []string{
			`{"errors":[{"code":"DENIED","message":"bad password %s"}]}`, "bad password %s", "bad password %s\n",
			"bad password " + html.EscapeString(secret), "bad password " + strings.NewReplacer(`"`, "&quot;", "'", "&#x27;").Replace(secret),
			"bad password " + strings.NewReplacer("&", "%%26", `"`, "%%22", "'", "%%27", ";", "%%3B", " ", "%%20").Replace(secret),
		} {
			quoted, err := json.Marshal(secret)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(body, "%s", strings.Trim(string(quoted), `"`))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Authorization") == "" {
					w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, strings.ReplaceAll(text, "%%", "%"))
			}))
			c := client(t)
			c.Keychain = registry.CredentialFunc(func(context.Context, string, string) (registry.Credential, error) {
				return registry.Credential{Username: "ann", Password: secret}, nil
			})
			repo, err := c.Repository(strings.TrimPrefix(server.URL, "http://"), "app")
			if err != nil {
				t.Fatal(err)
			}
			if _, err = repo.Manifest(t.Context(), "v1"); err == nil || strings.Contains(err.Error(), "S3CR3T") {
				t.Errorf("%q in %q: %v", secret, text, err)
			}
			server.Close()
		}
	}
}

func TestLoginVerifiesACredential(t *testing.T) {
	for _, tt := range []struct {
		name string
		auth testregistry.Auth
		cred registry.Credential
		want error
	}{
		{"a right one for tokens", bearer, registry.Credential{Username: "ann", Password: "secret"}, nil},
		{"a wrong one for tokens", bearer, registry.Credential{Username: "ann", Password: "x"}, content.ErrUnauthorized},
		{"a right one", testregistry.Auth{Scheme: testregistry.Basic, Users: bearer.Users}, registry.Credential{Username: "ann", Password: "secret"}, nil},
		{"a wrong one", testregistry.Auth{Scheme: testregistry.Basic, Users: bearer.Users}, registry.Credential{Username: "bob", Password: "secret"}, content.ErrUnauthorized},
		{"an identity token", testregistry.Auth{Scheme: testregistry.Bearer, RefreshTokens: map[string]string{"idt": "ann"}}, registry.Credential{IdentityToken: "idt"}, nil},
		{"a wrong identity token", testregistry.Auth{Scheme: testregistry.Bearer, RefreshTokens: map[string]string{"idt": "ann"}}, registry.Credential{IdentityToken: "x"}, content.ErrUnauthorized},
		{"an open registry", testregistry.Auth{}, registry.Credential{Username: "ann", Password: "x"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Auth: tt.auth})
			c := &registry.Client{Backoff: time.Millisecond}
			defer c.Close()
			if _, err := c.Login(t.Context(), server.Host(), tt.cred); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAnIdentityTokenIsAPasswordWhereItIsNotTakenOtherwise(t *testing.T) {
	for _, status := range []string{"400", "401", "404", "405"} {
		t.Run(status, func(t *testing.T) {
			config, err := testregistry.ParseConfig("bearer=ann:secret", "identity=ann:idt", "no-token-post="+status)
			if err != nil {
				t.Fatal(err)
			}
			server := testregistry.Start(t, config)
			c := client(t)
			for token, want := range map[string]error{"idt": nil, "x": content.ErrUnauthorized} {
				if _, err := c.Login(t.Context(), server.Host(), registry.Credential{IdentityToken: token}); !errors.Is(err, want) {
					t.Errorf("%s: error %v, want %v", token, err, want)
				}
			}
		})
	}
}

func TestCredentialsOfAHostAreAskedForByTheNameTheUserGave(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{Auth: bearer})
	put(server, manifest(t, "one", ""), "v1")
	var asked []string
	c := client(t)
	c.Hosts = func(host string) (*registry.Host, error) {
		if host == "docker.io" {
			return &registry.Host{Address: server.Host(), PlainHTTP: true}, nil
		}
		return nil, nil //nolint:nilnil // a host without settings
	}
	c.Keychain = registry.CredentialFunc(func(_ context.Context, host, _ string) (registry.Credential, error) {
		asked = append(asked, host)
		return registry.Credential{Username: "ann", Password: "secret"}, nil
	})
	for _, name := range []string{"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"} {
		repo, err := c.Repository(name, "app")
		if err != nil {
			t.Fatal(err)
		}
		if got := repo.String(); got != "docker.io/library/app" {
			t.Errorf("%s: got %s", name, got)
		}
		if _, err := repo.Manifest(t.Context(), "v1"); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	}
	if len(asked) != 1 || asked[0] != "docker.io" {
		t.Errorf("asked for %v, want docker.io once", asked)
	}
}

func TestAHelperThatFailsIsAnErrorAndNothingIsSent(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{Auth: bearer})
	c := client(t)
	c.Keychain = registry.CredentialFunc(func(context.Context, string, string) (registry.Credential, error) {
		return registry.Credential{}, errors.New("docker-credential-x: no such file")
	})
	_, err := repository(t, c, server, "app").Manifest(t.Context(), "v1")
	if !errors.Is(err, content.ErrUnauthorized) || !strings.Contains(err.Error(), "docker-credential-x") {
		t.Errorf("error %v", err)
	}
	if n := server.Count(testregistry.Is("", testregistry.KindToken)); n != 0 {
		t.Errorf("%d tokens were asked for", n)
	}
}

// Where a host shows some of what it has to everybody, a login that does not work
// keeps nobody from that, and is told where it would have been needed.
func TestWhereACredentialIsOptionalItsFailureIsToldOnlyIfTheHostRefuses(t *testing.T) {
	broken := fmt.Errorf("%w: profile dev: the session has ended", registry.ErrOptional)
	for _, tt := range []struct {
		name    string
		auth    testregistry.Auth
		refused bool
	}{
		{"tokens for everybody", testregistry.Auth{Scheme: testregistry.Bearer, Users: bearer.Users, AnonymousPull: true}, false},
		{"tokens for nobody", bearer, true},
		{"passwords", testregistry.Auth{Scheme: testregistry.Basic, Users: bearer.Users}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Auth: tt.auth})
			put(server, manifest(t, "one", ""), "v1")
			c, asked := client(t), 0
			c.Keychain = registry.CredentialFunc(func(context.Context, string, string) (registry.Credential, error) {
				asked++
				return registry.Credential{}, broken
			})
			_, err := repository(t, c, server, "app").Manifest(t.Context(), "v1")
			switch told := err != nil && strings.Contains(err.Error(), "profile dev: the session has ended"); {
			case tt.refused && (!told || !errors.Is(err, content.ErrUnauthorized)):
				t.Errorf("error %v, want what kept the credential away", err)
			case !tt.refused && err != nil:
				t.Errorf("error %v", err)
			}
			if asked > 2 {
				t.Errorf("the keychain was asked %d times", asked)
			}
		})
	}
}

func TestWhyThereIsNoCredentialIsToldOfItsRepositoryAlone(t *testing.T) {
	auth := bearer
	auth.AnonymousPull = true
	server := testregistry.Start(t, testregistry.Config{Auth: auth})
	put(server, manifest(t, "one", ""), "v1")
	c := client(t)
	c.Keychain = registry.CredentialFunc(func(_ context.Context, _, repository string) (registry.Credential, error) {
		if repository == "app" {
			return registry.Credential{}, fmt.Errorf("%w: profile dev", registry.ErrOptional)
		}
		return registry.Credential{Username: "ann", Password: "wrong"}, nil
	})
	if _, err := repository(t, c, server, "app").Manifest(t.Context(), "v1"); err != nil {
		t.Error(err)
	}
	_, err := repository(t, c, server, "other").Manifest(t.Context(), "v1")
	if !errors.Is(err, content.ErrUnauthorized) || strings.Contains(err.Error(), "profile dev") {
		t.Errorf("error %v", err)
	}
}

// Whatever fails, however loudly it is logged, no secret is in it.
