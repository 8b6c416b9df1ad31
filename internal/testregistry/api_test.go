package testregistry_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

const hello = "hello, wherry"

func TestBlobsBelongToOneRepositoryUntilMounted(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	c, d := call(t, r), r.PutBlob("a/one", []byte(hello)).String()
	if got := c.do(200, "GET /v2/a/one/blobs/"+d, ""); got.body != hello {
		t.Errorf("got %q", got.body)
	}
	c.do(200, "HEAD /v2/a/one/blobs/"+d, "").has(t, "Content-Length", "13")
	c.do(404, "HEAD /v2/two/blobs/"+d, "")
	c.do(404, "GET /v2/two/blobs/"+d, "")
	c.do(202, "POST /v2/two/blobs/uploads/?from=three&mount="+d, "")
	made := c.do(201, "POST /v2/two/blobs/uploads/?from=a/one&mount="+d, "")
	made.has(t, "Docker-Content-Digest", d)
	c.do(200, "GET "+made.header.Get("Location"), "")
}

func TestBlobRanges(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	c, path := call(t, r), "GET /v2/a/blobs/"+r.PutBlob("a", []byte("0123456789")).String()
	tests := []struct {
		header, body, contentRange string
		status                     int
	}{
		{"bytes=0-3", "0123", "bytes 0-3/10", 206},
		{"bytes=7-", "789", "bytes 7-9/10", 206},
		{"bytes=8-99", "89", "bytes 8-9/10", 206},
		{"bytes=-2", "89", "bytes 8-9/10", 206},
		{"bytes=-99", "0123456789", "bytes 0-9/10", 206},
		{"bytes=5-4", "0123456789", "", 200},
		{"bytes=0-1,3-4", "0123456789", "", 200},
		{"items=0-1", "0123456789", "", 200},
		{"bytes=x-", "0123456789", "", 200},
	}
	for _, tt := range tests {
		got := c.do(tt.status, path, "", "Range: "+tt.header)
		got.has(t, "Content-Range", tt.contentRange)
		if got.body != tt.body {
			t.Errorf("%s: got %q", tt.header, got.body)
		}
	}
	c.do(416, path, "", "Range: bytes=10-").has(t, "Content-Range", "bytes */10")
	c.do(416, "GET /v2/a/blobs/"+r.PutBlob("a", nil).String(), "", "Range: bytes=0-")
}

func TestUploadSessionKeepsItsPlace(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	c := call(t, r)
	at := c.do(202, "POST /v2/a/blobs/uploads/", "").header.Get("Location")
	c.do(202, "PATCH "+at, "hello, ", "Content-Range: 0-6").has(t, "Range", "0-6")
	c.do(416, "PATCH "+at, "herry", "Content-Range: 8-12").has(t, "Range", "0-6")
	c.do(400, "PATCH "+at, "wherry", "Content-Range: 7-99")
	c.do(400, "PATCH "+at, "wherry", "Content-Range: seven")
	c.do(204, "GET "+at, "").has(t, "Range", "0-6")
	bare, _, _ := strings.Cut(at, "?")
	c.do(400, "GET "+bare, "")
	c.do(404, "GET "+strings.Replace(at, "/a/", "/b/", 1), "")
	d := digest.FromString(hello)
	made := c.do(201, "PUT "+at+"&digest="+d.String(), "wherry", "Content-Range: 7-12")
	made.has(t, "Docker-Content-Digest", d.String())
	made.has(t, "Location", "/v2/a/blobs/"+d.String())
	c.do(404, "GET "+at, "")
	if got, _ := r.Blob("a", d); string(got) != hello {
		t.Errorf("stored %q", got)
	}
	if r.Uploads() != 0 {
		t.Errorf("%d sessions are open", r.Uploads())
	}
}

