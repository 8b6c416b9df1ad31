package registry

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
	"github.com/wherry-dev/wherry/internal/outside"
)

// A RateLimit is what a host said of how much it lets be asked of it. Docker Hub
// counts pulls, which are GETs of manifests; others count requests.
// https://docs.docker.com/docker-hub/usage/pulls/
type RateLimit struct {
	Limit     int           // in one window; 0 where the host does not say
	Remaining int           // of those
	Window    time.Duration // 0 where the host does not say
	Reset     time.Time     // when all are there again; zero where the host does not say
	Source    string        // whose they are, an address or an account; "" where the host does not say
}

// String returns what is left, of how many in how long: "76 of 100 left in 6h".
func (l RateLimit) String() string {
	text := strconv.Itoa(l.Remaining)
	if l.Limit > 0 {
		text += " of " + strconv.Itoa(l.Limit)
	}
	text += " left"
	if l.Window > 0 {
		text += " in " + l.Per()
	}
	return text
}

// Per returns the window as people write it, "6h" or "1m30s"; "" where the host
// does not say it.
func (l RateLimit) Per() string {
	if l.Window == 0 {
		return ""
	}
	text := l.Window.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// RateLimit returns what a host, named as in [Client.Repository], last said of
// its limit, in whatever answer; false where it said nothing. Nothing is asked.
func (c *Client) RateLimit(host string) (RateLimit, bool) {
	h, err := c.host(host)
	if err != nil {
		return RateLimit{}, false
	}
	return h.rateLimit()
}

func (h *host) rateLimit() (RateLimit, bool) {
	g := h.client.gates.known(h.url("", nil))
	if g == nil {
		return RateLimit{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.budget.limit, g.budget.named
}

// What Docker documents as the way to ask for the limit: a HEAD is no pull.
// https://docs.docker.com/docker-hub/usage/pulls/#view-hourly-pull-rate-and-limit
const (
	limitRepository = "ratelimitpreview/test"
	limitTag        = "latest"
)

// AskRateLimit asks a host for its limit, with a request that does not count:
// at Docker Hub a HEAD of the image that is there for that, elsewhere /v2/. It
// reports false where the host says nothing of a limit.
func (c *Client) AskRateLimit(ctx context.Context, host string) (RateLimit, bool, error) {
	h, err := c.host(host)
	if err != nil {
		return RateLimit{}, false, err
	}
	ask := call{method: http.MethodGet}
	if h.name == DockerHub {
		r := &Repository{host: h, name: limitRepository}
		ask = r.manifestCall(http.MethodHead, limitTag)
	}
	resp, err := h.do(httpx.Whole(ctx, maxErrorBody), ask)
	if err != nil {
		return RateLimit{}, false, err
	}
	l, named := c.RateLimit(host)
	if named || resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusNotFound {
		httpx.Drain(resp.Body)
		return l, named, nil
	}
	if err := h.check(resp, http.StatusOK); err != nil {
		return RateLimit{}, false, err
	}
	return RateLimit{}, false, resp.Body.Close()
}

// isPull reports whether a host that counts pulls counts req.
func isPull(req *http.Request) bool {
	return req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/manifests/")
}

// A budget is what is known of a host's limit.
type budget struct {
	limit RateLimit
	named bool      // the host has said it
	at    time.Time // when
	until time.Time // spent: nobody asks before then
	told  bool      // the user knows that little is left
}

// budgetMemory is for how long a host that has refused a pull is asked for no
// other. Nobody knows when it gives new ones.
const budgetMemory = time.Minute

// note takes what an answer says of the limit.
func (b *budget) note(h http.Header, now time.Time) {
	if l, named := parseRateLimit(h, now); named {
		b.limit, b.named, b.at = l, true, now
	}
}

// exceeded is told that a pull was refused, and reports whether that is because
// there are none left.
func (b *budget) exceeded(now time.Time) bool {
	if !b.named || b.limit.Remaining > 0 || b.limit.Window > 0 && now.Sub(b.at) > b.limit.Window {
		return false
	}
	b.until = now.Add(budgetMemory)
	return true
}

func (b *budget) spent(now time.Time) bool { return now.Before(b.until) }

// A spentError is a pull that was not asked for, since the host has none left.
type spentError struct{ limit RateLimit }

func (e *spentError) Error() string { return "the host's limit is spent: " + e.limit.String() }

// Unwrap returns ErrRateLimited.
func (e *spentError) Unwrap() error { return content.ErrRateLimited }

// Permanent says that trying again at once cannot help.
func (e *spentError) Permanent() bool { return true }

// lastingWindow is the shortest window worth a warning: less is soon over.
const lastingWindow = 10 * time.Minute

// nearlySpent reports, once, that a tenth of the limit is left or less.
func (g *gate) nearlySpent(now time.Time) (RateLimit, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.budget.limit
	short := l.Window > 0 && l.Window < lastingWindow || !l.Reset.IsZero() && l.Reset.Sub(now) < lastingWindow
	if g.budget.told || !g.budget.named || short || l.Remaining*10 > l.Limit {
		return RateLimit{}, false
	}
	g.budget.told = true
	return l, true
}

// warnLow says that little is left of a host's limit.
func (c *Client) warnLow(ctx context.Context, host string, l RateLimit) {
	text := "the limit of the registry is nearly spent"
	if l.Remaining == 0 {
		text = "the limit of the registry is spent"
	}
	c.log().WarnContext(ctx, text, "registry", host, "limit", l.String())
}

// parseRateLimit reads the headers in which hosts name their limit: Docker Hub's
// and GitLab's, and GitHub's, which has X- before them.
// https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/#response-headers
// https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
func parseRateLimit(h http.Header, now time.Time) (RateLimit, bool) {
	for _, family := range []string{"Ratelimit-", "X-Ratelimit-"} {
		remaining, window, err := parseQuota(h.Get(family + "Remaining"))
		if err != nil {
			continue
		}
		l := RateLimit{Remaining: remaining, Window: window, Source: outside.Printable(h.Get("Docker-Ratelimit-Source"), 64)}
		if limit, window, err := parseQuota(h.Get(family + "Limit")); err == nil {
			l.Limit = limit
			if window > 0 {
				l.Window = window
			}
		}
		if reset, err := strconv.ParseInt(strings.TrimSpace(h.Get(family+"Reset")), 10, 64); err == nil {
			l.Reset = resetTime(reset, now)
		}
		return l, true
	}
	return RateLimit{}, false
}

// parseQuota reads a number and the window behind it, in seconds: "100;w=21600".
func parseQuota(text string) (n int, window time.Duration, err error) {
	first, _, _ := strings.Cut(text, ",")
	number, params, _ := strings.Cut(first, ";")
	parsed, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("quota %s: %w", outside.Quote(text, 64), content.ErrInvalid)
	}
	for param := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if seconds, err := strconv.ParseUint(value, 10, 31); err == nil && key == "w" {
			window = time.Duration(seconds) * time.Second
		}
	}
	return max(0, int(parsed)), window, nil
}

// resetTime reads a number that is seconds from now with some hosts, and a Unix
// time with others.
func resetTime(n int64, now time.Time) time.Time {
	const unix = 1_000_000_000 // in 2001, or in 31 years
	switch {
	case n <= 0 || n > 1<<40:
		return time.Time{}
	case n < unix:
		return now.Add(time.Duration(n) * time.Second)
	}
	return time.Unix(n, 0)
}
