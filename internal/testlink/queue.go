package testlink

import (
	"sync"
	"time"
)

// A piece is some bytes on their way.
type piece struct {
	buffer *[]byte
	n      int
	at     time.Time // when they arrive
	last   bool      // nothing comes behind them
}

// A queue holds the pieces of one direction, between one goroutine that reads and one that writes.
type queue struct {
	limit      int           // bytes
	came, went chan struct{} // told of a piece that came, and of one that went

	mu     sync.Mutex
	pieces []piece
	bytes  int
}

func (q *queue) start(limit int) {
	q.limit, q.came, q.went = limit, make(chan struct{}, 1), make(chan struct{}, 1)
}

// put adds a piece as soon as there is room, and reports false where done comes before.
func (q *queue) put(p piece, done <-chan struct{}) bool {
	for {
		q.mu.Lock()
		if q.bytes < q.limit {
			q.pieces = append(q.pieces, p)
			q.bytes += p.n
			q.mu.Unlock()
			tell(q.came)
			return true
		}
		q.mu.Unlock()
		select {
		case <-q.went:
		case <-done:
			return false
		}
	}
}

// take removes the oldest piece as soon as there is one, and reports false where done comes before.
func (q *queue) take(done <-chan struct{}) (piece, bool) {
	for {
		q.mu.Lock()
		if len(q.pieces) > 0 {
			p := q.pieces[0]
			q.pieces = q.pieces[1:]
			q.bytes -= p.n
			q.mu.Unlock()
			tell(q.went)
			return p, true
		}
		q.mu.Unlock()
		select {
		case <-q.came:
		case <-done:
			return piece{}, false
		}
	}
}

// tell leaves a word for who waits; one word is enough.
func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
