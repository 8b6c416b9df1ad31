package testregistry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

const digits = "0123456789"

// withFaults starts a registry with the blob digits and the image v1 in repository a.
func withFaults(t *testing.T, faults ...string) (*testregistry.Registry, caller) {
	t.Helper()
	config, err := testregistry.ParseConfig(faults...)
	if err != nil {
		t.Fatal(err)
	}
	r := testregistry.Start(t, config)
	r.PutBlob("a", []byte(digits))
	testimage.Single(1).PutTo(r, "a", "v1")
	return r, call(t, r)
}

var blobPath = "/v2/a/blobs/" + digest.FromString(digits).String()

func TestFaultsInAnswers(t *testing.T) {
	tests := []struct {
		fault, line, header string
		status              int
		body                string // "*" is any
		headers             []string
	}{
		{"status=503,retry-after=2", "GET " + blobPath, "", 503, "*", []string{"Retry-After: 2"}},
		{"status=404,method=HEAD,kind=blob", "HEAD " + blobPath, "", 404, "", nil},
		{"status=404,method=HEAD,kind=blob", "GET " + blobPath, "", 200, digits, nil},
		{"status=418,body=a,b", "GET /v2/", "", 418, "a,b", nil},
		{"status=500", "GET /v2/a/tags/list", "", 500, "*", nil},
		{"echo=403", "GET /v2/a/tags/list", "Authorization: Bearer abc", 403, `{"errors":[{"code":"Bearer abc","message":"you are Bearer abc and may not do this"}]}`, nil},
		{"ignore-range", "GET " + blobPath, "Range: bytes=2-3", 200, digits, []string{"Content-Range: "}},
		{"content-range=none", "GET " + blobPath, "Range: bytes=2-3", 206, "23", []string{"Content-Range: "}},
		{"content-range=shift", "GET " + blobPath, "Range: bytes=2-3", 206, "23", []string{"Content-Range: bytes 3-4/11"}},
		{"content-range=bytes 0-1/2", "GET " + blobPath, "Range: bytes=2-3", 206, "23", []string{"Content-Range: bytes 0-1/2"}},
		{"content-range=star", "GET " + blobPath, "Range: bytes=2-3", 206, "23", []string{"Content-Range: bytes 2-3/*"}},
		{"content-range=none", "GET " + blobPath, "", 200, digits, nil},
		{
			"multipart", "GET " + blobPath, "Range: bytes=2-3", 206,
			"--SPANS\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 2-3/10\r\n\r\n23\r\n--SPANS--\r\n",
			[]string{"Content-Range: ", "Content-Type: multipart/byteranges; boundary=SPANS"},
		},
		{"phantom=5", "HEAD " + strings.Replace(blobPath, "sha256:", "sha256:00", 1), "", 200, "", []string{"Content-Length: 5"}},
		{"phantom=5", "GET " + blobPath, "", 200, digits, nil},
		{"status=500,about=" + digest.FromString(digits).Encoded(), "GET " + blobPath, "", 500, "*", nil},
		{"status=500,about=0123", "GET " + blobPath, "", 200, digits, nil},
		{"status=500,about=" + testimage.Single(1).Root.Digest.Encoded(), "GET /v2/a/manifests/v1", "", 500, "*", nil},
		{"status=416", "GET " + blobPath, "Range: bytes=2-3", 416, "*", nil},
		{"flip=3", "GET " + blobPath, "", 200, "0122456789", nil},
		{"flip=3", "GET " + blobPath, "Range: bytes=2-4", 206, "224", nil},
		{"flip=3", "GET " + blobPath, "Range: bytes=4-6", 206, "456", nil},
		{"flip=99", "GET " + blobPath, "", 200, digits, nil},
		{"shorter=4", "GET " + blobPath, "", 200, "012345", []string{"Content-Length: 6"}},
		{"shorter=4,method=HEAD", "HEAD " + blobPath, "", 200, "", []string{"Content-Length: 6"}},
		{"shorter=99", "GET " + blobPath, "", 200, "", []string{"Content-Length: 0"}},
		{"longer=3", "GET " + blobPath, "", 200, digits + "   ", []string{"Content-Length: 13"}},
		{"redirect=http://other.example", "GET " + blobPath + "?x=1", "", 307, "", []string{"Location: http://other.example" + blobPath + "?x=1"}},
		{"redirect=loop", "GET " + blobPath, "", 307, "", []string{"Location: " + blobPath}},
		{"digest=none", "HEAD /v2/a/manifests/v1", "", 200, "", []string{"Docker-Content-Digest: "}},
		{"digest=wrong", "HEAD /v2/a/manifests/v1", "", 200, "", []string{"Docker-Content-Digest: " + digest.FromString("not this").String()}},
		{"digest=sha256:1", "HEAD /v2/a/manifests/v1", "", 200, "", []string{"Docker-Content-Digest: sha256:1"}},
		{"link=self", "GET /v2/a/tags/list", "", 200, "*", []string{`Link: </v2/a/tags/list>; rel="next"`}},
		{"link=http://evil", "GET /v2/a/tags/list", "", 200, "*", []string{`Link: <http://evil/v2/a/tags/list>; rel="next"`}},
		{"link=self,kind=catalog", "GET /v2/_catalog", "", 200, "*", []string{`Link: </v2/_catalog>; rel="next"`}},
		{"html", "GET /v2/a/manifests/v1", "", 200, "*", []string{"Content-Type: text/html; charset=utf-8"}},
		{"header=RateLimit-Remaining:3,header=Warning:299 - x", "GET /v2/", "", 200, "{}", []string{"RateLimit-Remaining: 3", "Warning: 299 - x"}},
		{"delay=1ns..2us,seed=3", "GET " + blobPath, "", 200, digits, nil},
		{"rate=1GiB", "GET " + blobPath, "", 200, digits, nil},
		{"reset-after=10", "GET " + blobPath, "", 200, digits, nil},
		{"status=500,repo=b*", "GET " + blobPath, "", 200, digits, nil},
		{"status=500,ref=sha512", "GET " + blobPath, "", 200, digits, nil},
		{"status=500,query=n=", "GET /v2/a/tags/list?n=2", "", 500, "*", nil},
		{"status=500,kind=token", "GET /v2/", "", 200, "{}", nil},
		{"status=500,kind=any,repo=a", "GET /v2/", "", 200, "{}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.fault+" "+strings.ReplaceAll(tt.line, blobPath, "blob")+" "+tt.header, func(t *testing.T) {
			_, c := withFaults(t, tt.fault)
			got := c.do(tt.status, tt.line, "", tt.header)
			if got.err != nil || tt.body != "*" && got.body != tt.body {
				t.Errorf("got %q, %v", got.body, got.err)
			}
			for _, h := range tt.headers {
				key, want, _ := strings.Cut(h, ": ")
				got.has(t, key, want)
			}
		})
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	_, c := withFaults(t, "status=429,retry-after=@1h")
	got, err := http.ParseTime(c.do(429, "GET /v2/", "").header.Get("Retry-After"))
	if err != nil || time.Until(got) < 50*time.Minute || time.Until(got) > time.Hour {
		t.Errorf("%v, %v", got, err)
	}
}

