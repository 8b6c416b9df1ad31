package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

// manifest makes an artifact's manifest; subject may be empty.
func manifest(tb testing.TB, note string, subject digest.Digest) content.Manifest {
	tb.Helper()
	empty := `{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + digest.FromString("{}").String() + `","size":2}`
	refers := ""
	if subject != "" {
		refers = fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":2}`, ocispec.MediaTypeImageManifest, subject)
	}
	raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/x.note","config":%s,"layers":[]%s,"annotations":{"note":%q}}`,
		ocispec.MediaTypeImageManifest, empty, refers, note)
	m, err := content.ParseManifest(ocispec.MediaTypeImageManifest, []byte(raw), content.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func put(server *testregistry.Registry, m content.Manifest, tag string) {
	server.PutManifest("app", tag, m.MediaType(), m.Raw())
}

func TestManifestsAreWhatWasAskedForOrAnError(t *testing.T) {
	m, other := manifest(t, "one", ""), manifest(t, "two", "")
	own := m.Digest().String()
	tests := []struct {
		name   string
		ref    string
		faults []fault
		want   error
		says   string // part of the error
		gets   int
	}{
		{"by tag", "v1", nil, nil, "", 1},
		{"by digest", own, nil, nil, "", 1},
		{"by a digest whose bytes are others", other.Digest().String(), nil, content.ErrCorrupt, own, 2},
		{"by tag, without a digest stated", "v1", []fault{{Effect: testregistry.DigestHeader, Value: "none"}}, nil, "", 1},
		{"by tag, with another digest stated", "v1", []fault{{Effect: testregistry.DigestHeader, Value: "wrong"}}, content.ErrCorrupt, "a proxy or the registry", 2},
		{"by tag, with a wrong byte once", "v1", []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Flip, N: 20, Times: 1}}, nil, "", 2},
		{"by digest, with a wrong byte once", own, []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Flip, N: 20, Times: 1}}, nil, "", 2},
		{"by digest, with a wrong byte always", own, []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Flip, N: 20}}, content.ErrCorrupt, own, 2},
		{"by digest, with another one stated", own, []fault{{Effect: testregistry.DigestHeader, Value: "wrong"}}, nil, "", 1},
		{"by tag, with a digest that is a path", "v1", []fault{{Effect: testregistry.DigestHeader, Value: "sha256:../../x"}}, content.ErrInvalid, "Docker-Content-Digest", 1},
		{"missing", "v9", nil, content.ErrNotFound, "404 not found: MANIFEST_UNKNOWN", 1},
		{"503 twice", "v1", []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 503, Times: 2}}, nil, "", 3},
		{"a body that breaks", "v1", []fault{{Kind: testregistry.KindManifest, Effect: testregistry.CutAfter, N: 20, Times: 2}}, nil, "", 3},
		{"a body that is reset", "v1", []fault{{Kind: testregistry.KindManifest, Effect: testregistry.ResetAfter, N: 20, Times: 1}}, nil, "", 2},
		{"a web page", "v1", []fault{{Kind: testregistry.KindManifest, Effect: testregistry.HTML}}, content.ErrUnavailable, "web page", 1},
		{"over the limit", "v1", []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Longer, N: 600 << 20}}, content.ErrInvalid, "over the limit of 4194304 bytes", 1},
		{"without an end", "v1", []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Endless}}, content.ErrInvalid, "over the limit", 1},
		{"compressed by a proxy", "v1", []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Gzip}}, nil, "", 1},
		{"denied", "v1", []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 403}}, content.ErrDenied, "DENIED", 1},
		{"not a tag", "a/../b", nil, content.ErrInvalid, "grammar", 0},
		{"what seems to end its quote", `v1" is fine`, nil, content.ErrInvalid, `tag "v1\" is fine" does not fit`, 0},
		{"not a digest", "sha256:../../x", nil, content.ErrInvalid, "digest", 0},
		{"an escape sequence in the answer", "v1", []fault{
			{Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 400, Body: `{"errors":[{"code":"X\u001b[2J","message":"bell \u0007 \u202e end"}]}`},
		}, content.ErrInvalid, `X\x1b[2J: bell \a \u202e end`, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{})
			put(server, m, "v1")
			server.PutManifest("app", other.Digest().String(), m.MediaType(), m.Raw()) // a lie
			repo := repository(t, client(t), server, "app")
			if _, err := repo.Has(t.Context(), descriptorOf(nil)); err != nil { // the host has been met
				t.Fatal(err)
			}
			server.SetFaults(tt.faults...)
			got, err := repo.Manifest(t.Context(), tt.ref)
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("error %v; want %v with %q", err, tt.want, tt.says)
			}
			if err == nil && (!bytes.Equal(got.Raw(), m.Raw()) || got.MediaType() != m.MediaType()) {
				t.Errorf("got %s: %s", got.MediaType(), got.Raw())
			}
			if n := server.Count(testregistry.Is("GET", testregistry.KindManifest)); n != tt.gets {
				t.Errorf("%d requests, want %d", n, tt.gets)
			}
		})
	}
}

