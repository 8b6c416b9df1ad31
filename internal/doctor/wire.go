package doctor

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// An exchange is one request of a client and its answer, without what may be
// secret in them.
type exchange struct {
	method    string
	url       url.URL // scheme, host and path
	ranged    bool    // a span was asked for
	proven    bool    // with a credential, not with a token only
	status    int     // 0 where there was no answer
	leads     string  // host that the answer redirects to
	html      bool
	asksToken bool         // it went to the token server
	token     *tokenAnswer // what that gave
	took      time.Duration
}

// A tokenAnswer says what a token is good for.
type tokenAnswer struct {
	granted []string // as "repository:app:pull"; nil where the token does not tell
	life    time.Duration
}

// watch is put around what a client sends its requests with.
func (x *exam) watch(next http.RoundTripper) http.RoundTripper { return watcher{x, next} }

type watcher struct {
	exam *exam
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. The way to a host that the registry
// leads to is examined before that host is asked.
func (w watcher) RoundTrip(req *http.Request) (*http.Response, error) {
	x := w.exam
	e := exchange{
		method: req.Method, ranged: req.Header.Get("Range") != "",
		proven: strings.HasPrefix(req.Header.Get("Authorization"), "Basic ") || req.Method == http.MethodPost,
		url:    url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path}, asksToken: x.isTokenServer(req.URL),
	}
	if !x.leadsTo(req) {
		return nil, fmt.Errorf("%s: %w: %w", req.URL.Host, errUnreached, content.ErrUnavailable)
	}
	began := time.Now()
	resp, err := w.next.RoundTrip(req)
	e.took = time.Since(began)
	if err != nil {
		x.record(e)
		return nil, err
	}
	e.status, e.html = resp.StatusCode, isHTML(resp.Header)
	if to, err := req.URL.Parse(resp.Header.Get("Location")); err == nil && resp.Header.Get("Location") != "" {
		e.leads = to.Host
	}
	if e.asksToken && resp.StatusCode == http.StatusOK {
		if e.token, err = readToken(resp); err != nil {
			x.record(e)
			return nil, err
		}
	}
	x.record(e)
	return resp, nil
}

func (x *exam) record(e exchange) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.log = append(x.log, e)
}

// since returns the exchanges after the first n.
func (x *exam) since(n int) []exchange {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.log[n:]
}

func (x *exam) exchanged() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.log)
}

// leadsTo reports whether the host of a request can be reached, and finds that
// out where it is another than the one that is examined.
func (x *exam) leadsTo(req *http.Request) bool {
	u := &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host}
	if strings.EqualFold(u.Host, x.url().Host) {
		return true
	}
	x.mu.Lock()
	reached, known := x.seen[u.String()]
	x.mu.Unlock()
	if known {
		return reached
	}
	as := blobHost
	if x.isTokenServer(req.URL) {
		as = tokenHost
	}
	return x.reach(req.Context(), place{role: as, name: u.Host, url: u, settings: x.settingsOf(u.Host), file: x.doctor.file()})
}

// isTokenServer reports whether u is what the registry named as its token server.
func (x *exam) isTokenServer(u *url.URL) bool {
	x.mu.Lock()
	named := x.wants.Realm
	x.mu.Unlock()
	realm, err := url.Parse(named)
	return err == nil && named != "" && httpx.SameOrigin(realm, u) && realm.Path == u.Path
}

func isHTML(h http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && mediaType == "text/html"
}

// maxToken is more than any token server answers.
const maxToken = 64 << 10

// readToken reads what a token is good for and gives the answer back as it was.
func readToken(resp *http.Response) (*tokenAnswer, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxToken))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	return parseToken(raw), nil
}

// parseToken reads the answer of a token server, nil where that is none.
// https://distribution.github.io/distribution/spec/auth/token/
func parseToken(raw []byte) *tokenAnswer {
	var wire struct {
		Token   string  `json:"token"`
		Access  string  `json:"access_token"`
		Expires float64 `json:"expires_in"`
	}
	if json.Unmarshal(raw, &wire) != nil || wire.Token == "" && wire.Access == "" {
		return nil
	}
	if wire.Token == "" {
		wire.Token = wire.Access
	}
	a := &tokenAnswer{granted: grantedBy(wire.Token), life: time.Duration(wire.Expires * float64(time.Second))}
	if a.life <= 0 {
		a.life = time.Minute // what the specification says of servers that say nothing
	}
	return a
}

// grantedBy returns what a token of the kind that distribution describes allows,
// nil for one of another kind.
// https://distribution.github.io/distribution/spec/auth/jwt/
func grantedBy(token string) []string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims struct {
		Access *[]struct {
			Type    string   `json:"type"`
			Name    string   `json:"name"`
			Actions []string `json:"actions"`
		} `json:"access"`
	}
	if json.Unmarshal(raw, &claims) != nil || claims.Access == nil {
		return nil
	}
	granted := []string{}
	for _, a := range *claims.Access {
		if len(a.Actions) > 0 {
			granted = append(granted, a.Type+":"+a.Name+":"+strings.Join(a.Actions, ","))
		}
	}
	return granted
}
