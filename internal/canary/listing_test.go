package canary

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestHubsOwnAPISeesNoCredential asks Docker Hub's own API, which is at another host than its registry: whatever is
// known for either, it is asked by nobody.
func TestHubsOwnAPISeesNoCredential(t *testing.T) {
	f := failure{name: "Docker Hub's own API", registry: withBearer, storage: func(_ *world, rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"results": [{"name": "v1", "last_updated": "2026-01-02T03:04:05Z", "star_count": 1}]}`) // whoever has gone reads nothing
	}}
	w := newWorld(t, f)
	image.PutTo(w.registry, "library/app", "v1")
	depot := strings.TrimPrefix(w.storage.URL, "http://")
	w.failure.home = map[string]string{
		credentialFile: `{"auths": {"https://index.docker.io/v1/": ` + withPassword + `, "docker.io": ` + withPassword + `, "hub.docker.com": ` + withPassword + `}}`,
		"xdg/wherry/config.yaml": "registries:\n  docker.io: {address: FROM, plainHTTP: true, headers: {X-Token: " + quote(header) + "}}\n" +
			"  hub.docker.com: {address: " + quote(depot) + ", plainHTTP: true, headers: {X-Token: " + quote(header) + "}}\n",
	}
	for _, line := range []string{"tags --long docker.io/app", "search app"} {
		for _, mode := range modes {
			w.run(verbCase{verb: strings.Fields(line)[0]}, line, mode...)
			w.mu.Lock()
			asked := len(w.seen)
			w.mu.Unlock()
			if asked != 1 {
				t.Errorf("%s %v: %d requests to the API, want 1", line, mode, asked)
			}
		}
	}
}
