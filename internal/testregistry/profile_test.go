package testregistry_test

import (
	"net/http"
	"testing"

	"github.com/wherry-dev/wherry/internal/testregistry"
)

func TestProfilesAreReadFromTheirNames(t *testing.T) {
	for _, p := range testregistry.Profiles() {
		c, err := testregistry.ParseConfig("profile="+p.Name, "reset-after=1")
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		if len(c.Faults) == 0 || c.Faults[len(c.Faults)-1].Effect != testregistry.ResetAfter {
			t.Errorf("%s: the word behind it is lost", p.Name)
		}
		if _, err := p.Config(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	for _, words := range []string{"profile=nobody", "max-body=much", "null-tags=1", "identity=ann"} {
		if _, err := testregistry.ParseConfig(words); err == nil {
			t.Errorf("%s: no error", words)
		}
	}
}

func TestQuirksAreCountedWhereTheyChangeAnAnswer(t *testing.T) {
	config, err := testregistry.ParseConfig("null-tags", "must-exist")
	if err != nil {
		t.Fatal(err)
	}
	r := testregistry.Start(t, config)
	r.PutManifest("app", "v1", "application/vnd.oci.image.index.v1+json", []byte("{}"))
	for path, want := range map[string]int{"/v2/": http.StatusOK, "/v2/app/tags/list": http.StatusOK, "/v2/none/tags/list": http.StatusNotFound} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != want {
			t.Errorf("%s: status %d, error %v", path, resp.StatusCode, err)
		}
	}
	if r.Hits("null-tags") != 1 || r.Hits("must-exist") != 0 {
		t.Errorf("null-tags was hit %d times, must-exist %d", r.Hits("null-tags"), r.Hits("must-exist"))
	}
}
