package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// byRepository is a keychain of one name and password for each repository.
type byRepository struct {
	creds map[string]registry.Credential

	mu    sync.Mutex
	asked []string
}

func (k *byRepository) find(_ context.Context, _, repository string) (registry.Credential, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, repository)
	return k.creds[repository], nil
}

// ownRepositories has a user for each repository, who may do nothing in others but
// pull what is anybody's.
func ownRepositories(scheme testregistry.Scheme) testregistry.Auth {
	return testregistry.Auth{
		Scheme: scheme, Users: map[string]string{"ann": "a", "bob": "b"},
		Allow: func(user, repo, _ string) bool {
			return map[string]string{"team/ann": "ann", "team/bob": "bob"}[repo] == user && user != ""
		},
	}
}

func ownKeychain() *byRepository {
	return &byRepository{creds: map[string]registry.Credential{
		"team/ann": {Username: "ann", Password: "a"}, "team/bob": {Username: "bob", Password: "b"},
	}}
}

func TestRepositoriesOfOneHostHaveCredentialsOfTheirOwn(t *testing.T) {
	for _, scheme := range []testregistry.Scheme{testregistry.Basic, testregistry.Bearer} {
		t.Run(string(scheme), func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Auth: ownRepositories(scheme)})
			c, k := client(t), ownKeychain()
			c.Keychain = registry.CredentialFunc(k.find)
			var g errgroup.Group
			for _, name := range []string{"team/ann", "team/bob"} {
				repo := repository(t, c, server, name)
				for i := range 10 {
					g.Go(func() error {
						_, err := repo.PutBlob(t.Context(), made(random(1000, uint64(100+i))))
						return err
					})
				}
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			slices.Sort(k.asked)
			if !slices.Equal(k.asked, []string{"team/ann", "team/bob"}) {
				t.Errorf("the keychain was asked for %q, want each repository once", k.asked)
			}
		})
	}
}

func TestABlobThatSomebodyElseMayReadIsSent(t *testing.T) {
	blobs := [][]byte{random(1000, 130), random(1000, 132), random(1000, 133)}
	for _, scheme := range []testregistry.Scheme{testregistry.Basic, testregistry.Bearer} {
		t.Run(string(scheme), func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Auth: ownRepositories(scheme)})
			c := client(t)
			c.Keychain = registry.CredentialFunc(ownKeychain().find)
			from, to := repository(t, c, server, "team/ann"), repository(t, c, server, "team/bob")
			for _, raw := range blobs {
				server.PutBlob("team/ann", raw)
				got, err := to.PutBlob(t.Context(), content.NewBlob(from, descriptorOf(raw)))
				if got != content.Stored || err != nil {
					t.Errorf("%v, %v; want stored: bob may not mount what is ann's", got, err)
				}
			}
			mounts := map[string]bool{}
			for _, q := range server.Requests() {
				if query, err := url.ParseQuery(q.Query); err == nil && query.Get("mount") != "" {
					mounts[query.Get("mount")] = true
				}
			}
			if len(mounts) != 1 {
				t.Errorf("%d blobs were to be mounted, want the first only: the answer will be the same", len(mounts))
			}
		})
	}
}

