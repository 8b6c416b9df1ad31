package testregistry_test

import (
	"testing"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

func TestGettingAManifestIsAPull(t *testing.T) {
	r := testregistry.Start(t, testregistry.Hub(2))
	testimage.Single(1).PutTo(r, "team/app", "v1")
	c := call(t, r)
	pull := token(t, r, "repository:team/app:pull")
	c.do(401, "GET /v2/team/app/manifests/v1", "")
	c.do(200, "HEAD /v2/team/app/manifests/v1", "", pull).has(t, "Ratelimit-Remaining", "2;w=21600")
	c.do(200, "GET /v2/team/app/manifests/v1", "", pull).has(t, "Ratelimit-Remaining", "1;w=21600")
	c.do(404, "GET /v2/team/app/manifests/v2", "", pull).has(t, "Ratelimit-Remaining", "1;w=21600")
	c.do(200, "GET /v2/team/app/manifests/v1", "", pull).has(t, "Ratelimit-Limit", "2;w=21600")
	c.do(429, "GET /v2/team/app/manifests/v1", "", pull).has(t, "Docker-Ratelimit-Source", "127.0.0.1")
	c.do(200, "HEAD /v2/team/app/manifests/v1", "", pull).has(t, "Ratelimit-Remaining", "0;w=21600")
	c.do(200, "GET /v2/team/app/tags/list", "", pull)
	if n := r.Pulls(); n != 2 {
		t.Errorf("%d pulls were counted, want 2", n)
	}
	r.NewWindow()
	c.do(200, "GET /v2/team/app/manifests/v1", "", pull)
}
