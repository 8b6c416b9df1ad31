package cli

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

// putConfig puts an image without layers into repository app, under tag v1.
func putConfig(r *testregistry.Registry, config string) {
	d := r.PutBlob("app", []byte(config))
	m := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]}`, d, len(config))
	r.PutManifest("app", "v1", "application/vnd.oci.image.manifest.v1+json", []byte(m))
}

func TestAnImageOfNoTimeCanBeLookedAt(t *testing.T) {
	tests := []struct{ name, created, shown, warning string }{
		{"a time", `"2024-02-29T12:00:00+02:00"`, "2024-02-29T10:00:00Z", ""},
		{"the first of all times", `"0001-01-01T00:00:00Z"`, "0001-01-01T00:00:00Z", ""},
		{"null", `null`, "", ""},
		{"a word", `"nonsense"`, "", `created "nonsense", which is no time`},
		{"nothing", `""`, "", `created "", which is no time`},
		{"a number", `5`, "", "created 5, which is no time"},
		{"a list", `[1]`, "", "created [1], which is no time"},
		{"no day of the calendar", `"2024-13-45T99:00:00Z"`, "", "which is no time"},
		{"a year of five digits", `"9999-12-31T23:59:59-23:00"`, "", "which is no time"},
		{"a year before all", `"0000-01-01T00:00:00+23:00"`, "", "which is no time"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := testregistry.Start(t, testregistry.Config{})
			putConfig(r, `{"architecture":"amd64","os":"linux","created":`+tt.created+`,"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created":`+tt.created+`}]}`)
			got := run(t, "inspect", r.Host()+"/app:v1")
			if got.code != 0 || !strings.Contains(got.out, "linux/amd64") {
				t.Fatalf("exit code %d, %s%s", got.code, got.out, got.errors)
			}
			if shown := strings.Contains(got.out, "Created:"); shown != (tt.shown != "") || !strings.Contains(got.out, tt.shown) {
				t.Errorf("got\n%swant created %q", got.out, tt.shown)
			}
			if got.errors == "" != (tt.warning == "") || !strings.Contains(got.errors, tt.warning) {
				t.Errorf("warning %q, want %q", got.errors, tt.warning)
			}
			checkSchema(t, "inspect", run(t, "inspect", "--json", r.Host()+"/app:v1").out)
		})
	}
}

// Nothing is answered before all is asked: who asks one thing after the other waits
// for ever.
func TestAnImageIsSeenInTwoRoundTrips(t *testing.T) {
	for _, config := range []testregistry.Config{{}, {NoReferrers: true}} {
		r := testregistry.Start(t, config)
		testimage.Single(1).PutTo(r, "app", "v1")
		all := make(chan struct{})
		var asked atomic.Int32
		r.SetFaults(testregistry.Fault{Kind: testregistry.AnyKind, Nth: 2, Effect: testregistry.Hold, Release: all, Hit: func() {
			if asked.Add(1) == mostRequests-1 {
				close(all)
			}
		}})
		got := run(t, "inspect", "--stall-timeout", "5s", "--retries", "1", r.Host()+"/app:v1")
		if got.code != 0 || got.errors != "" || len(r.Requests()) != mostRequests {
			t.Errorf("exit code %d after %d requests, %s", got.code, len(r.Requests()), got.errors)
		}
	}
}

func TestWhatRefersToAnImageMayFail(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{Faults: []testregistry.Fault{
		{Kind: testregistry.KindReferrers, Effect: testregistry.Answer, N: http.StatusUnauthorized, Body: `{"errors":[{"code":"UNAUTHORIZED","message":"no\u001b[31m"}]}`},
		{Kind: testregistry.KindManifest, Ref: ".att", Effect: testregistry.Answer, N: http.StatusUnauthorized},
	}})
	img := testimage.WithCosign(1)
	img.PutTo(r, "app", "v1")
	got := run(t, "inspect", "--platform", "linux/amd64", r.Host()+"/app:v1")
	if got.code != 0 || !strings.Contains(got.out, "1 signature, and what is not known") {
		t.Errorf("exit code %d:\n%s", got.code, got.out)
	}
	if !strings.HasPrefix(got.errors, "wherry: warning: what refers to it is not all known: ") || strings.Count(got.errors, "\n") != 1 || !strings.Contains(got.errors, `401`) {
		t.Errorf("warns %q", got.errors)
	}
}

func TestAnIndexWithoutAnImageForThisMachineIsShown(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	testimage.IndexOf(1, "plan9/mips", "plan9/386").PutTo(r, "app", "v1")
	got := run(t, "inspect", r.Host()+"/app:v1")
	if got.code != 0 || got.errors != "" || !strings.Contains(got.out, "none of ") || !strings.Contains(got.out, "plan9/mips") {
		t.Errorf("exit code %d, %s%s", got.code, got.out, got.errors)
	}
	if got := run(t, "inspect", "--platform", "linux/amd64", r.Host()+"/app:v1"); got.code != exitNotFound || got.out != "" {
		t.Errorf("exit code %d, %s", got.code, got.out)
	}
}
