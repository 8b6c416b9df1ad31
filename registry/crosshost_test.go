package registry_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/registry"
)

// An outcome is what becomes of a URL that a server named.
type outcome string

const (
	refused outcome = "refused"
	bare    outcome = "asked without credentials"
	trusted outcome = "asked with credentials"
)

// A lead is one kind of URL that servers name.
type lead struct {
	name  string
	from  string // who names it; "" is r.example
	path  string // of what it names
	cred  registry.Credential
	realm string // "" is at auth.example; "to" is the URL itself
	serve func(w http.ResponseWriter, req *http.Request, to string)
	do    func(ctx context.Context, r *registry.Repository, to string) error
	other map[outcome]outcome // what becomes of a trick's outcome, where it is not that
	mends bool                // http at the own host is taken for https
}

// A trick is a URL that servers name.
type trick struct {
	name string
	base string // before the path; OWN is the name of the host that names it
	want outcome
	host string // that a refusal names; "" is that of base
}

var tricks = []trick{
	{"at the very origin", "https://OWN", trusted, ""},
	{"at the origin in capitals, with its port", "HTTPS://CAPITAL:443", trusted, ""},
	{"at another port", "https://OWN:5001", bare, ""},
	{"at another host", "https://a.example", bare, ""},
	{"at its name with a dot behind", "https://OWN.", bare, ""},
	{"at another host without a scheme", "//a.example", bare, ""},
	{"at another host, which leads back", "https://a.example/back", bare, ""},
	{"in http at the own host", "http://OWN", refused, ""},
	{"in http at another host", "http://a.example", refused, ""},
	{"at a file", "file://a.example", refused, ""},
	{"with user information", "https://ann:pw@a.example", refused, "a.example"},
	{"with a header", "https://a.example\r\nX-Evil: 1", refused, "OWN"},
	{"too long", "https://a.example/" + strings.Repeat("x", 17<<10), refused, "OWN"},
	{"at another host with a user's name", "https://OWN@a.example", refused, "a.example"},
	{"at no host", "https:///x", refused, "OWN"},
	{"at an address of a cloud", "https://169.254.169.254", refused, ""},
	{"at an address of a cloud, IPv4 in IPv6", "https://[::ffff:169.254.169.254]", refused, ""},
	{"at no address", "https://0.0.0.0", refused, ""},
	{"at no address in IPv6", "https://[::]", refused, ""},
	{"at this machine", "https://127.0.0.1", refused, ""},
	{"at this machine in IPv6", "https://[::1]", refused, ""},
	{"at an address of a network", "https://10.0.0.5", refused, ""},
	{"at an address of a cloud in octal", "https://0251.0376.0251.0376", refused, ""},
	{"at an address of a cloud by NAT64", "https://[64:ff9b::a9fe:a9fe]", refused, ""},
	{"at an address of a cloud in decimal", "https://2852039166", refused, ""},
	{"at this machine by name", "https://localhost.", refused, ""},
	{"at a name that stands for an address of a cloud", "https://metadata.example", refused, ""},
	{"at a name that stands for one in IPv6", "https://metadata6.example", refused, ""},
	{"at a name that stands for this machine", "https://loopback.example", refused, ""},
	{"at a name that stands for an address of a network", "https://private.example", refused, ""},
	{"at a name that stands for one by 6to4", "https://private6.example", refused, ""},
}

var addresses = map[string]string{
	"metadata.example": "169.254.169.254", "metadata6.example": "64:ff9b::a9fe:a9fe", "loopback.example": "127.0.0.1",
	"private.example": "10.0.0.5", "private6.example": "2002:a00:5::1",
}

var (
	password = registry.Credential{Username: "ann", Password: canaryPassword}
	refresh  = registry.Credential{IdentityToken: canaryRefresh}
	layer    = random(600<<10, 77)
)

const blobs = "/v2/app/blobs/"