func TestAPasswordThatEndedIsAskedForAgain(t *testing.T) {
	users := map[string]string{"one": "1", "two": "2"}
	server := testregistry.Start(t, testregistry.Config{Auth: testregistry.Auth{Scheme: testregistry.Bearer, Users: users}})
	put(server, manifest(t, "one", ""), "v1")
	given, asked := []registry.Credential{{Username: "one", Password: "1"}, {Username: "two", Password: "2"}}, 0
	c := client(t)
	c.Keychain = registry.CredentialFunc(func(context.Context, string, string) (registry.Credential, error) {
		asked++
		return given[min(asked, len(given))-1], nil
	})
	repo := repository(t, c, server, "app")
	read := func() error {
		_, err := repo.Manifest(t.Context(), "v1")
		return err
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	// From here on the token server takes the first password no more.
	server.RevokeTokens()
	server.SetFaults(fault{Kind: testregistry.KindToken, Effect: testregistry.Answer, N: http.StatusUnauthorized, Times: 1})
	if err := read(); err != nil || asked != 2 {
		t.Errorf("the keychain was asked %d times, want twice; %v", asked, err)
	}
	// One that gives the same again is believed.
	server.RevokeTokens()
	server.SetFaults(fault{Kind: testregistry.KindToken, Effect: testregistry.Answer, N: http.StatusUnauthorized})
	if err := read(); !errors.Is(err, content.ErrUnauthorized) || asked != 3 {
		t.Errorf("error %v after the keychain was asked %d times, want unauthorized after three", err, asked)
	}
}

func TestATokenIsForWhatIsDoneAndNoMore(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{Auth: bearer})
	m := manifest(t, "one", "")
	put(server, m, "v1")
	c := client(t)
	repo := repository(t, c, server, "app")
	scopes := func() (all []string) {
		for _, q := range server.Requests() {
			if q.Kind != testregistry.KindToken {
				continue
			}
			query, err := url.ParseQuery(q.Query)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, strings.Join(query["scope"], " "))
		}
		return all
	}
	if _, err := repo.Manifest(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.PutBlob(t.Context(), made(random(1000, 131))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Login(t.Context(), server.Host(), registry.Credential{Username: "ann", Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	if got, want := scopes(), []string{"repository:app:pull", "repository:app:pull,push", ""}; !slices.Equal(got, want) {
		t.Errorf("tokens were asked for %q, want %q", got, want)
	}
}

func TestWhatEverybodyMayReadIsReadByNobody(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{Auth: testregistry.Auth{Scheme: testregistry.Basic, Users: bearer.Users, AnonymousPull: true}})
	put(server, manifest(t, "one", ""), "v1")
	c := client(t)
	c.Keychain = registry.CredentialFunc(func(context.Context, string, string) (registry.Credential, error) {
		t.Error("the keychain was asked")
		return registry.Credential{}, nil
	})
	if _, err := repository(t, c, server, "app").Manifest(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
}

func TestLoginReturnsTheIdentityTokenThatItIsGiven(t *testing.T) {
	cred := registry.Credential{Username: "ann", Password: "secret"}
	for _, tt := range []struct {
		name  string
		auth  testregistry.Auth
		keeps bool // the password
	}{
		{"by a token server that gives some", testregistry.Auth{Scheme: testregistry.Bearer, Users: bearer.Users, Offline: true}, false},
		{"by one at a host of its own", testregistry.Auth{Scheme: testregistry.Bearer, Users: bearer.Users, Offline: true, OwnHost: true}, false},
		{"by one that gives none", bearer, true},
		{"without a token server", testregistry.Auth{Scheme: testregistry.Basic, Users: bearer.Users}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Auth: tt.auth})
			put(server, manifest(t, "one", ""), "v1")
			c := client(t)
			got, err := c.Login(t.Context(), server.Host(), cred)
			if err != nil {
				t.Fatal(err)
			}
			if got.Username != "ann" || tt.keeps != (got == cred) || tt.keeps == (got.IdentityToken != "") {
				t.Errorf("the password is kept: %v, an identity token: %v", got.Password != "", got.IdentityToken != "")
			}
			c.Keychain = registry.CredentialFunc(func(context.Context, string, string) (registry.Credential, error) { return got, nil })
			if _, err := repository(t, c, server, "app").Manifest(t.Context(), "v1"); err != nil {
				t.Errorf("what login returned: %v", err)
			}
		})
	}
}

// A mint is a registry with a token server that counts the tokens it gave, under
// the clock of the test: no connection is made.
type mint struct {
	life    map[string]any // what the answers say of it
	given   int
	refused int
	last    string // what the last request had
	client  *registry.Client
}

// RoundTrip implements [http.RoundTripper].
func (m *mint) RoundTrip(req *http.Request) (*http.Response, error) {
	status, body, header := http.StatusOK, map[string]any{"tags": []string{"v1"}}, http.Header{}
	switch auth := req.Header.Get("Authorization"); {
	case req.URL.Path == "/token":
		m.given++
		body = map[string]any{"token": "t" + string(rune('0'+m.given))}
		maps.Copy(body, m.life)
	case auth == "":
		m.refused++
		status = http.StatusUnauthorized
		header.Set("WWW-Authenticate", `Bearer realm="https://r.example/token",service="r.example"`)
	default:
		m.last = auth
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(string(raw))), ContentLength: int64(len(raw)), Request: req,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

func TestTokensLastAsLongAsTheySay(t *testing.T) {
	for _, tt := range []struct {
		name string
		life map[string]any
		good time.Duration // for which the first one is used
	}{
		{"a minute where they do not say", nil, 50 * time.Second},
		{"a minute where they say nothing that can be", map[string]any{"expires_in": -1}, 50 * time.Second},
		{"until shortly before five minutes", map[string]any{"expires_in": 300}, 290 * time.Second},
		{"four fifths of a short life", map[string]any{"expires_in": 20}, 16 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &mint{life: tt.life}
				m.checkAfter(t, 0, "Bearer t1")
				m.checkAfter(t, tt.good-time.Second, "Bearer t1")
				m.checkAfter(t, 2*time.Second, "Bearer t2")
				if m.refused != 1 {
					t.Errorf("%d requests were refused, want the first only", m.refused)
				}
			})
		})
	}
}

// checkAfter waits, asks for something, and looks what that was asked with.
func (m *mint) checkAfter(t *testing.T, wait time.Duration, want string) {
	t.Helper()
	if m.client == nil {
		m.client = &registry.Client{Watch: func(http.RoundTripper) http.RoundTripper { return m }}
	}
	repo, err := m.client.Repository("r.example", "app")
	if err != nil {
		t.Fatal(err)
	}
	after := time.NewTimer(wait)
	<-after.C
	for _, err := range repo.Tags(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if m.last != want {
		t.Errorf("after %s more: %s, want %s", wait, m.last, want)
	}
}
