package doctor

import (
	"fmt"
	"time"
)

// tolerance is by how much clocks may differ: tokens and signed URLs that are not
// valid yet, or not any more, come beyond it.
const tolerance = 5 * time.Minute

const clockRemedy = "set the clock: timedatectl set-ntp true, or w32tm /resync, or on a virtual machine let its host set it"

func isSkewed(ours, theirs time.Time) bool { return ours.Sub(theirs).Abs() > tolerance }

// skew returns by how much clocks differ, in the unit people count that in.
func skew(ours, theirs time.Time) string {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	switch far := ours.Sub(theirs).Abs(); {
	case far >= 2*year:
		return fmt.Sprintf("%d years", far.Round(year)/year)
	case far >= 2*day:
		return fmt.Sprintf("%d days", far.Round(day)/day)
	default:
		return far.Round(time.Minute).String()
	}
}

func direction(ours, theirs time.Time) string {
	if ours.After(theirs) {
		return "fast"
	}
	return "slow"
}

// judgeClock compares our clock with the date of an answer.
func judgeClock(host string, ours, theirs time.Time) finding {
	if theirs.IsZero() {
		return skipped(HopClock, host, "its answers have no date")
	}
	if isSkewed(ours, theirs) {
		return wrong(HopClock, Problem{
			ClockSkew, "this machine", "has a clock that is " + skew(ours, theirs) + " " + direction(ours, theirs) + ", by that of " + host + ": tokens and signed URLs may not work",
			clockRemedy,
		})
	}
	return fine(HopClock, host, "agrees with ours")
}