func TestGzipComesUnasked(t *testing.T) {
	_, c := withFaults(t, "gzip")
	got := c.do(200, "GET "+blobPath, "")
	got.has(t, "Content-Encoding", "gzip")
	zr, err := gzip.NewReader(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(zr); err != nil || string(raw) != digits {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestBrokenAnswers(t *testing.T) {
	tests := []struct {
		fault, body string
		err         error
	}{
		{"cut-after=4", "0123", io.ErrUnexpectedEOF},
		{"cut-after=0", "", io.ErrUnexpectedEOF},
		{"chunk-cut=4", "0123", io.ErrUnexpectedEOF},
		{"reset-after=4", "0123", syscall.ECONNRESET},
	}
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			r, c := withFaults(t, tt.fault+",times=1")
			got := c.do(200, "GET "+blobPath, "")
			if got.body != tt.body || !errors.Is(got.err, tt.err) {
				t.Errorf("got %q, %v", got.body, got.err)
			}
			if sent := r.BlobBytesSent(); sent != int64(len(tt.body)) {
				t.Errorf("%d bytes counted", sent)
			}
			if got := c.do(200, "GET "+blobPath, ""); got.body != digits || got.err != nil {
				t.Errorf("then %q, %v", got.body, got.err)
			}
		})
	}
	_, c := withFaults(t, "reset-after=-1")
	if _, err := c.try("GET "+blobPath, ""); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("without an answer: %v", err)
	}
	_, c = withFaults(t, "cut-after=-1")
	if _, err := c.try("GET "+blobPath, ""); !errors.Is(err, io.EOF) {
		t.Errorf("without an answer: %v", err)
	}
}