func TestUploadsInOneStep(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	strict := testregistry.Start(t, testregistry.Config{NoSinglePost: true})
	d := digest.SHA512.FromString(hello).String()
	call(t, r).do(201, "POST /v2/a/blobs/uploads/?digest="+d, hello).has(t, "Docker-Content-Digest", d)
	call(t, r).do(200, "GET /v2/a/blobs/"+d, "")
	call(t, r).do(400, "POST /v2/a/blobs/uploads/?digest="+d, "other")
	call(t, r).do(400, "POST /v2/a/blobs/uploads/?digest=sha256:12", "other")
	at := call(t, strict).do(202, "POST /v2/a/blobs/uploads/?digest="+d, hello).header.Get("Location")
	call(t, strict).do(400, "PUT "+at+"&digest="+d, "wrong")
	at = call(t, strict).do(202, "POST /v2/a/blobs/uploads/", "").header.Get("Location")
	call(t, strict).do(204, "DELETE "+at, "")
	call(t, strict).do(404, "GET "+at, "")
}

func TestChunkLimitsAreEnforced(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{ChunkMin: 4, ChunkMax: 8})
	c := call(t, r)
	started := c.do(202, "POST /v2/a/blobs/uploads/", "")
	started.has(t, "OCI-Chunk-Min-Length", "4")
	at := started.header.Get("Location")
	c.do(413, "PATCH "+at, "123456789")
	c.do(202, "PATCH "+at, "1234")
	c.do(202, "PATCH "+at, "56")
	c.do(400, "PATCH "+at, "7890")
	c.do(201, "PUT "+at+"&digest="+digest.FromString("123456").String(), "")
}

func TestManifestsAreCheckedAndKeptByteForByte(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{MaxManifest: 2000})
	loose := testregistry.Start(t, testregistry.Config{AllowMissing: true})
	c, m := call(t, r), testimage.Single(1)
	content, root := string(m.Manifests[m.Root.Digest].Bytes), m.Root.Digest.String()
	oci := "Content-Type: " + ocispec.MediaTypeImageManifest
	if got := c.do(400, "PUT /v2/a/manifests/v1", content, oci); !strings.Contains(got.body, "MANIFEST_BLOB_UNKNOWN") {
		t.Errorf("got %s", got.body)
	}
	call(t, loose).do(201, "PUT /v2/a/manifests/v1", content, oci)
	for d, b := range m.Blobs {
		r.PutBlobAs("a", d, b)
	}
	c.do(201, "PUT /v2/a/manifests/v1", content, oci).has(t, "Docker-Content-Digest", root)
	c.do(413, "PUT /v2/a/manifests/v1", content+strings.Repeat(" ", 2000), oci)
	c.do(400, "PUT /v2/a/manifests/v1", content, "Content-Type: "+testimage.DockerManifest)
	c.do(400, "PUT /v2/a/manifests/"+digest.FromString("x").String(), content, oci)
	c.do(400, "PUT /v2/a/manifests/.bad", content, oci)
	c.do(400, "PUT /v2/UPPER/manifests/v1", content, oci)
	long := digest.SHA512.FromString(content).String()
	tagged := c.do(201, "PUT /v2/a/manifests/"+long+"?tag=v2&tag=v3", content, oci)
	if diff := cmp.Diff([]string{"v2", "v3"}, tagged.header.Values("OCI-Tag")); diff != "" {
		t.Error(diff)
	}
	for ref, want := range map[string]string{"v1": root, root: root, "v2": long, long: long} {
		got := c.do(200, "GET /v2/a/manifests/"+ref, "")
		got.has(t, "Docker-Content-Digest", want)
		got.has(t, "Content-Type", ocispec.MediaTypeImageManifest)
		if got.body != content {
			t.Errorf("%s: other bytes", ref)
		}
		c.do(200, "HEAD /v2/a/manifests/"+ref, "").has(t, "Docker-Content-Digest", want)
	}
	c.do(200, "GET /v2/a/manifests/v1", "", "Accept: text/plain, */*;q=0.1")
	c.do(404, "GET /v2/a/manifests/v1", "", "Accept: "+testimage.DockerManifest)
	c.do(404, "GET /v2/a/manifests/v9", "")
	c.do(404, "GET /v2/nowhere/manifests/v1", "")
}