func TestResolvingCostsOneHead(t *testing.T) {
	m := manifest(t, "one", "")
	head := func(f fault) []fault {
		f.Method, f.Kind = http.MethodHead, testregistry.KindManifest
		return []fault{f}
	}
	tests := []struct {
		name   string
		ref    string
		faults []fault
		want   error
		asked  string // methods
	}{
		{"a tag", "v1", nil, nil, "HEAD"},
		{"a digest", m.Digest().String(), nil, nil, "HEAD"},
		{"a tag that is missing", "v9", nil, content.ErrNotFound, "HEAD"},
		{"but HEAD is not allowed", "v1", head(fault{Effect: testregistry.Answer, N: 405}), nil, "HEAD GET"},
		{"but HEAD is a bad request", "v1", head(fault{Effect: testregistry.Answer, N: 400}), nil, "HEAD GET"},
		{"but no digest is stated", "v1", []fault{{Effect: testregistry.DigestHeader, Value: "none"}}, nil, "HEAD GET"},
		{"but HEAD of a known product finds nothing", "v1", head(fault{Effect: testregistry.Answer, N: 404, Header: http.Header{"Server": {"Nexus/3.70"}}}), nil, "HEAD GET"},
		{"and another digest than asked is corrupt", m.Digest().String(), []fault{{Effect: testregistry.DigestHeader, Value: "wrong"}}, content.ErrCorrupt, "HEAD"},
		{"and denied is denied", "v1", head(fault{Effect: testregistry.Answer, N: 403}), content.ErrDenied, "HEAD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{Faults: tt.faults})
			put(server, m, "v1")
			d, err := repository(t, client(t), server, "app").Resolve(t.Context(), tt.ref)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil && (d.Digest != m.Digest() || d.Size != m.Size() || d.MediaType != m.MediaType()) {
				t.Errorf("got %+v", d)
			}
			var asked []string
			for _, q := range server.Requests() {
				asked = append(asked, q.Method)
			}
			if got := strings.Join(asked, " "); got != tt.asked {
				t.Errorf("asked %s, want %s", got, tt.asked)
			}
		})
	}
}