var leads = []lead{
	{name: "a blob", path: blobs + "x", serve: redirect("GET", blobs), do: openLayer},
	{name: "a blob that is looked for", path: blobs + "x", serve: redirect("HEAD", blobs), do: func(ctx context.Context, r *registry.Repository, _ string) error {
		_, err := r.Has(ctx, descriptorOf(layer))
		return err
	}},
	{name: "a manifest", path: "/v2/app/manifests/x", serve: redirect("GET", "/v2/app/manifests/"), do: func(ctx context.Context, r *registry.Repository, _ string) error {
		_, err := r.Manifest(ctx, "v1")
		return err
	}},
	{name: "a tag", path: "/v2/app/manifests/x", serve: redirect("HEAD", "/v2/app/manifests/"), do: func(ctx context.Context, r *registry.Repository, _ string) error {
		_, err := r.Resolve(ctx, "v1")
		return err
	}},
	{name: "a list", path: "/v2/app/tags/list", serve: redirect("GET", "/v2/app/tags/"), do: listTags},
	{name: "a next page", path: "/v2/app/tags/list", serve: nextPage, do: listTags, other: map[outcome]outcome{bare: refused}, mends: true},
	{name: "a next page of referrers", path: "/v2/app/referrers/x", serve: nextPage, do: listReferrers, other: map[outcome]outcome{bare: refused}, mends: true},
	{name: "a session in place of a mount", path: blobs + "uploads/1", serve: session(0), do: mountLayer, mends: true},
	{name: "an upload session", path: blobs + "uploads/1", serve: session(0), do: putLayer, mends: true},
	{name: "an upload session that moves", path: blobs + "uploads/1", serve: session(1), do: putLayer, mends: true},
	{name: "an upload session that moves when it is asked", path: blobs + "uploads/1", serve: session(2), do: putLayer, mends: true},
	{name: "a redirect of POST", path: blobs + "uploads/", serve: redirect("POST", blobs), do: putLayer, other: never},
	{name: "a redirect of PUT", path: blobs + "uploads/1", serve: uploadRedirect("PUT"), do: putLayer, other: never},
	{name: "a redirect of PATCH", path: blobs + "uploads/1", serve: uploadRedirect("PATCH"), do: putLayer, other: never},
	{name: "a redirect of a manifest's PUT", path: "/v2/app/manifests/x", serve: redirect("PUT", "/v2/app/manifests/"), other: never, do: func(ctx context.Context, r *registry.Repository, _ string) error {
		m, err := content.ParseManifest("", []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`), content.Limits{})
		if err != nil {
			return err
		}
		return r.PutManifest(ctx, m, "v1")
	}},
	{name: "a redirect of DELETE", path: "/v2/app/manifests/x", serve: redirect("DELETE", "/v2/app/manifests/"), other: never, do: func(ctx context.Context, r *registry.Repository, _ string) error {
		return r.DeleteManifest(ctx, descriptorOf(layer).Digest)
	}},
	{name: "a foreign layer", path: "/layer", serve: notFound, do: openForeign, other: map[outcome]outcome{trusted: bare}},
	{name: "a redirect of a foreign layer", from: "b.example", path: "/layer", serve: redirect("GET", "/start"), do: func(ctx context.Context, r *registry.Repository, _ string) error {
		return openForeign(ctx, r, "https://b.example/start")
	}, other: map[outcome]outcome{trusted: bare}},
	{name: "a token server", path: "/token", realm: "to", serve: notFound, do: openLayer, other: map[outcome]outcome{bare: trusted}},
	{name: "a token server for a refresh token", path: "/token", cred: refresh, realm: "to", serve: notFound, do: openLayer, other: map[outcome]outcome{bare: trusted}},
	{name: "a redirect of a token server", from: "auth.example", path: "/token", serve: redirect("GET", "/start"), do: openLayer},
	{name: "a redirect of a refresh token", from: "auth.example", path: "/token", cred: refresh, serve: redirect("POST", "/start"), do: openLayer, other: map[outcome]outcome{bare: refused}},
}

// never is what becomes of what is not followed, wherever it leads.
var never = map[outcome]outcome{bare: refused, trusted: refused}

func redirect(method, path string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, req *http.Request, to string) {
		if req.Method != method || !strings.HasPrefix(req.URL.Path, path) {
			notFound(w, req, to)
			return
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

func notFound(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusNotFound) }

func nextPage(w http.ResponseWriter, _ *http.Request, to string) {
	w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	w.Header().Set("Link", "<"+to+`>; rel="next"`)
	_, _ = io.WriteString(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"tags":["v1"]}`)
}

// session is a registry that takes blobs in chunks. It names where the session
// is when it opens it, takes a chunk, or is asked.
func session(when int) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, req *http.Request, to string) {
		at := []string{blobs + "uploads/1", blobs + "uploads/1", blobs + "uploads/1"}
		at[when] = to
		switch req.Method {
		case http.MethodPost:
			w.Header().Set("Location", at[0])
			w.WriteHeader(http.StatusAccepted)
		case http.MethodPatch:
			w.Header().Set("Location", at[1])
			w.WriteHeader(http.StatusAccepted)
		case http.MethodGet:
			w.Header().Set("Location", at[2])
			w.WriteHeader(http.StatusNoContent)
		case http.MethodPut:
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

func uploadRedirect(method string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, req *http.Request, to string) {
		if req.Method == method {
			redirect(method, "/")(w, req, to)
			return
		}
		session(0)(w, req, blobs+"uploads/1")
	}
}

func openLayer(ctx context.Context, r *registry.Repository, _ string) error {
	rc, err := r.Open(ctx, descriptorOf(layer), content.Range{})
	if err == nil {
		err = rc.Close()
	}
	return err
}

func openForeign(ctx context.Context, r *registry.Repository, to string) error {
	d := descriptorOf(layer)
	d.MediaType, d.URLs = content.DockerForeignLayer, []string{to}
	rc, err := r.Open(ctx, d, content.Range{})
	if err == nil {
		err = rc.Close()
	}
	return err
}

func listTags(ctx context.Context, r *registry.Repository, _ string) (err error) {
	for _, err = range r.Tags(ctx) {
		if err != nil {
			break
		}
	}
	return err
}

func putLayer(ctx context.Context, r *registry.Repository, _ string) error {
	_, err := r.PutBlob(ctx, made(layer))
	return err
}

func listReferrers(ctx context.Context, r *registry.Repository, _ string) (err error) {
	for _, err = range r.Referrers(ctx, descriptorOf(layer).Digest, "") {
		if err != nil {
			break
		}
	}
	return err
}

func mountLayer(ctx context.Context, r *registry.Repository, _ string) error {
	_, err := r.PutBlob(ctx, origin{made(layer), "r.example"})
	return err
}

// Each kind of URL that a server names, times each trick: who is asked, and who
// sees what of the password, the tokens, the configured header and the client
// certificate that are for r.example.
func TestNobodySeesCredentialsThatAreNotForThem(t *testing.T) {
	n := newInternet(t, addresses)
	own := &registry.Host{Header: http.Header{"X-Corp": {canaryHeader}}, Certificates: []tls.Certificate{issue(t, "ann")}}
	for _, l := range leads {
		for _, tr := range tricks {
			t.Run(l.name+" "+tr.name, func(t *testing.T) {
				l.check(t, n, own, tr)
			})
		}
	}
}

// named returns the URL of a trick.
func (l lead) named(tr trick) string {
	from := l.namer()
	base := strings.NewReplacer("OWN", from, "CAPITAL", strings.ToUpper(from)).Replace(tr.base)
	return base + l.path + "?led=1&sig=" + canarySigned
}

func (l lead) namer() string {
	if l.from == "" {
		return "r.example"
	}
	return l.from
}

func (l lead) outcome(tr trick) outcome {
	if strings.HasPrefix(tr.base, "http://OWN") && l.mends {
		return trusted
	}
	if strings.HasPrefix(tr.base, "//") && (strings.HasPrefix(l.name, "a token server") || l.name == "a foreign layer") {
		return refused // not absolute
	}
	if instead, differs := l.other[tr.want]; differs {
		return instead
	}
	return tr.want
}

func (l lead) check(t *testing.T, n *internet, own *registry.Host, tr trick) {
	t.Helper()
	cred := l.cred
	if cred == (registry.Credential{}) {
		cred = password
	}
	to := l.named(tr)
	n.begin(l.answers(to))
	c, out := n.client(t, cred, own)
	r, err := c.Repository("r.example", "app")
	if err != nil {
		t.Fatal(err)
	}
	err = l.do(t.Context(), r, to)
	want := l.outcome(tr)
	led := 0
	for _, v := range n.all() {
		shown := v.canaries()
		if hidden := l.notFor(v, tr, shown); len(hidden) > 0 {
			t.Errorf("%s saw %v:\n%.300s", v.origin, hidden, v.text)
		}
		if !strings.Contains(v.text, "led=1") || strings.Contains(v.text, "back=1") {
			continue
		}
		led++
		if (len(shown) > 0) != (want == trusted) {
			t.Errorf("%s saw %v, want it %s", v.origin, shown, want)
		}
	}
	if (led == 0) != (want == refused) {
		t.Errorf("%d requests there, error %v; want it %s", led, err, want)
	}
	if _, refusal := errors.AsType[*httpx.RefusedError](err); refusal != (want == refused) && !strings.HasSuffix(tr.base, "/back") {
		t.Errorf("error %v, want it %s", err, want)
	}
	if host := l.refusedHost(tr); want == refused && err != nil && !strings.Contains(err.Error(), host) {
		t.Errorf("error %v does not name %s", err, host)
	}
	checkUnseen(t, fmt.Sprintf("%s\n%v", out, err), []string{canaryPassword, canaryRefresh, canaryBearer, canaryHeader, canarySigned, "YW5uOnA0c3N3MHJk"})
}

// notFor returns what of it was not for the host that was visited: the token
// server is for what is exchanged, and what led back for nothing.
func (l lead) notFor(v visit, tr trick, shown []string) []string {
	origin := strings.ToLower(strings.TrimSuffix(v.origin, ":443"))
	exchanges := origin == "https://auth.example" || l.realm == "to" && strings.Contains(v.text, "/token?") && strings.HasPrefix(strings.ReplaceAll(tr.base, "OWN", "r.example"), v.origin)
	switch {
	case strings.Contains(v.text, "back=1"):
		return shown
	case origin == "https://r.example":
		return nil
	case exchanges:
		return slices.DeleteFunc(shown, func(s string) bool { return s == canaryPassword || s == canaryRefresh })
	}
	return shown
}

func (l lead) refusedHost(tr trick) string {
	host := tr.host
	if host == "" {
		_, host, _ = strings.Cut(tr.base, "//")
	}
	return strings.NewReplacer("OWN", l.namer(), "CAPITAL", strings.ToUpper(l.namer())).Replace(host)
}

// answers is what all hosts of the internet do: r.example wants a token of
// auth.example, whoever names a URL names to, and all others want credentials.
func (l lead) answers(to string) http.HandlerFunc {
	realm := "https://auth.example/start"
	if l.realm == "to" {
		realm = to
	}
	return func(w http.ResponseWriter, req *http.Request) {
		host := strings.ToLower(strings.TrimSuffix(req.Host, ":443"))
		led := strings.Contains(req.URL.RawQuery, "led=1")
		back := strings.HasPrefix(req.URL.Path, "/back")
		switch {
		case back || strings.Contains(req.URL.RawQuery, "back=1") && req.Method == http.MethodPatch:
			leadBack(w, req, l.namer())
		case host == l.from && !led:
			l.serve(w, req, to)
		case strings.HasSuffix(req.URL.Path, "/token"), host == "auth.example":
			_, _ = io.WriteString(w, `{"token":"`+canaryBearer+`"}`)
		case host == "r.example" && strings.Contains(req.Header.Get("Authorization"), canaryBearer):
			if led {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			l.serve(w, req, to)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="s"`)
			w.Header().Add("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

// leadBack leads to where the URL came from. An upload session goes on there.
func leadBack(w http.ResponseWriter, req *http.Request, namer string) {
	w.Header().Set("Location", "https://"+namer+strings.TrimPrefix(req.URL.Path, "/back")+"?led=1&back=1")
	switch {
	case req.Method == http.MethodPut:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case req.Method == http.MethodPatch:
		w.WriteHeader(http.StatusAccepted)
	case strings.Contains(req.URL.Path, "/uploads/"):
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}
