package registry

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// The parsers of what servers say are tested from inside: no request can reach all that they must bear.

func TestContentRangeIsReadStrictly(t *testing.T) {
	for header, want := range map[string]span{
		"bytes 0-9/10": {0, 9, 10}, "bytes 5-5/10": {5, 5, 10}, "Bytes 0-0/1": {0, 0, 1},
		"": {}, "bytes 0-9/*": {}, "bytes */10": {}, "bytes 9-0/10": {}, "bytes 0-10/10": {}, "bytes=0-9/10": {}, "0-9/10": {},
		"bytes -1-9/10": {}, "bytes +0-9/10": {}, "bytes 0-9/10, 0-1/10": {}, "bytes 0-99999999999999999999/100000000000000000000": {},
	} {
		got, err := parseContentRange(header)
		if got != want || (err == nil) != (want != span{}) {
			t.Errorf("%q: %v, %v; want %v", header, got, err, want)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 0-9/10")
	f.Add("bytes 0-9/*")
	f.Fuzz(func(t *testing.T, header string) {
		got, err := parseContentRange(header)
		if err == nil && (got.first < 0 || got.last < got.first || got.total <= got.last) {
			t.Errorf("%q: %v", header, got)
		}
		if has := parseSessionRange(header); has < 0 || has == 1 {
			t.Errorf("%q: %d bytes", header, has)
		}
	})
}

func TestASessionsRangeCountsItsBytes(t *testing.T) {
	for header, want := range map[string]int64{
		"0-9": 10, "bytes=0-9": 10, "0-0": 0, "": 0, "5-9": 0, "x": 0, "0-": 0, "0-9223372036854775807": 0, " 0-1 ": 2,
	} {
		if got := parseSessionRange(header); got != want {
			t.Errorf("%q: %d, want %d", header, got, want)
		}
	}
}

func TestChallengesAreFoundAmongOthers(t *testing.T) {
	bearer := challenge{"bearer", map[string]string{"realm": "https://a.example/t", "service": "s", "scope": "repository:a:pull,push"}}
	for _, tt := range []struct {
		name    string
		headers []string
		want    challenge
	}{
		{"alone", []string{`Bearer realm="https://a.example/t",service="s",scope="repository:a:pull,push"`}, bearer},
		{"in odd case and with spaces", []string{`BEARER  Realm = "https://a.example/t" , Service=s ,SCOPE="repository:a:pull,push"`}, bearer},
		{"after another in the same header", []string{`Negotiate abc==, NTLM, Bearer realm="https://a.example/t",service="s",scope="repository:a:pull,push"`}, bearer},
		{"after another header", []string{"Negotiate", `Bearer realm="https://a.example/t",service="s",scope="repository:a:pull,push"`}, bearer},
		{"basic", []string{`Basic realm="x"`}, challenge{"basic", map[string]string{"realm": "x"}}},
		{"basic without a realm", []string{`Basic`}, challenge{"basic", map[string]string{}}},
		{"quoted quotes", []string{`Basic realm="a \"b\", c"`}, challenge{"basic", map[string]string{"realm": `a "b", c`}}},
		{"a key that stands twice", []string{`Bearer realm="https://a.example/t",realm="https://evil.example"`}, challenge{"bearer", map[string]string{"realm": "https://a.example/t"}}},
		{"bearer without a realm", []string{`Bearer service="s"`}, challenge{}},
		{"an open quote", []string{`Basic realm="x`}, challenge{"basic", map[string]string{"realm": "x"}}},
		{"nonsense", []string{`=,"`}, challenge{}},
		{"nothing", nil, challenge{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := pickChallenge(http.Header{"Www-Authenticate": tt.headers}); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func FuzzWWWAuthenticate(f *testing.F) {
	f.Add(`Bearer realm="https://a.example/t",service="s",scope="repository:a:pull,push"`)
	f.Add(`Negotiate abc==, Basic realm="a \"b\""`)
	f.Fuzz(func(t *testing.T, header string) {
		c, ok := pickChallenge(http.Header{"Www-Authenticate": {header}})
		if ok && c.scheme != "basic" && c.scheme != "bearer" {
			t.Errorf("%q: %+v", header, c)
		}
		if n := len(parseChallenges(header)); n > 16 {
			t.Errorf("%d challenges", n)
		}
	})
}

func TestTheNextLinkIsFound(t *testing.T) {
	for header, want := range map[string]string{
		`</v2/a/tags/list?last=x>; rel="next"`:                              "/v2/a/tags/list?last=x",
		`</a>;rel=next`:                                                     "/a",
		`</a>; REL="NEXT"; title="x"`:                                       "/a",
		`</p>; rel="prev", </n>; rel="next"`:                                "/n",
		`</p>; rel="prev"; title="a, <b>; rel=next", </n>; rel="last next"`: "/n",
		`</a>; rel="prev"`:                                                  "",
		`/a; rel="next"`:                                                    "",
		`</a; rel="next"`:                                                   "",
		`<>; rel="next"`:                                                    "",
		``:                                                                  "",
	} {
		if got := nextLink([]string{header}); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
}

func FuzzLink(f *testing.F) {
	f.Add(`</v2/a/tags/list?last=x>; rel="next"`)
	f.Add(`</p>; rel="prev"; title="a, <b>", </n>; rel="last next"`)
	f.Fuzz(func(t *testing.T, header string) {
		if got := nextLink([]string{header}); !strings.Contains(header, got) {
			t.Errorf("%q: %q is not in it", header, got)
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	f.Add([]byte(`{"errors":[{"code":"X","message":"y"}]}`))
	f.Add([]byte("<html>"))
	h := &host{authority: "r.example", settings: &unset}
	f.Fuzz(func(t *testing.T, body []byte) {
		resp := &http.Response{
			StatusCode: http.StatusForbidden, Body: io.NopCloser(bytes.NewReader(body)),
			Request: &http.Request{URL: &url.URL{Scheme: "https", Host: "r.example"}},
		}
		if all := h.answerError(resp).Error(); len(all) > 100+8*70+420 || strings.ContainsAny(all, "\x1b\n\r\x00\u202e") {
			t.Errorf("%q", all)
		}
	})
}

func TestFallbackTagsFollowTheSpec(t *testing.T) {
	for d, want := range map[digest.Digest]string{
		digest.Digest("sha256:" + strings.Repeat("a", 64)):  "sha256-" + strings.Repeat("a", 64),
		digest.Digest("sha512:" + strings.Repeat("b", 128)): "sha512-" + strings.Repeat("b", 64),
	} {
		if got := content.FallbackTag(d); got != want || checkRef(got) != nil {
			t.Errorf("%s: %s", d, got)
		}
	}
}

func TestNamesAreCheckedBeforeTheyBecomeURLs(t *testing.T) {
	var c Client
	for _, bad := range [][2]string{
		{"r.example", "UPPER/x"},
		{"r.example", ""},
		{"r.example", "a//b"},
		{"r.example", "a/../b"},
		{"r.example", "a___b"},
		{"r.example", "-a"},
		{"r.example", "a\nb"},
		{"r.example", strings.Repeat("a", 256)},
		{"r.example/x", "a"},
		{"r.example:99999", "a"},
		{"ann@r.example", "a"},
		{"ghсr.io", "a"},
		{"r.example?x", "a"},
		{"[::1", "a"},
		{"-r.example", "a"},
	} {
		if _, err := c.Repository(bad[0], bad[1]); err == nil || !strings.Contains(err.Error(), content.ErrInvalid.Error()) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
	for _, good := range [][2]string{
		{"r.example", "a"}, {"localhost:5000", "a/b__c/d-e.f"}, {"[::1]:5000", "a"}, {"127.0.0.1:5000", "a"}, {"", "nginx"},
	} {
		if _, err := c.Repository(good[0], good[1]); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func FuzzListings(f *testing.F) {
	f.Add([]byte(`{"next":"x","results":[{"name":"v1","digest":"sha256:x","last_updated":"2026-01-02T03:04:05Z","images":[{"os":"linux","architecture":"arm","variant":"v7","size":-1}]}]}`))
	f.Add([]byte(`{"has_additional":true,"tags":[{"name":"v1","last_modified":"Fri, 02 Jan 2026 15:04:05 -0000","size":null}]}`))
	f.Add([]byte(`[{"digest":"x","extra_attrs":{"created":"never"},"references":[{"platform":{"os":"linux"}}],"tags":[{"name":"v1"}]}]`))
	f.Add([]byte(`{"manifest":{"sha256:x":{"imageSizeBytes":"-1","timeCreatedMs":"99999999999999999","tag":["v1"]}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var said saidTags
		said.note(raw)
		all := said.tags
		for _, read := range []func([]byte) (listedPage, error){readHubPage, readQuayPage, readHarborPage} {
			if page, err := read(raw); err == nil {
				all = append(all, page.tags...)
			}
		}
		for _, tag := range all {
			if tag.Size < 0 || tag.Digest != "" && content.CheckDigest(tag.Digest) != nil {
				t.Errorf("%+v", tag)
			}
		}
	})
}