func TestResetWorksThroughTLS(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{TLS: true, Faults: []testregistry.Fault{
		{Effect: testregistry.ResetAfter, N: 4},
	}})
	r.PutBlob("a", []byte(digits))
	tr := &http.Transport{TLSClientConfig: r.ClientTLS(), ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	c := caller{t, r.URL(), &http.Client{Transport: tr}}
	if got, err := c.try("GET "+blobPath, ""); err == nil && got.err == nil {
		t.Errorf("got %q whole", got.body)
	}
}

func TestUploadFaults(t *testing.T) {
	t.Run("a reset keeps what arrived", func(t *testing.T) {
		_, c := withFaults(t, "reset-after=4,kind=upload,method=PATCH,times=1")
		at := begin(c)
		if _, err := c.try("PATCH "+at, digits); err == nil {
			t.Error("there was an answer")
		}
		c.do(204, "GET "+at, "").has(t, "Range", "0-3")
		c.do(202, "PATCH "+at, digits[4:], "Content-Range: 4-9").has(t, "Range", "0-9")
	})
	t.Run("a reset past the end loses the answer only", func(t *testing.T) {
		r, c := withFaults(t, "reset-after=1MiB,kind=upload,method=PUT")
		d := digest.FromString(hello)
		if _, err := c.try("PUT "+begin(c)+"&digest="+d.String(), hello); err == nil {
			t.Error("there was an answer")
		}
		if _, there := r.Blob("a", d); !there {
			t.Error("the blob is not there")
		}
	})
	t.Run("a chunk is kept in part", func(t *testing.T) {
		_, c := withFaults(t, "keep=3,method=PATCH,times=1")
		c.do(202, "PATCH "+begin(c), digits).has(t, "Range", "0-2")
	})
	t.Run("a session is lost", func(t *testing.T) {
		r, c := withFaults(t, "session-lost,method=PATCH")
		if got := c.do(404, "PATCH "+begin(c), digits); !strings.Contains(got.body, "BLOB_UPLOAD_UNKNOWN") {
			t.Errorf("got %s", got.body)
		}
		if r.Uploads() != 0 {
			t.Error("it is still there")
		}
	})
	t.Run("a stalled chunk is taken over", func(t *testing.T) {
		release := make(chan struct{})
		r, c := withFaults(t)
		r.SetFaults(testregistry.Fault{
			Effect: testregistry.StallAfter, N: 4, Kind: testregistry.KindUpload, Method: "PATCH", Times: 1, Release: release,
		})
		at := begin(c)
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodPatch, c.url+at, bytes.NewReader([]byte(digits)))
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error)
		go func() {
			resp, err := c.client.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			failed <- err
		}()
		for standing := ""; standing != "0-3"; { // until the four bytes are there
			standing = c.do(204, "GET "+at, "").header.Get("Range")
		}
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		c.do(202, "PATCH "+at, digits[4:]).has(t, "Range", "0-9")
		close(release)
		c.do(201, "PUT "+at+"&digest="+digest.FromString(digits).String(), "")
	})
}

func TestUploadLocations(t *testing.T) {
	tests := []struct{ fault, prefix string }{
		{"location=absolute", "http://127.0.0.1:"},
		{"location=http://other.example", "http://other.example/v2/a/blobs/uploads/"},
		{"location=plain", "http://127.0.0.1:"},
		{"location=relative", ""},
	}
	for _, tt := range tests {
		t.Run(tt.fault, func(t *testing.T) {
			_, c := withFaults(t, tt.fault)
			at := c.do(202, "POST /v2/a/blobs/uploads/", "").header.Get("Location")
			if !strings.HasPrefix(at, tt.prefix) || tt.prefix == "" && strings.Contains(at, "/") {
				t.Errorf("Location is %q", at)
			}
			if tt.prefix == "" {
				c.do(204, "GET /v2/a/blobs/uploads/"+at, "")
			}
		})
	}
}

