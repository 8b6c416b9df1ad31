package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/registry"
	"github.com/wherry-dev/wherry/transfer"
)

func TestHintsAreAboutTheSchemeThatAHostSpeaks(t *testing.T) {
	tests := []struct {
		name string
		err  *registry.Error
		code int
		want string
	}{
		{
			"no TLS there", &registry.Error{URL: "https://r.test:5000/v2/", Err: tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}},
			9, "if r.test:5000 speaks http: --plain-http r.test:5000; wherry doctor r.test:5000 finds out why",
		},
		{
			"an answer in http", &registry.Error{URL: "https://r.test/v2/", Err: http.ErrSchemeMismatch},
			9, "if r.test speaks http: --plain-http r.test; wherry doctor r.test finds out why",
		},
		{
			"TLS there", &registry.Error{URL: "http://r.test:443/v2/", Status: 400, Message: "Client sent an HTTP request to an HTTPS server."},
			9, "r.test:443 speaks https; leave --plain-http out, in the configuration file too",
		},
		{"another 400", &registry.Error{URL: "http://r.test/v2/", Status: 400, Message: "no"}, 6, ""},
		{"nothing to be done", &registry.Error{URL: "http://r.test/v2/", Err: errors.New("refused")}, 9, "wherry doctor r.test finds out why"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := fmt.Errorf("r.test/app: %w", tt.err)
			if got := codeOf(t.Context(), err); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			if got := testFactory(t, nil).hint(err); got != tt.want {
				t.Errorf("hint %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAServerThatWantsAClientCertificateIsSaidTo(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	host := server.Listener.Addr().String()
	got := run(t, "digest", "--retries", "1", "--tls-skip-verify", host, host+"/app:v1")
	want := "hint: " + host + " wants a client certificate: clientCertificate and clientKey of " + host + " in "
	if got.code != 9 || !strings.Contains(got.errors, want) {
		t.Errorf("exit code %d, want 9 and %q:\n%s", got.code, want, got.errors)
	}
}

func TestAHintSaysThatItGoesOnWhereSomethingWasWritten(t *testing.T) {
	f := testFactory(t, nil)
	f.resumes = func() bool { return true }
	const again = "make room on the disk and run the same command again"
	for op, want := range map[transfer.Op]string{transfer.OpRoom: again, transfer.OpPut: again + ": it goes on from what is there"} {
		if got := f.hint(&transfer.Error{Side: transfer.Dst, Op: op, Err: content.ErrNoSpace}); got != want {
			t.Errorf("%s: %q, want %q", op, got, want)
		}
	}
}

func TestHintsAreAboutTheProxyThatIsInTheWay(t *testing.T) {
	for status, want := range map[int]string{
		407: "put a user name and a password into the proxy's URL, http://USER:PASSWORD@p.example:3128; where the proxy is set tells: wherry which r.example",
		502: "have the proxy let us through to r.example, or put that into NO_PROXY if it can be reached without; where the proxy is set tells: wherry which r.example",
	} {
		err := &registry.Error{Method: "GET", URL: "https://r.example/v2/", Err: &registry.ProxyError{Proxy: "p.example:3128", Host: "r.example:443", Status: status}}
		if got := testFactory(t, nil).hint(err); got != want {
			t.Errorf("hint %q, want %q", got, want)
		}
	}
}

func TestWhatIsRefusedSaysWhichCredentialItWas(t *testing.T) {
	refusal := &registry.Error{URL: "https://q.test/v2/a/manifests/v1", Status: http.StatusUnauthorized}
	denial := &registry.Error{URL: "https://q.test/v2/a/manifests/v1", Status: http.StatusForbidden}
	server := &registry.Error{URL: "https://auth.test/token", Status: http.StatusUnauthorized}
	const (
		file    = "/home/ann/.docker/config.json"
		login   = "wherry login q.test (some registries say so, too, where a repository does not exist)"
		refused = "q.test does not accept the credential from " + file + "; log in again with: " + login
	)
	for _, tt := range []struct {
		name string
		err  error
		from string
		want string
	}{
		{"a credential that is wrong", refusal, file, refused},
		{"none", refusal, "", "log in with: " + login},
		{
			"one that does not allow it", denial, file,
			"the credential for q.test, from " + file + ", does not allow this; it may also mean that the repository does not exist",
		},
		{"none where one is needed", denial, "", "q.test does not let everybody do this, and there is no credential for it; log in with: wherry login q.test"},
		{"one that a token server refuses for the source", &transfer.Error{Side: transfer.Src, Op: "resolve", Err: server}, file, refused},
		{"one that a token server refuses for the destination", &transfer.Error{Side: transfer.Dst, Op: "resolve", Err: server}, "", "log in with: wherry login r.test (some registries say so, too, where a repository does not exist)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := testFactory(t, nil)
			f.SrcHost, f.DstHost = "q.test", "r.test"
			f.shown.note("q.test", tt.from)
			if got := f.hint(tt.err); got != tt.want {
				t.Errorf("hint %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHintsKnowWhatSomeRegistriesRefuse(t *testing.T) {
	const ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	unknown := func(url string) *registry.Error {
		return &registry.Error{Method: http.MethodPost, URL: url, Status: 404, Codes: []string{"NAME_UNKNOWN"}}
	}
	tests := []struct {
		name string
		err  *registry.Error
		code int
		want string
	}{
		{
			"ECR makes no repository", unknown("https://" + ecr + "/v2/team/app/blobs/uploads/"),
			4, "make the repository first: aws ecr create-repository --region eu-west-1 --repository-name team/app",
		},
		{
			"nor does ECR Public", unknown("https://public.ecr.aws/v2/alias/team/app/blobs/uploads/"),
			4, "make the repository first: aws ecr-public create-repository --region us-east-1 --repository-name team/app",
		},
		{
			"nor do others", unknown("https://r.test/v2/team/app/blobs/uploads/"),
			4, "make the repository team/app first: r.test does not do it by itself",
		},
		{
			"what is read from is not made", &registry.Error{Method: http.MethodGet, URL: "https://r.test/v2/app/tags/list", Status: 404, Codes: []string{"NAME_UNKNOWN"}},
			4, "",
		},
		{
			"distribution deletes nothing by itself", &registry.Error{Method: http.MethodDelete, URL: "https://r.test/v2/app/manifests/v1", Status: 405, Codes: []string{"UNSUPPORTED"}},
			1, "deletion is switched off at r.test; distribution has it with storage.delete.enabled, REGISTRY_STORAGE_DELETE_ENABLED=true",
		},
		{
			"zot takes no docker media types", &registry.Error{Method: http.MethodPut, URL: "https://r.test/v2/app/manifests/v1", Status: 415},
			6, `r.test takes no docker media types; zot does with "compat": ["docker2s2"] in its http settings`,
		},
		{
			"Alibaba takes no attestations", &registry.Error{
				Method: http.MethodPut, URL: "https://r.test/v2/app/manifests/v1", Status: 403, Codes: []string{"DENIED"},
				Message: "unknown manifest class for application/vnd.oci.empty.v1+json",
			},
			5, "r.test takes no attestations and no other artifacts; those in the index itself are left out where the image is built without them",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := codeOf(t.Context(), tt.err); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			if got := testFactory(t, nil).hint(tt.err); got != tt.want {
				t.Errorf("hint %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAHintIsAboutTheFailureWithTheExitCode(t *testing.T) {
	missing := &registry.Error{Method: http.MethodGet, URL: "https://q.test/v2/a/manifests/v1", Repository: "a", Ref: "v1", Status: http.StatusNotFound}
	refusal := &registry.Error{URL: "https://r.test/v2/b/manifests/v1", Status: http.StatusUnauthorized}
	down := &registry.Error{URL: "https://s.test/v2/c/manifests/v1", Err: errors.New("refused")}
	const tags, login = "the tags there are: wherry tags q.test/a", "log in with: wherry login r.test (some registries say so, too, where a repository does not exist)"
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"the second", errors.Join(missing, refusal), login},
		{"the first", errors.Join(refusal, missing), login},
		{"of those that are left", &PartlyError{errors.Join(down, missing)}, tags},
		{"one that names its argument", errors.Join(about("s.test/c:v1", down), about("q.test/a:v1", missing)), tags},
		{"its argument", about("s.test/c:v1", down), "wherry doctor s.test/c:v1 finds out why"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := testFactory(t, nil).hint(tt.err); got != tt.want {
				t.Errorf("hint %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhatLooksLikeAHostIsTakenForOne(t *testing.T) {
	for arg, want := range map[string]bool{
		"localhost:5": true, "r.test:80": true, "registry:5000": true, "[::1]:5000": false,
		"nginx:1": false, "nginx:1.27": false, "nginx": false, "r.test/a:5000": false, "ubuntu:": false,
	} {
		if got := looksLikeHost(arg); got != want {
			t.Errorf("%s: %t, want %t", strings.TrimSpace(arg), got, want)
		}
	}
}
