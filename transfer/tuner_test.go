package transfer

import (
	"testing"
	"time"
)

// Lanes stand in for those that are silent: as many as that takes, for as long as it
// takes, and no more than a host is to have.
func TestLanesStandInForThoseThatAreSilent(t *testing.T) {
	const tick = 25 * time.Millisecond
	for _, tt := range []struct {
		name   string
		tuner  tuner
		lanes  int
		silent func(lanes int, since time.Duration) int
		after  time.Duration
		want   int
	}{
		{"none is", tuner{most: 4}, 4, func(int, time.Duration) int { return 0 }, time.Second, 4},
		{"the only one is", tuner{most: 1}, 1, func(int, time.Duration) int { return 1 }, tick, 2},
		{"one of four is", tuner{most: 4}, 4, func(int, time.Duration) int { return 1 }, time.Second, 5},
		{"two of three always are", tuner{most: 4}, 4, func(lanes int, _ time.Duration) int { return lanes * 2 / 3 }, time.Second, 10},
		{"all are, as the line is", tuner{most: 8}, 8, func(lanes int, _ time.Duration) int { return lanes }, time.Minute, 16},
		{"there are as many as may be", tuner{most: mostLanes}, mostLanes, func(int, time.Duration) int { return 9 }, time.Second, mostLanes},
		{"the host bears no more", tuner{most: 4, bears: 4}, 4, func(int, time.Duration) int { return 2 }, time.Second, 4},
		{"their number is told", tuner{fixed: 4}, 4, func(int, time.Duration) int { return 2 }, time.Second, 4},
		{"one was for a moment", tuner{most: 4}, 4, func(_ int, since time.Duration) int {
			if since < time.Second {
				return 1
			}
			return 0
		}, 2*time.Second + longLoan, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Unix(1e9, 0)
			lanes := tt.lanes
			for since := time.Duration(0); since <= tt.after; since += tick {
				tt.tuner.look(gauge{at: began.Add(since), lanes: lanes, silent: tt.silent(lanes, since)})
				lanes = tt.tuner.allowed()
			}
			if lanes != tt.want {
				t.Errorf("%d lanes, want %d", lanes, tt.want)
			}
		})
	}
}

func TestWhoIsTurnedAwayLendsNothingForAWhile(t *testing.T) {
	began := time.Unix(1e9, 0)
	l := tuner{most: 4, lent: 8}
	l.turnedAway(began, 1)
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {shortRest - 1, 1}, {shortRest, 2}} {
		l.look(gauge{at: began.Add(tt.after), lanes: 1, silent: 1})
		if got := l.allowed(); got != tt.want {
			t.Errorf("after %v: %d lanes, want %d", tt.after, got, tt.want)
		}
	}
}
