package testlink

import (
	"math"
	"math/rand/v2"
	"time"
)

// Draw draws a shape that lets through most bytes a second at the most, however many connections there are. What it is
// like is spread evenly over orders of magnitude. Half of the shapes have pauses, and half have resets.
func Draw(rnd *rand.Rand, most float64) Shape {
	between := func(low, high float64) float64 { return low * math.Pow(high/low, rnd.Float64()) }
	s := Shape{RTT: time.Duration(between(5, 150) * float64(time.Millisecond)).Round(time.Millisecond), Seed: rnd.Uint64()}
	if rnd.IntN(4) > 0 {
		s.PerConn = int64(between(most/60, most/3))
	}
	if s.PerConn == 0 || rnd.IntN(4) > 0 {
		s.Total = int64(between(most/8, most))
	}
	if s.Total == 0 {
		s.Total = int64(most)
	}
	if rnd.IntN(2) == 0 {
		s.Pauses = Pauses{Every: int64(between(most/12, most*5/6)), Min: 100 * time.Millisecond, Max: 2 * time.Second}
	}
	if rnd.IntN(2) == 0 {
		s.Resets = Resets{Every: int64(between(most/6, most*5/3))}
	}
	return s
}

// Rate returns the bytes a second that so many connections carry without pauses and resets, 0 where there is no cap.
func (s Shape) Rate(connections int) int64 {
	return leastRate(int64(connections)*s.PerConn, s.Total)
}
