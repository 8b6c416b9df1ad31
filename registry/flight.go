package registry

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"
)

// flights are the uploads to a host that are under way: what others send at this
// moment is not sent beside them.
type flights struct {
	mu    sync.Mutex
	under map[flight]chan struct{} // closed when it is over
}

// A flight is one blob on its way into a repository. With "" for the repository
// it is on its way to where others can mount it from.
type flight struct {
	repository string
	digest     digest.Digest
}

// enter waits until nobody else is in f, and is in it until leave is called,
// which may be done more than once. Whoever comes after one that failed tries
// itself.
func (f *flights) enter(ctx context.Context, key flight) (leave func(), err error) {
	for {
		over, first := f.join(key)
		if first {
			return sync.OnceFunc(func() { f.end(key, over) }), nil
		}
		select {
		case <-over:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (f *flights) join(key flight) (over chan struct{}, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if over, busy := f.under[key]; busy {
		return over, false
	}
	if f.under == nil {
		f.under = map[flight]chan struct{}{}
	}
	over = make(chan struct{})
	f.under[key] = over
	return over, true
}

func (f *flights) end(key flight, over chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.under, key)
	close(over)
}
