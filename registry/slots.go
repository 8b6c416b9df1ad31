package registry

import (
	"context"
	"slices"
	"sync"
)

// slots are how many blobs may be read from a host at once: as many as its
// settings allow, and fewer once it has said that there are too many. The zero
// slots have no limit.
type slots struct {
	allowed int // by the settings; 0 is no limit

	mu      sync.Mutex
	bears   int // what the host bears, as far as is known; 0 is no limit
	taken   int
	fine    int             // that were taken since the host refused one
	waiting []chan struct{} // in order
}

// fineAfter is how many blobs are read before one more at once is tried again.
const fineAfter = 512

// free reports whether there is a slot.
func (s *slots) free() bool {
	return (s.allowed == 0 || s.taken < s.allowed) && (s.bears == 0 || s.taken < s.bears)
}

// enter takes a slot that is free.
func (s *slots) enter() {
	s.taken++
	s.fine++
	if s.bears > 0 && s.fine%fineAfter == 0 {
		s.bears++
	}
}

// take waits for a slot and returns what gives it back.
func (s *slots) take(ctx context.Context) (leave func(), err error) {
	turn := s.ask()
	if turn == nil {
		return s.leave(), nil
	}
	if err := s.await(ctx, turn); err != nil {
		return nil, err
	}
	return s.leave(), nil
}

// yield gives a slot back that the host has refused, and takes it again when one of
// the others has ended. Who has the only one keeps it. The slot is there afterwards
// also where ctx has ended.
func (s *slots) yield(ctx context.Context) error {
	turn := s.swap()
	if turn == nil {
		return nil
	}
	err := s.await(ctx, turn)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken++
	}
	return err
}

// swap gives a slot back and returns what is closed once there is one again, before
// all others that wait; nil where it could be kept.
func (s *slots) swap() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.taken == 0 || s.free() {
		s.taken++
		return nil
	}
	turn := make(chan struct{})
	s.waiting = slices.Insert(s.waiting, 0, turn)
	return turn
}

// await waits until turn is closed.
func (s *slots) await(ctx context.Context, turn chan struct{}) error {
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		s.forget(turn)
		return context.Cause(ctx)
	}
}

// try is take that does not wait: leave is nil where there is no slot.
func (s *slots) try() (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.free() {
		return nil
	}
	s.enter()
	return s.leave()
}

// ask takes a slot, or returns what is closed once there is one.
func (s *slots) ask() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free() {
		s.enter()
		return nil
	}
	turn := make(chan struct{})
	s.waiting = append(s.waiting, turn)
	return turn
}

// leave returns what gives a slot back, once.
func (s *slots) leave() func() {
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
		s.admit()
	})
}

// admit gives the slots that are free to those that wait longest.
func (s *slots) admit() {
	for len(s.waiting) > 0 && s.free() {
		close(s.waiting[0])
		s.waiting = s.waiting[1:]
		s.enter()
	}
}

// forget takes back that somebody waits, or the slot that came meanwhile.
func (s *slots) forget(turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, turn)
	if i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return
	}
	s.taken--
	s.admit()
}

// refused notes that the host refused one of those that have a slot: it bears
// one less, as far as can be seen, and one at least.
func (s *slots) refused() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fine = 0
	if bears := max(1, s.taken-1); s.bears == 0 || bears < s.bears {
		s.bears = bears
	}
}
