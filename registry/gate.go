package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// maxWaiting is how many requests wait for an answer of one host at once.
// Bodies that flow are not counted: who opens them bounds them, and a host's
// settings. Uploads are not counted either, since they wait for a source that
// may be the same host.
const maxWaiting = 16

// gates has one gate for each address that was talked to.
type gates struct {
	backoff time.Duration
	waiting func(host string, until time.Time)                  // told when a request begins to wait for a host; may be nil
	low     func(ctx context.Context, host string, l RateLimit) // told once of a host whose limit is nearly spent; may be nil

	mu  sync.Mutex
	all map[string]*gate
}

// of returns the gate of where u leads. What its host's settings allow is asked
// for while there is none, and with no lock held: it is the user's code that says.
func (g *gates) of(u *url.URL, allowed func() pace) *gate {
	if known := g.known(u); known != nil {
		return known
	}
	p, key := allowed(), authorityOf(u)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = map[string]*gate{}
	}
	if g.all[key] == nil {
		g.all[key] = newGate(p)
	}
	return g.all[key]
}

// known returns the gate of where u leads, nil where nobody has been.
func (g *gates) known(u *url.URL) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[authorityOf(u)]
}

// authorityOf is one spelling of host and port for all that mean the same.
func authorityOf(u *url.URL) string {
	port := u.Port()
	if u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return strings.ToLower(strings.TrimSuffix(u.Host, ":"+port))
	}
	return strings.ToLower(u.Host)
}

// settingsName is what the settings of where u leads are asked for by.
func settingsName(u *url.URL) string { return HostName(strings.ToLower(u.Host)) }

// gated lets a request through when its host's gate is open, and closes the
// gate when the host asks for it.
type gated struct {
	next    http.RoundTripper
	gates   *gates
	maxWait time.Duration
	host    *host // whose requests these are; nil is one without settings
}

// RoundTrip implements [http.RoundTripper].
func (g *gated) RoundTrip(req *http.Request) (*http.Response, error) {
	gate := g.gates.of(req.URL, func() pace { return g.allowed(req.URL) })
	v := newVisitor(req, g.maxWait)
	if err := gate.enter(req.Context(), v, func(until time.Time) { g.tell(req.URL, until) }); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as every RoundTripper does
		}
		return nil, err
	}
	defer gate.leave(v)
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	gate.heed(resp, v, g.gates.backoff)
	if l, low := gate.nearlySpent(time.Now()); low && g.gates.low != nil {
		g.gates.low(req.Context(), g.name(req.URL), l)
	}
	return resp, nil
}

// allowed returns what the settings of where u leads allow.
func (g *gated) allowed(u *url.URL) pace {
	switch {
	case g.host == nil:
		return pace{}
	case u.Host == g.host.authority:
		return paceOf(g.host.settings)
	}
	settings, err := g.host.client.hostSettings(settingsName(u))
	if err != nil {
		return pace{} // the connection will not be made, and says why
	}
	return paceOf(settings)
}

// name returns what people call the host that u leads to.
func (g *gated) name(u *url.URL) string {
	if g.host != nil && u.Host == g.host.authority {
		return g.host.name
	}
	return settingsName(u)
}

func (g *gated) tell(u *url.URL, until time.Time) {
	if g.gates.waiting != nil {
		g.gates.waiting(g.name(u), until)
	}
}

// A pace is what the settings of a host allow. The zero pace leaves it to the
// client.
type pace struct {
	atOnce int           // requests that wait for an answer; 0 is maxWaiting
	every  time.Duration // from the begin of one request to that of the next at least
}

func paceOf(h *Host) pace {
	p := pace{atOnce: h.Concurrency}
	if h.RequestsPerSecond > 0 {
		p.every = time.Duration(float64(time.Second) / h.RequestsPerSecond)
	}
	return p
}

// A rank says which of the requests that wait goes first.
type rank uint8

const (
	small  rank = iota // its answer is: a manifest, a HEAD, a token, a list
	stream             // an upload that cannot be sent twice; it takes no place
	bulk               // a blob; the last place inside is not for it
	ranks
)

// A visitor is one request at a gate.
type visitor struct {
	rank     rank
	pulls    bool          // hosts that count pulls count it
	patience time.Duration // how long the host may ask it to wait
	ready    chan struct{} // closed when in or err is set
	in       bool
	err      error
}

func newVisitor(req *http.Request, patience time.Duration) *visitor {
	v := &visitor{patience: patience, pulls: isPull(req), ready: make(chan struct{})}
	switch ctx := req.Context(); {
	case !httpx.CanRewind(req):
		v.rank = stream
	case httpx.IsLane(ctx) && !httpx.IsWhole(ctx): // a token for a blob is read whole
		v.rank = bulk
	}
	return v
}

// A gate is where requests to one host wait: for their turn, and for the host.
type gate struct {
	pace pace

	mu      sync.Mutex
	most    int // requests inside at most; halved when the host says there are too many
	inside  int
	queues  [ranks][]*visitor
	until   time.Time   // closed until then
	told    time.Time   // who waits for that knows
	next    time.Time   // by the pace the next may go in then
	alarm   *time.Timer // rings when the first in a queue may go in
	refused int         // answers 429 in a row
	fine    int         // answers that were not, in a row
	budget  budget
}

