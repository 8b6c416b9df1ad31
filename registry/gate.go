package registry

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// maxWaiting is how many requests wait for an answer of one host at once.
// Bodies that flow are not counted: who opens them bounds them. Uploads are not
// counted either, since they wait for a source that may be the same host.
const maxWaiting = 16

// gates has one gate for each address that was talked to.
type gates struct {
	backoff time.Duration

	mu  sync.Mutex
	all map[string]*gate
}

func (g *gates) of(authority string) *gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = map[string]*gate{}
	}
	if g.all[authority] == nil {
		g.all[authority] = &gate{limit: maxWaiting}
	}
	return g.all[authority]
}

// gated lets a request through when its host's gate is open, and closes the
// gate when the host asks for it.
type gated struct {
	next    http.RoundTripper
	gates   *gates
	maxWait time.Duration
}

// RoundTrip implements [http.RoundTripper].
func (g *gated) RoundTrip(req *http.Request) (*http.Response, error) {
	gate := g.gates.of(req.URL.Host)
	if !httpx.CanRewind(req) {
		if err := gate.pass(req.Context(), g.maxWait); err != nil {
			_ = req.Body.Close() // as every RoundTripper does
			return nil, err
		}
		return g.pass(gate, req)
	}
	if err := gate.enter(req.Context(), g.maxWait); err != nil {
		return nil, err
	}
	defer gate.leave()
	return g.pass(gate, req)
}

func (g *gated) pass(gate *gate, req *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(req)
	if err == nil {
		gate.heed(resp, g.gates.backoff)
	}
	return resp, err
}

// A gate is where requests to one host wait: for their turn, and for the host.
type gate struct {
	mu      sync.Mutex
	limit   int // requests inside at most; halved when the host says there are too many
	inside  int
	queue   []chan struct{}
	until   time.Time // closed until then
	refused int       // answers 429 in a row
	fine    int       // answers that were not, in a row
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

// pass waits until the gate is open.
func (g *gate) pass(ctx context.Context, maxWait time.Duration) error {
	for {
		g.mu.Lock()
		wait := time.Until(g.until)
		g.mu.Unlock()
		if wait <= 0 {
			return context.Cause(ctx)
		}
		if wait > maxWait {
			return &closedError{wait: wait}
		}
		if err := httpx.Wait(ctx, wait); err != nil {
			return err
		}
	}
}

// enter waits until the gate is open and takes a place inside.
func (g *gate) enter(ctx context.Context, maxWait time.Duration) error {
	for {
		if err := g.pass(ctx, maxWait); err != nil {
			return err
		}
		turn := g.take()
		if turn == nil {
			return nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			g.abandon(turn)
			return context.Cause(ctx)
		}
	}
}

// take takes a place and returns nil, or queues and returns what is closed when
// it is worth asking again.
func (g *gate) take() chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside < g.limit {
		g.inside++
		return nil
	}
	turn := make(chan struct{})
	g.queue = append(g.queue, turn)
	return turn
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.wake()
}

// wake lets the first in the queue ask again.
func (g *gate) wake() {
	if len(g.queue) > 0 && g.inside < g.limit {
		close(g.queue[0])
		g.queue = g.queue[1:]
	}
}

// abandon gives a turn up, and on if it had come already.
func (g *gate) abandon(turn chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.queue, turn); i >= 0 {
		g.queue = slices.Delete(g.queue, i, i+1)
		return
	}
	g.wake()
}

// heed closes the gate as long as the host asks for, and adapts the number of
// requests to what the host bears.
func (g *gate) heed(resp *http.Response, backoff time.Duration) {
	wait, asked := httpx.RetryAfter(resp.Header, time.Now())
	asked = asked && httpx.IsTemporary(resp.StatusCode)
	g.mu.Lock()
	defer g.mu.Unlock()
	if resp.StatusCode == http.StatusTooManyRequests {
		g.refused, g.fine = g.refused+1, 0
		if time.Now().After(g.until) { // once for all that were on their way
			g.limit = max(1, g.limit/2)
		}
		if !asked {
			wait, asked = httpx.Backoff(backoff, g.refused), true
		}
	} else {
		g.refused = 0
		g.fine++
		if g.fine%8 == 0 && g.limit < maxWaiting {
			g.limit++
			g.wake()
		}
	}
	if until := time.Now().Add(wait); asked && until.After(g.until) {
		g.until = until
	}
}
