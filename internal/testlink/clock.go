package testlink

import (
	"sync"
	"time"
)

// A clock is a bottleneck: so many bytes a second leave it, one after the other. The zero clock lets all leave at once.
type clock struct {
	rate int64

	mu   sync.Mutex
	free time.Time // when all that came so far will have left
}

// leave returns when the last of n bytes leaves that are there at now.
func (c *clock) leave(now time.Time, n int) time.Time {
	if c.rate == 0 {
		return now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.free.Before(now) {
		c.free = now
	}
	c.free = c.free.Add(time.Duration(float64(n) / float64(c.rate) * float64(time.Second)))
	return c.free
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