func TestSilenceEndsWithTheRequestTheReleaseOrTheRegistry(t *testing.T) {
	for _, fault := range []testregistry.Fault{
		{Effect: testregistry.StallAfter, N: 4}, {Effect: testregistry.Hold, Kind: testregistry.KindBlob},
	} {
		t.Run(fault.String(), func(t *testing.T) {
			r, c := withFaults(t)
			hits, release := make(chan struct{}, 1), make(chan struct{})
			fault.Release, fault.Hit = release, func() { hits <- struct{}{} }
			r.SetFaults(fault)
			go func() { <-hits; close(release) }()
			if got := c.do(200, "GET "+blobPath, ""); got.body != digits || got.err != nil {
				t.Errorf("got %q, %v", got.body, got.err)
			}
			fault.Release, fault.Hit = nil, nil
			r.SetFaults(fault)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+blobPath, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.client.Do(req)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if r.Struck(0) != 1 {
				t.Errorf("struck %d times", r.Struck(0))
			}
			r.Close()
		})
	}
}

func TestEndlessBodiesEndWithTheClient(t *testing.T) {
	r, c := withFaults(t, "endless,kind=manifest")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/v2/a/manifests/v1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.CopyN(io.Discard, resp.Body, 8<<20)
	if n != 8<<20 || err != nil || resp.ContentLength != -1 {
		t.Errorf("%d bytes, %v, length %d", n, err, resp.ContentLength)
	}
	_ = resp.Body.Close()
	r.Close()
}

func TestErrorsCanBeLongToo(t *testing.T) {
	_, c := withFaults(t, "status=500,kind=ping,body=sorry", "longer=1MiB,kind=ping")
	if got := c.do(500, "GET /v2/", ""); len(got.body) != 5+1<<20 || got.err != nil {
		t.Errorf("%d bytes, %v", len(got.body), got.err)
	}
}

func TestARedirectLeadsToAFilledMirror(t *testing.T) {
	r, c := withFaults(t)
	mirror := testregistry.Start(t, testregistry.Config{})
	mirror.Fill(r)
	r.SetFaults(testregistry.Fault{Effect: testregistry.Redirect, Value: mirror.URL(), Kind: testregistry.KindBlob})
	if got := c.do(200, "GET "+c.do(307, "GET "+blobPath, "").header.Get("Location"), ""); got.body != digits {
		t.Errorf("got %q", got.body)
	}
	call(t, mirror).do(200, "GET /v2/a/manifests/v1", "")
}

func TestFaultsStrikeFromTheNthOnSoManyTimes(t *testing.T) {
	r, c := withFaults(t, "status=500,nth=2,times=2,kind=ping", "header=X-Seen:1,nth=4")
	for i, want := range []int{200, 500, 500, 200} {
		got := c.do(want, "GET /v2/", "")
		if seen := got.header.Get("X-Seen"); (seen != "") != (i == 3) {
			t.Errorf("request %d: X-Seen %q", i, seen)
		}
	}
	if r.Struck(0) != 2 || r.Requests()[1].Faults[0] != "status=500,kind=ping,nth=2,times=2" {
		t.Errorf("struck %d times, %q", r.Struck(0), r.Requests()[1].Faults)
	}
}

func TestFaultsSpareRequestsThatAreRefused(t *testing.T) {
	_, c := withFaults(t, "bearer=ann:secret", "status=500,times=1")
	c.do(401, "GET /v2/", "")
	r, c := withFaults(t, "basic=ann:secret", "status=401,times=1")
	c.do(401, "GET /v2/", "")
	c.do(401, "GET /v2/", "", asAnn)
	c.do(200, "GET /v2/", "", asAnn)
	if r.Struck(0) != 1 {
		t.Errorf("struck %d times", r.Struck(0))
	}
}
