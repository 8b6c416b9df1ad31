package testregistry_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wherry-dev/wherry/internal/testregistry"
)

func TestFaultsAreReadFromText(t *testing.T) {
	tests := []struct {
		text string
		want testregistry.Fault
	}{
		{"reset-after=100000,times=1", testregistry.Fault{Effect: testregistry.ResetAfter, N: 100000, Times: 1}},
		{"cut-after=1MiB,repo=a/*,nth=2", testregistry.Fault{Effect: testregistry.CutAfter, N: 1 << 20, Repo: "a/*", Nth: 2}},
		{"method=get,status=429,retry-after=@4s,kind=manifest,ref=v1", testregistry.Fault{
			Effect: testregistry.Answer, N: 429, RetryAfter: "@4s", Method: "GET", Kind: testregistry.KindManifest, Ref: "v1",
		}},
		{"delay=1ms..20ms,seed=7", testregistry.Fault{
			Effect: testregistry.Delay, Min: time.Millisecond, Max: 20 * time.Millisecond, Seed: 7,
		}},
		{"delay=5ms,kind=any", testregistry.Fault{
			Effect: testregistry.Delay, Min: 5 * time.Millisecond, Max: 5 * time.Millisecond, Kind: testregistry.AnyKind,
		}},
		{"header=A:1,header=A: 2,query=n=", testregistry.Fault{Header: http.Header{"A": {"1", "2"}}, Query: "n="}},
		{"html,body=x,y=z", testregistry.Fault{Effect: testregistry.HTML, Body: "x,y=z"}},
		{"keep=0", testregistry.Fault{Effect: testregistry.Keep}},
		{"redirect=http://h:1/p", testregistry.Fault{Effect: testregistry.Redirect, Value: "http://h:1/p"}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := testregistry.ParseFault(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			again, err := testregistry.ParseFault(got.String())
			if err != nil || cmp.Diff(got, again) != "" {
				t.Errorf("%s reads as %+v, %v", got, again, err)
			}
		})
	}
}

func TestWrongFaultsAreRefused(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "no effect"},
		{"times=1", "no effect"},
		{"explode", "unknown word"},
		{"html=1", "none belongs"},
		{"html,gzip", "second effect"},
		{"link", "no value"},
		{"reset-after=many", "reset-after"},
		{"html,times=x", "times"},
		{"html,kind=thing", "unknown kind"},
		{"delay=fast", "delay"},
		{"delay=1s..slow", "delay"},
	}
	for _, tt := range tests {
		if _, err := testregistry.ParseFault(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

func TestConfigsAreReadFromWords(t *testing.T) {
	got, err := testregistry.ParseConfig("no-referrers", "page-size=2", "bearer=ann:se:cret", "token-uses=3", "token-life=1m",
		"anonymous-pull", "chunk-max=4MiB", "realm=http://evil/token", "html,times=1", "gzip")
	if err != nil {
		t.Fatal(err)
	}
	want := testregistry.Config{
		NoReferrers: true, PageSize: 2, ChunkMax: 4 << 20,
		Auth: testregistry.Auth{
			Scheme: testregistry.Bearer, Users: map[string]string{"ann": "se:cret"}, TokenUses: 3, TokenLife: time.Minute,
			AnonymousPull: true, Realm: "http://evil/token",
		},
		Faults: []testregistry.Fault{{Effect: testregistry.HTML, Times: 1}, {Effect: testregistry.Gzip}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, wrong := range []string{"page-size=x", "basic=ann", "token-life=x", "nonsense"} {
		if _, err := testregistry.ParseConfig(wrong); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}
