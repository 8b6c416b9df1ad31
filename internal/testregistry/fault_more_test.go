package testregistry_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/testregistry"
)

// begin opens an upload session and returns where it is.
func begin(c caller) string {
	c.t.Helper()
	return c.do(202, "POST /v2/a/blobs/uploads/", "").header.Get("Location")
}

func TestSessionsAreToldApart(t *testing.T) {
	t.Run("a session knows what it is for once it was told", func(t *testing.T) {
		d := digest.FromString(digits)
		_, c := withFaults(t, "reset-after=4,kind=upload,method=PUT,times=1,about="+d.Encoded(), "status=500,kind=upload,method=PATCH,about="+d.Encoded())
		at, other := begin(c), begin(c)
		c.do(202, "PATCH "+other, digits)
		if _, err := c.try("PUT "+at+"&digest="+d.String(), digits); err == nil {
			t.Error("there was an answer")
		}
		c.do(500, "PATCH "+at, digits[4:])
	})
	t.Run("a session that nobody told anything has a number", func(t *testing.T) {
		_, c := withFaults(t, "status=500,kind=upload,about=0123,session=2")
		c.do(202, "PATCH "+begin(c), digits)
		c.do(500, "POST /v2/a/blobs/uploads/", "")
		c.do(202, "PATCH "+begin(c), digits)
	})
}

func TestStreamsOfHTTP2EndInEveryWay(t *testing.T) {
	r := testregistry.Start(t, testregistry.Config{TLS: true})
	r.PutBlob("a", []byte(digits))
	tr := &http.Transport{TLSClientConfig: r.ClientTLS(), ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	c := caller{t, r.URL(), &http.Client{Transport: tr}}
	for _, tt := range []struct {
		fault, method, says string
		again               int // times that net/http sends it by itself
	}{
		{"stream-reset=4", "GET", "INTERNAL_ERROR", 1},
		{"stream-reset=-1", "GET", "INTERNAL_ERROR", 1},
		{"stream-refuse", "GET", "", 2},
		{"stream-refuse,kind=upload", "POST", "", 2},
		{"goaway=4", "GET", "GOAWAY", 1},
		{"goaway=4,kind=upload", "PATCH", "GOAWAY", 1},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			f, err := testregistry.ParseFault(tt.fault + ",times=1")
			if err != nil {
				t.Fatal(err)
			}
			line, body := tt.method+" "+blobPath, ""
			switch tt.method {
			case "POST":
				line = "POST /v2/a/blobs/uploads/"
			case "PATCH":
				line, body = "PATCH "+c.do(202, "POST /v2/a/blobs/uploads/", "").header.Get("Location"), digits
			}
			r.Reset()
			r.SetFaults(f)
			resp, err := c.try(line, body)
			err = errors.Join(err, resp.err)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one with %q", err, tt.says)
			}
			if n := len(r.Requests()); n != tt.again || r.Struck(0) != 1 {
				t.Errorf("%d requests, struck %d times", n, r.Struck(0))
			}
			if got := c.do(200, "GET "+blobPath, ""); got.body != digits || got.err != nil {
				t.Errorf("then %q, %v", got.body, got.err)
			}
		})
	}
}

func TestATrickleIsAByteInTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := testregistry.New(testregistry.Config{Faults: []testregistry.Fault{{Effect: testregistry.Trickle, N: 7}}})
		r.PutBlob("a", []byte(digits))
		began, w := time.Now(), httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, blobPath, http.NoBody))
		if took := time.Since(began); took != 30*time.Second || w.Body.String() != digits {
			t.Errorf("%q after %s", w.Body, took)
		}
	})
}

func TestRevokedTokensAreRefused(t *testing.T) {
	config, err := testregistry.ParseConfig("bearer=ann:secret", "revoke,kind=blob,times=1")
	if err != nil {
		t.Fatal(err)
	}
	r := testregistry.Start(t, config)
	r.PutBlob("a", []byte(digits))
	c := call(t, r)
	token := func() string {
		var answer struct{ Token string }
		body := c.do(200, "GET /token?scope=repository:a:pull", "", asAnn).body
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + answer.Token
	}
	old := token()
	c.do(200, "GET /v2/a/tags/list", "", old)
	c.do(401, "GET "+blobPath, "", old)
	c.do(401, "GET /v2/a/tags/list", "", old)
	c.do(200, "GET "+blobPath, "", token())
}

func TestCertificatesThatAreWrong(t *testing.T) {
	for _, tt := range []struct{ kind, says string }{
		{"expired", "expired"}, {"other-name", "127.0.0.1"}, {"old-tls", "protocol version"}, {"wants-client", "certificate required"},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			config, err := testregistry.ParseConfig("certificate=" + tt.kind)
			if err != nil {
				t.Fatal(err)
			}
			r := testregistry.Start(t, config)
			tr := &http.Transport{TLSClientConfig: r.ClientTLS()}
			defer tr.CloseIdleConnections()
			_, err = caller{t, r.URL(), &http.Client{Transport: tr}}.try("GET /v2/", "")
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one with %q", err, tt.says)
			}
		})
	}
	if _, err := testregistry.ParseConfig("certificate=odd"); err == nil {
		t.Error("there is no odd certificate")
	}
}