func TestDeletes(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	m := testimage.Single(1)
	m.PutTo(r, "a", "v1")
	r.Tag("a", "v2", m.Root.Digest)
	c, blob := call(t, r), m.Largest().String()
	c.do(202, "DELETE /v2/a/blobs/"+blob, "")
	c.do(404, "DELETE /v2/a/blobs/"+blob, "")
	c.do(202, "DELETE /v2/a/manifests/v1", "")
	if diff := cmp.Diff([]string{"v2"}, r.Tags("a")); diff != "" {
		t.Error(diff)
	}
	c.do(202, "DELETE /v2/a/manifests/"+m.Root.Digest.String(), "")
	c.do(404, "DELETE /v2/a/manifests/v2", "")
	if len(r.Tags("a")) != 0 {
		t.Errorf("tags %v stay", r.Tags("a"))
	}
	fixed := testregistry.Start(t, testregistry.Config{NoDelete: true})
	m.PutTo(fixed, "a", "v1")
	call(t, fixed).do(405, "DELETE /v2/a/manifests/v1", "")
	call(t, fixed).do(405, "DELETE /v2/a/blobs/"+blob, "")
}

// follow reads all pages of a list and returns each page's names.
func follow(t *testing.T, c caller, path string) [][]string {
	t.Helper()
	var pages [][]string
	for path != "" {
		got := c.do(200, "GET "+path, "")
		var list struct{ Tags, Repositories []string }
		if err := json.Unmarshal([]byte(got.body), &list); err != nil {
			t.Fatal(err)
		}
		pages = append(pages, slices.Concat(list.Tags, list.Repositories))
		link, _, _ := strings.Cut(got.header.Get("Link"), ">; rel=\"next\"")
		path = strings.TrimPrefix(link, "<")
	}
	return pages
}

