package registry

import (
	"sync/atomic"

	"github.com/wherry-dev/wherry/internal/httpx"
)

// A reachKey tells hosts apart that have connections of their own.
type reachKey struct {
	settings *Host
	name     string // authority
}

// A distance is how near a host is: an [httpx.Reach] plus one, 0 while that is
// not known. All that share connections to the host share it: only who makes
// one sees where it leads.
type distance struct{ far atomic.Uint32 }

// distanceOf returns that of a host. The caller holds c.mu.
func (c *Client) distanceOf(key reachKey) *distance {
	if c.distances[key] == nil {
		c.distances[key] = &distance{}
	}
	return c.distances[key]
}

// reached notes where a connection to the host went. A host that has several
// addresses is as far away as the farthest: it may lead nowhere nearer.
func (d *distance) reached(r httpx.Reach) {
	far := uint32(r) + 1
	for {
		was := d.far.Load()
		if was != 0 && was <= far || d.far.CompareAndSwap(was, far) {
			return
		}
	}
}

// reachable returns how near the host is; one that was not reached is far away.
func (h *host) reachable() httpx.Reach {
	return httpx.Reach(max(h.distance.far.Load(), 1) - 1) //nolint:gosec // it was one when it was stored
}
