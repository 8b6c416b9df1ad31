package testregistry

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A Budget lets manifests be got so often and not more, as Docker Hub does: a GET of a manifest that is there counts
// as a pull, a HEAD does not, and the answers to both say what is left. Blobs are free.
// https://docs.docker.com/docker-hub/usage/pulls/
type Budget struct {
	Pulls  int           // in one window; 0 is no budget
	Window time.Duration // what is said of it; 0 means 6 hours. It ends with NewWindow
	Source string        // whose pulls they are; "" means 127.0.0.1
}

// Hub is a registry that behaves as Docker Hub does towards who is not logged in: its tokens come from another host,
// and in 6 hours it lets so many pulls be done.
func Hub(pulls int) Config {
	return Config{
		Auth:   Auth{Scheme: Bearer, AnonymousPull: true, OwnHost: true},
		Budget: Budget{Pulls: pulls},
	}
}

// A tally is what is gone of a Budget.
type tally struct {
	mu   sync.Mutex
	gone int
}

// Pulls returns how many pulls were counted in this window.
func (r *Registry) Pulls() int {
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	return r.pulls.gone
}

// NewWindow gives all pulls of the Budget again.
func (r *Registry) NewWindow() {
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	r.pulls.gone = 0
}

// charge counts what q costs, and returns a or the refusal to give it.
func (r *Registry) charge(q *exchange, a reply) reply {
	b := r.config.Budget
	if b.Pulls == 0 || q.kind != KindManifest || q.Method != http.MethodGet && q.Method != http.MethodHead {
		return a
	}
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	switch {
	case q.Method == http.MethodHead || a.status != http.StatusOK:
	case r.pulls.gone >= b.Pulls:
		a = apiError(http.StatusTooManyRequests, "TOOMANYREQUESTS", "You have reached your pull rate limit.")
	default:
		r.hit("pulls")
		r.pulls.gone++
	}
	window := strconv.Itoa(int(cmp.Or(b.Window, 6*time.Hour).Seconds()))
	return a.with("ratelimit-limit", fmt.Sprintf("%d;w=%s", b.Pulls, window)).
		with("ratelimit-remaining", fmt.Sprintf("%d;w=%s", b.Pulls-r.pulls.gone, window)).
		with("docker-ratelimit-source", cmp.Or(b.Source, "127.0.0.1"))
}