func TestAHostWhoseHeadWasWrongOnceIsNotBelievedAgain(t *testing.T) {
	m := manifest(t, "one", "")
	server := testregistry.Start(t, testregistry.Config{Faults: []fault{
		{Method: http.MethodHead, Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 404},
	}})
	put(server, m, "v1")
	put(server, m, "v2")
	repo := repository(t, client(t), server, "app")
	if _, err := repo.Resolve(t.Context(), "v1"); !errors.Is(err, content.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := repo.Manifest(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	if d, err := repo.Resolve(t.Context(), "v2"); err != nil || d.Digest != m.Digest() {
		t.Errorf("%v, %v", d.Digest, err)
	}
}

func TestPuttingAManifestIsCheckedOnBothSides(t *testing.T) {
	m := manifest(t, "one", "")
	twofold, err := content.ParseManifest("", []byte(`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageManifest+`",
		"config":{"mediaType":"a","digest":"`+digest.FromString("{}").String()+`","size":2},"layers":[],"layers":[]}`), content.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	const halfWritten = `{"errors":[{"code":"DIGEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN"}]}`
	const unseen = `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}`
	tests := []struct {
		name   string
		m      content.Manifest
		names  []string
		faults []fault
		want   error
		puts   int
	}{
		{"by no name", m, nil, nil, nil, 1},
		{"by its digest and two tags", m, []string{m.Digest().String(), "v1", "latest"}, nil, nil, 3},
		{"500 once", m, []string{"v1"}, []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 500, Times: 1}}, nil, 2},
		{"answer lost once", m, []string{"v1"}, []fault{{Kind: testregistry.KindManifest, Effect: testregistry.CutAfter, N: 10, Times: 1}}, nil, 2},
		{"429 once", m, []string{"v1"}, []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 429, Times: 1}}, nil, 2},
		{"a link that is half written, once", m, []string{"v1"}, []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 400, Times: 1, Body: halfWritten}}, nil, 2},
		{"a link that stays half written", m, []string{"v1"}, []fault{{Kind: testregistry.KindManifest, Effect: testregistry.Answer, N: 400, Body: halfWritten}}, content.ErrConflict, 5},
		{"blobs that are not seen yet, twice", m, []string{"v1"}, []fault{{Kind: testregistry.KindManifest, Method: "PUT", Effect: testregistry.Answer, N: 404, Times: 2, Body: unseen}}, nil, 3},
		{"blobs that are never seen", m, []string{"v1"}, []fault{{Kind: testregistry.KindManifest, Method: "PUT", Effect: testregistry.Answer, N: 404, Body: unseen}}, content.ErrConflict, 5},
		{"a blob that is missing", m, []string{"v1"}, []fault{{Kind: testregistry.KindBlob, Method: "HEAD", Effect: testregistry.Answer, N: 404}, {Kind: testregistry.KindManifest, Method: "PUT", Effect: testregistry.Answer, N: 404, Body: unseen}}, content.ErrConflict, 1},
		{"a registry that changes it", m, []string{"v1"}, []fault{{Effect: testregistry.DigestHeader, Value: "wrong"}}, content.ErrCorrupt, 1},
		{"one that can be read in two ways", twofold, []string{"v1"}, nil, content.ErrInvalid, 0},
		{"another one's digest as its name", m, []string{digest.FromString("x").String()}, nil, content.ErrCorrupt, 0},
		{"a name that is none", m, []string{"v1", "a b"}, nil, content.ErrInvalid, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{})
			server.PutBlob("app", []byte("{}"))
			repo := repository(t, client(t), server, "app")
			if _, err := repo.Has(t.Context(), descriptorOf([]byte("{}"))); err != nil {
				t.Fatal(err)
			}
			server.SetFaults(tt.faults...)
			err := repo.PutManifest(t.Context(), tt.m, tt.names...)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if n := server.Count(testregistry.Is("PUT", testregistry.KindManifest)); n != tt.puts {
				t.Errorf("%d PUTs, want %d", n, tt.puts)
			}
			for _, name := range tt.names {
				if got, there := server.Manifest("app", name); tt.want == nil && (!there || !bytes.Equal(got.Bytes, m.Raw())) {
					t.Errorf("%s is not there", name)
				}
			}
		})
	}
}

func TestAMissingBlobIsAskedForAnew(t *testing.T) {
	server := testregistry.Start(t, testregistry.Config{})
	d := server.PutBlob("app", []byte("{}"))
	repo := repository(t, client(t), server, "app")
	blob := made([]byte("{}"))
	if got, err := repo.PutBlob(t.Context(), blob); got != content.Existed || err != nil {
		t.Fatal(got, err)
	}
	server.DeleteBlob("app", d)
	m := manifest(t, "one", "")
	if err := repo.PutManifest(t.Context(), m, "v1"); !errors.Is(err, content.ErrConflict) || errors.Is(err, content.ErrNotFound) {
		t.Fatalf("error %v, want a conflict: what was named is there", err)
	}
	if got, err := repo.PutBlob(t.Context(), blob); got != content.Stored || err != nil {
		t.Fatal(got, err)
	}
	if err := repo.PutManifest(t.Context(), m, "v1"); err != nil {
		t.Error(err)
	}
}