func newGate(p pace) *gate {
	if p.atOnce <= 0 || p.atOnce > maxWaiting {
		p.atOnce = maxWaiting
	}
	return &gate{pace: p, most: p.atOnce}
}

// A closedError is a gate that stays closed for longer than the user waits.
type closedError struct{ wait time.Duration }

func (e *closedError) Error() string {
	return fmt.Sprintf("the host asked to wait another %s", e.wait.Round(time.Second))
}

// Unwrap returns ErrRateLimited.
func (e *closedError) Unwrap() error { return content.ErrRateLimited }

// Permanent says that trying again at once cannot help.
func (e *closedError) Permanent() bool { return true }

// noteworthy is the shortest wait that anybody is told of.
const noteworthy = time.Second

// enter waits until the gate is open and it is v's turn. told is called once for
// all who wait for the same: by the first of them.
func (g *gate) enter(ctx context.Context, v *visitor, told func(until time.Time)) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if until, first := g.lineUp(v); first {
		told(until)
	}
	select {
	case <-v.ready:
		return v.err
	case <-ctx.Done():
		g.abandon(v)
		return context.Cause(ctx)
	}
}

// lineUp puts v into its queue. It reports whether v is the first to wait for a
// host that asked for it.
func (g *gate) lineUp(v *visitor) (until time.Time, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queues[v.rank] = append(g.queues[v.rank], v)
	g.admit()
	if v.in || v.err != nil || time.Until(g.until) < noteworthy || g.until.Sub(g.told) < noteworthy {
		return g.until, false
	}
	g.told = g.until
	return g.until, true
}

// admit lets in who may go in, the first in the first queue first.
func (g *gate) admit() {
	now := time.Now()
	g.turnAway(now)
	for v := g.first(); v != nil; v = g.first() {
		opens := g.until
		if g.next.After(opens) {
			opens = g.next
		}
		if now.Before(opens) {
			g.wakeIn(opens.Sub(now))
			return
		}
		g.drop(v)
		v.in = true
		if v.rank != stream {
			g.inside++
		}
		g.next = now.Add(g.pace.every)
		close(v.ready)
	}
	if g.alarm != nil {
		g.alarm.Stop()
	}
}

// turnAway ends the waiting of those who would wait for too long, or for what is
// spent.
func (g *gate) turnAway(now time.Time) {
	wait := g.until.Sub(now)
	for _, queue := range g.queues {
		for _, v := range slices.Clone(queue) {
			switch {
			case wait > v.patience:
				v.err = &closedError{wait: wait}
			case v.pulls && g.budget.spent(now):
				v.err = &spentError{limit: g.budget.limit}
			default:
				continue
			}
			g.drop(v)
			close(v.ready)
		}
	}
}

// first returns whose turn it is, nil where there is no place for anybody who waits.
func (g *gate) first() *visitor {
	for r, queue := range g.queues {
		if len(queue) > 0 && g.hasRoom(rank(r)) {
			return queue[0]
		}
	}
	return nil
}

func (g *gate) hasRoom(r rank) bool {
	switch r {
	case stream:
		return true
	case bulk:
		return g.inside < max(1, g.most-1)
	default:
		return g.inside < g.most
	}
}

func (g *gate) drop(v *visitor) {
	g.queues[v.rank] = slices.DeleteFunc(g.queues[v.rank], func(w *visitor) bool { return w == v })
}

func (g *gate) wakeIn(d time.Duration) {
	if g.alarm != nil {
		g.alarm.Reset(d)
		return
	}
	g.alarm = time.AfterFunc(d, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.admit()
	})
}

// leave gives v's place to the next.
func (g *gate) leave(v *visitor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.rank != stream {
		g.inside--
	}
	g.admit()
}

// abandon takes back that v waits, or its place if it has one by now.
func (g *gate) abandon(v *visitor) {
	g.mu.Lock()
	in := v.in
	g.drop(v)
	g.admit()
	g.mu.Unlock()
	if in {
		g.leave(v)
	}
}

// heed closes the gate as long as the host asks for, and adapts the number of
// requests to what the host bears.
func (g *gate) heed(resp *http.Response, v *visitor, backoff time.Duration) {
	now := time.Now()
	wait, asked := httpx.RetryAfter(resp.Header, now)
	asked = asked && httpx.IsTemporary(resp.StatusCode)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.budget.note(resp.Header, now)
	switch {
	case resp.StatusCode != http.StatusTooManyRequests:
		g.refused = 0
		g.fine++
		if g.fine%8 == 0 && g.most < g.pace.atOnce {
			g.most++
		}
	case !asked && v.pulls && g.budget.exceeded(now):
		// It is pulls that are too many, not requests: all others go on.
	default:
		g.refused, g.fine = g.refused+1, 0
		if now.After(g.until) { // once for all that were on their way
			g.most = max(1, g.most/2)
		}
		if !asked {
			wait, asked = httpx.Backoff(backoff, g.refused), true
		}
	}
	if until := now.Add(wait); asked && until.After(g.until) {
		g.until = until
	}
	g.admit()
}