func TestListsHavePages(t *testing.T) {
	small := testregistry.Start(t, testregistry.Config{PageSize: 2})
	whole := testregistry.Start(t, testregistry.Config{})
	for _, r := range []*testregistry.Registry{small, whole} {
		for _, name := range []string{"c", "a", "b", "d", "e"} {
			r.Tag("app", name, "sha256:x")
			r.PutBlob("repo/"+name, nil)
		}
	}
	tests := []struct {
		name string
		r    *testregistry.Registry
		path string
		want [][]string
	}{
		{"no limit", whole, "/v2/app/tags/list", [][]string{{"a", "b", "c", "d", "e"}}},
		{"asked for three", whole, "/v2/app/tags/list?n=3", [][]string{{"a", "b", "c"}, {"d", "e"}}},
		{"exactly all", whole, "/v2/app/tags/list?n=5", [][]string{{"a", "b", "c", "d", "e"}}},
		{"asked for none", whole, "/v2/app/tags/list?n=0", [][]string{{}}},
		{"after a name that is not there", whole, "/v2/app/tags/list?last=bb", [][]string{{"c", "d", "e"}}},
		{"server's limit", small, "/v2/app/tags/list?n=100", [][]string{{"a", "b"}, {"c", "d"}, {"e"}}},
		{"catalog", small, "/v2/_catalog", [][]string{{"app", "repo/a"}, {"repo/b", "repo/c"}, {"repo/d", "repo/e"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := follow(t, call(t, tt.r), tt.path)
			if diff := cmp.Diff(tt.want, got, cmp.Transformer("empty", func(s []string) string {
				return strings.Join(s, " ")
			})); diff != "" {
				t.Error(diff)
			}
		})
	}
	call(t, whole).do(404, "GET /v2/nowhere/tags/list", "")
	call(t, whole).do(400, "GET /v2/app/tags/list?n=x", "")
}

func TestReferrersAreFoundFilteredAndAbsent(t *testing.T) {
	m := testimage.WithReferrers(1)
	root, path := m.Root.Digest.String(), "GET /v2/a/referrers/"+m.Root.Digest.String()
	count := func(body string) int {
		var index ocispec.Index
		if err := json.Unmarshal([]byte(body), &index); err != nil {
			t.Fatal(err)
		}
		return len(index.Manifests)
	}
	r := testregistry.Start(t, testregistry.Config{})
	m.PutTo(r, "a", "v1")
	all := call(t, r).do(200, path, "")
	all.has(t, "Content-Type", ocispec.MediaTypeImageIndex)
	if count(all.body) != 2 {
		t.Errorf("got %s", all.body)
	}
	some := call(t, r).do(200, path+"?artifactType=application/vnd.example.sbom", "")
	some.has(t, "OCI-Filters-Applied", "artifactType")
	if count(some.body) != 1 {
		t.Errorf("got %s", some.body)
	}
	if got := call(t, r).do(200, "GET /v2/a/referrers/"+digest.FromString("").String(), ""); count(got.body) != 0 {
		t.Errorf("got %s", got.body)
	}
	first := m.Manifests[m.Referrers[0].Digest]
	put := "PUT /v2/a/manifests/" + m.Referrers[0].Digest.String()
	call(t, r).do(201, put, string(first.Bytes), "Content-Type: "+first.MediaType).has(t, "OCI-Subject", root)

	plain := testregistry.Start(t, testregistry.Config{NoReferrersFilter: true})
	m.PutTo(plain, "a", "v1")
	if got := call(t, plain).do(200, path+"?artifactType=x", ""); count(got.body) != 2 {
		t.Errorf("got %s", got.body)
	}
	old := testregistry.Start(t, testregistry.Config{NoReferrers: true})
	m.PutTo(old, "a", "v1")
	call(t, old).do(404, path, "")
	call(t, old).do(201, put, string(first.Bytes), "Content-Type: "+first.MediaType).has(t, "OCI-Subject", "")
}

func TestCorruptAndDeletedBlobsStayInTheirRepository(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	d := r.PutBlob("a", []byte(hello))
	r.PutBlob("b", []byte(hello))
	if !r.CorruptBlob("a", d) || r.CorruptBlob("a", digest.FromString("none")) {
		t.Error("wrong report")
	}
	a, _ := r.Blob("a", d)
	b, _ := r.Blob("b", d)
	if string(a) == hello || len(a) != len(hello) || string(b) != hello {
		t.Errorf("a has %q, b has %q", a, b)
	}
	r.DeleteBlob("b", d)
	call(t, r).do(404, "HEAD /v2/b/blobs/"+d.String(), "")
}

func TestRequestsAreCountedBeforeTheClientSeesThem(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{})
	c := call(t, r)
	for range 20 {
		r.Reset()
		d := digest.FromString(hello)
		c.do(201, "POST /v2/a/blobs/uploads/?digest="+d.String(), hello)
		c.do(206, "GET /v2/a/blobs/"+d.String(), "", "Range: bytes=1-4")
		c.do(200, "HEAD /v2/a/blobs/"+d.String(), "")
		c.do(404, "GET /v2/a/blobs/"+digest.FromString("x").String(), "")
		if r.BlobBytesReceived() != int64(len(hello)) || r.BlobBytesSent() != 4 {
			t.Fatalf("%d bytes came in, %d went out", r.BlobBytesReceived(), r.BlobBytesSent())
		}
		if n := r.Count(testregistry.Is("GET", testregistry.KindBlob)); n != 2 {
			t.Fatalf("%d GETs", n)
		}
		got := r.Requests()[1]
		want := testregistry.Request{
			Method: "GET", Kind: testregistry.KindBlob, Repo: "a", Ref: d.String(), Host: r.Host(),
			Range: "bytes=1-4", Status: 206, Sent: 4, Header: got.Header, At: got.At, Done: got.Done,
		}
		if got.At.IsZero() || got.Done.Before(got.At) {
			t.Fatalf("from %s to %s", got.At, got.Done)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
	c.do(200, "GET /v2/", "")
	c.do(404, "GET /elsewhere", "")
}
