// Package httpx is what registry's requests go through: decorators of an
// [http.RoundTripper], each with one concern. Who stacks them decides the
// order; from the outside in it is
//
//	Follow   redirects, as far as Policy lets them lead
//	(registry's authorization)
//	Replay   a request again, while nothing of its answer was delivered
//	(registry's gate)
//	Log      every exchange, secrets redacted
//	Rate     bytes per second
//	Stall    silence that counts as broken
//	Transport  connections, and where they may lead
//
// A request says with its context what is special about it: [Once], [Whole],
// [Stay], [Lane], [Anonymous].
package httpx

import (
	"context"
	"net/http"
	"time"
)

// Wait returns after d, or with the context's cause as soon as ctx ends.
func Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type (
	onceKey  struct{}
	wholeKey struct{}
	stayKey  struct{}
	laneKey  struct{}
	nobody   struct{}
)

// Once marks a request that Replay must not repeat.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

// Whole marks a request whose answer Replay reads into memory before it hands
// it on, so that a body that breaks is one more failed try. At most limit+1
// bytes are read: an answer of limit+1 bytes is one over the limit. One that says
// itself that it is longer is handed on as it is.
func Whole(ctx context.Context, limit int64) context.Context {
	return context.WithValue(ctx, wholeKey{}, limit)
}

// IsWhole reports whether ctx was marked by Whole.
func IsWhole(ctx context.Context) bool {
	_, whole := ctx.Value(wholeKey{}).(int64)
	return whole
}

// Stay marks a request whose redirects are answers, not to be followed.
func Stay(ctx context.Context) context.Context { return context.WithValue(ctx, stayKey{}, true) }

// Lane marks a request that wants an HTTP/1.1 connection of its own: several
// bodies at once over one HTTP/2 connection would share its one TCP stream.
func Lane(ctx context.Context) context.Context { return context.WithValue(ctx, laneKey{}, true) }

// IsLane reports whether ctx was marked by Lane.
func IsLane(ctx context.Context) bool { return marked(ctx, laneKey{}) }

// Anonymous marks a request that carries no credential, wherever it goes: a
// server that has none of its own to see named what it asks for.
func Anonymous(ctx context.Context) context.Context { return context.WithValue(ctx, nobody{}, true) }

// IsAnonymous reports whether the context of req was marked by Anonymous.
func IsAnonymous(req *http.Request) bool { return marked(req.Context(), nobody{}) }

func marked(ctx context.Context, key any) bool {
	on, _ := ctx.Value(key).(bool)
	return on
}

// Agent sets the User-Agent of requests that have none.
type Agent struct {
	Next http.RoundTripper
	Name string
}

// RoundTrip implements [http.RoundTripper].
func (a Agent) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("User-Agent") == "" {
		req = req.Clone(req.Context())
		req.Header.Set("User-Agent", a.Name)
	}
	return a.Next.RoundTrip(req)
}
