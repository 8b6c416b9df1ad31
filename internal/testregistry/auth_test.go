package testregistry_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/testregistry"
)

const (
	asAnn    = "Authorization: Basic YW5uOnNlY3JldA==" // ann:secret
	asNobody = "Authorization: Basic YW5uOndyb25n"     // ann:wrong
)

func users() map[string]string { return map[string]string{"ann": "secret"} }

func TestBasicAccess(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{Auth: testregistry.Auth{
		Scheme: testregistry.Basic, Users: users(), AnonymousPull: true,
		Allow: func(user, repo, _ string) bool { return user == "ann" && repo == "mine" },
	}})
	d := r.PutBlob("open", []byte(hello)).String()
	c := call(t, r)
	c.do(401, "GET /v2/", "").has(t, "WWW-Authenticate", `Basic realm="test registry"`)
	c.do(401, "GET /v2/", "", asNobody)
	c.do(200, "GET /v2/", "", asAnn)
	c.do(200, "GET /v2/open/blobs/"+d, "")
	c.do(401, "GET /v2/open/blobs/"+d, "", asNobody)
	c.do(401, "POST /v2/open/blobs/uploads/", "")
	c.do(403, "POST /v2/open/blobs/uploads/", "", asAnn)
	c.do(202, "POST /v2/mine/blobs/uploads/", "", asAnn)
	if n := r.Count(func(q testregistry.Request) bool { return q.Auth == "Basic" }); n != 5 {
		t.Errorf("%d requests with credentials", n)
	}
}

// token asks the token endpoint of r.
func token(t *testing.T, r *testregistry.Registry, scope string, headers ...string) string {
	t.Helper()
	path := fmt.Sprintf("GET http://%s/token?service=testregistry&scope=%s", r.TokenHost(), url.QueryEscape(scope))
	var body struct {
		Token     string
		ExpiresIn int `json:"expires_in"`
	}
	got := call(t, r).do(200, path, "", headers...)
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || body.Token == "" || body.ExpiresIn == 0 {
		t.Fatalf("%s: %v", got.body, err)
	}
	return "Authorization: Bearer " + body.Token
}

func TestBearerTokensAreGoodForTheirScopesOnly(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{Auth: testregistry.Auth{
		Scheme: testregistry.Bearer, Users: users(), AnonymousPull: true, OwnHost: true,
	}})
	c := call(t, r)
	blob := "GET /v2/team/app/blobs/" + r.PutBlob("team/app", []byte(hello)).String()
	if r.TokenHost() == r.Host() {
		t.Error("the token endpoint has no host of its own")
	}
	realm := fmt.Sprintf(`Bearer realm="http://%s/token",service="testregistry"`, r.TokenHost())
	c.do(401, "GET /v2/", "").has(t, "WWW-Authenticate", realm)
	c.do(401, blob, "").has(t, "WWW-Authenticate", realm+`,scope="repository:team/app:pull"`)
	c.do(401, blob, "", asAnn)
	c.do(401, "DELETE /v2/team/app/manifests/v1", "").
		has(t, "WWW-Authenticate", realm+`,scope="repository:team/app:delete"`)
	c.do(401, "POST /v2/a/blobs/uploads/?mount=x&from=b", "").
		has(t, "WWW-Authenticate", realm+`,scope="repository:a:pull,push repository:b:pull"`)

	anonymous := token(t, r, "repository:team/app:pull,push")
	c.do(200, blob, "", anonymous)
	c.do(200, "GET /v2/", "", anonymous)
	c.do(401, "GET /v2/other/tags/list", "", anonymous)
	c.do(401, "POST /v2/team/app/blobs/uploads/", "", anonymous).has(t, "WWW-Authenticate",
		realm+`,scope="repository:team/app:pull,push",error="insufficient_scope"`)
	ann := token(t, r, "repository:team/app:pull,push repository:b:pull", asAnn)
	c.do(202, "POST /v2/team/app/blobs/uploads/?mount=x&from=b", "", ann)
	c.do(401, "GET /v2/_catalog", "", ann)
	c.do(200, "GET /v2/_catalog", "", token(t, r, "registry:catalog:*", asAnn))
	c.do(401, "GET http://"+r.TokenHost()+"/token", "", asNobody)
	r.RevokeTokens()
	c.do(401, blob, "", ann).has(t, "WWW-Authenticate",
		realm+`,scope="repository:team/app:pull",error="invalid_token"`)
}

func TestBearerTokensEnd(t *testing.T) {
	tests := []struct {
		name string
		auth testregistry.Auth
		uses int
	}{
		{"after some requests", testregistry.Auth{TokenUses: 2}, 2},
		{"after their life", testregistry.Auth{TokenLife: time.Nanosecond, HideExpiry: true}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.auth.Scheme, tt.auth.AnonymousPull = testregistry.Bearer, true
			r := testregistry.Start(t, testregistry.Config{Auth: tt.auth})
			c := call(t, r)
			var body struct {
				Token   string
				Expires *int `json:"expires_in"`
			}
			if err := json.Unmarshal([]byte(c.do(200, "GET /token", "").body), &body); err != nil {
				t.Fatal(err)
			}
			if (body.Expires == nil) != tt.auth.HideExpiry {
				t.Errorf("expires_in is %v", body.Expires)
			}
			for range tt.uses {
				c.do(200, "GET /v2/", "", "Authorization: Bearer "+body.Token)
			}
			c.do(401, "GET /v2/", "", "Authorization: Bearer "+body.Token)
		})
	}
}

func TestTokensByForm(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{Auth: testregistry.Auth{
		Scheme: testregistry.Bearer, Users: users(), RefreshTokens: map[string]string{"identity": "ann"},
	}})
	c, form := call(t, r), "Content-Type: application/x-www-form-urlencoded"
	c.do(200, "POST /token", "grant_type=refresh_token&refresh_token=identity&scope=repository:a:pull", form)
	c.do(200, "POST /token", "grant_type=password&username=ann&password=secret", form)
	c.do(401, "POST /token", "grant_type=refresh_token&refresh_token=other", form)
	c.do(401, "POST /token", "grant_type=password&username=ann&password=wrong", form)
	c.do(401, "POST /token", "grant_type=other", form)
	if n := r.Count(testregistry.NotToken); n != 0 {
		t.Errorf("%d requests beside those for tokens", n)
	}
}
