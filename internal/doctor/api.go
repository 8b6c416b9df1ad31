package doctor

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/registry"
)

// A ping is what came of asking for /v2/ without credentials.
type ping struct {
	err    error
	status int
	header http.Header
	leads  *url.URL // where the answer redirects to
	says   string   // the first of its body; it is looked at, never shown
	plain  bool     // asked in plain http
}

// api asks for /v2/, which any registry has, and judges what comes back. It
// reports whether it is worth going on.
func (x *exam) api(ctx context.Context) bool {
	var p ping
	ok := x.timed(func() finding {
		ctx, cancel := context.WithTimeout(ctx, x.limits.Request)
		defer cancel()
		p = x.ping(ctx)
		return judgePing(x.own(), p)
	})
	if p.header == nil {
		return ok
	}
	if x.role == registryHost {
		// The clock that matters is the one with which certificates and tokens are
		// looked at; an answer without a date says nothing of it.
		date, err := http.ParseTime(p.header.Get("Date"))
		if err != nil {
			date = time.Time{}
		}
		x.add(judgeClock(x.at.Host, x.doctor.now(), date), 0)
	}
	if !ok {
		return false
	}
	wants, found := registry.ReadChallenge(p.header)
	x.mu.Lock()
	x.wants = wants
	x.mu.Unlock()
	ok = x.add(judgeChallenge(x.at.Host, p.status, wants, found), 0)
	if !ok || !found {
		return ok
	}
	return x.credentialed(ctx)
}

func (x *exam) ping(ctx context.Context) ping {
	u := x.url()
	u.Path = strings.TrimSuffix(x.host.Path, "/") + "/"
	if x.host.Path == "" {
		u.Path = "/v2/"
	}
	p := ping{plain: u.Scheme == "http"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return ping{err: err}
	}
	maps.Copy(req.Header, x.host.Header)
	req.Header.Set("User-Agent", x.client.UserAgent)
	resp, err := x.plain.RoundTrip(req)
	if err != nil {
		p.err = err
		return p
	}
	defer resp.Body.Close()
	p.status, p.header = resp.StatusCode, resp.Header
	p.leads, _ = resp.Location() // there is none, or none that can be read
	const most = 512
	body, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // what there is of it
	p.says = strings.ToLower(string(body))
	return p
}

// judgePing is about the answer to /v2/.
func judgePing(at place, p ping) finding {
	if p.err != nil {
		return judgeSilence(at, p.err)
	}
	problem := func(c Cause, evidence, remedy string) finding {
		return wrong(HopAPI, Problem{c, at.name, evidence, remedy})
	}
	page := isHTML(p.header) || strings.HasPrefix(strings.TrimSpace(p.says), "<!doctype html") || strings.HasPrefix(strings.TrimSpace(p.says), "<html")
	switch status := statusText(p.status); {
	case p.leads != nil && p.plain && p.leads.Scheme == "https" && p.leads.Hostname() == at.url.Hostname(),
		p.status == http.StatusBadRequest && strings.Contains(p.says, "https"):
		return problem(WantsTLS, "wants https and is asked in plain http", "take plainHTTP or --plain-http away for "+at.name)
	case p.leads != nil:
		return problem(LoginPage, "redirects /v2/ to "+p.leads.Host+", which is no way to answer for a registry", loginPageRemedy)
	case p.status == http.StatusOK && page:
		return problem(LoginPage, "answers with a web page where a registry answers with JSON", loginPageRemedy)
	case p.status == http.StatusOK:
		return fine(HopAPI, at.name, "/v2/ answers, open to all")
	case p.status == http.StatusUnauthorized:
		return fine(HopAPI, at.name, "/v2/ answers, and wants to know who asks")
	case p.status == http.StatusTooManyRequests:
		return wrong(HopAPI, tooMany(at.name, p.header.Get("Retry-After")))
	case p.status == http.StatusProxyAuthRequired:
		return wrong(HopAPI, Problem{
			ProxyLogin, at.name, "is behind a proxy that wants a user name and a password: " + status,
			"put them into the proxy's URL where it is set: http://USER:PASSWORD@PROXY",
		})
	case p.status == http.StatusForbidden:
		return problem(Denied, "refuses /v2/ to everybody here: "+status, "a firewall of the registry may let in known addresses only: ask whoever runs "+at.name)
	case p.status >= http.StatusInternalServerError:
		return problem(ServerError, "is broken or overloaded: /v2/ answers "+status, "try again later; if it is yours, look at its log and at what stands in front of it")
	default:
		return problem(NotARegistry, "is no registry, or has its API elsewhere: /v2/ answers "+status, "check host and port; a web server, or the registry's web pages, may be what listens there")
	}
}

const loginPageRemedy = "that is the login page of a network or of a proxy: open a browser and log in there, or have the host exempted from the proxy"

func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + strings.ToLower(http.StatusText(status)))
}

// judgeSilence is about a host that can be reached and does not answer.
func judgeSilence(at place, err error) finding {
	if isCertificateAlert(alertOf(err)) {
		return wrong(HopAPI, clientCertificate(at.name, at.file))
	}
	cause, what := dialFailure(err)
	remedy := "try again; if it stays so, something between here and " + at.name + " breaks connections off: a firewall, a proxy, a VPN with too large an MTU"
	if cause == NoAnswer {
		what = "takes the request and does not answer in time"
	}
	return wrong(HopAPI, Problem{at.role.cause(cause), at.name, what, remedy})
}

// tooMany is about an answer 429.
func tooMany(host, wait string) Problem {
	p := Problem{
		RateLimited, host, "lets us ask no more for now: 429 too many requests",
		"wait, log in (wherry login " + host + ") for a higher limit, or set a mirror; what is left tells: wherry ratelimit " + host,
	}
	if wait != "" && len(wait) < 40 {
		p.Evidence += ", come back after " + wait
		if strings.Trim(wait, "0123456789") == "" {
			p.Evidence += " s"
		}
	}
	return p
}

// judgeChallenge is about what the registry wants of who asks.
func judgeChallenge(host string, status int, wants registry.Challenge, found bool) finding {
	switch {
	case status != http.StatusUnauthorized:
		return fine(HopChallenge, host, "none: nothing is wanted so far")
	case !found:
		return wrong(HopChallenge, Problem{
			NotARegistry, host, "answers 401 and does not say what it wants", "a proxy may have taken the WWW-Authenticate header away: look at what stands in front of the registry",
		})
	case wants.Scheme == "basic":
		return fine(HopChallenge, host, "a user name and a password with each request")
	}
	realm, err := url.Parse(wants.Realm)
	if err != nil {
		return wrong(HopChallenge, Problem{RefusedURL, host, "names a token server that is no URL", "have the registry's settings mended"})
	}
	detail := "a token of " + realm.Host
	if wants.Service != "" {
		detail += " for " + wants.Service
	}
	return fine(HopChallenge, host, detail)
}

// isOver reports whether the time for the examination is over.
func isOver(ctx context.Context) bool { return errors.Is(ctx.Err(), context.DeadlineExceeded) }
