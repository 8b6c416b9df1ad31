package httpx

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestRetryAfter keeps sums of times within their range.
const longestRetryAfter = 365 * 24 * time.Hour

// RetryAfter returns how long a host asks to be left alone: seconds, or a date
// that counts from the host's own Date, since clocks differ. Anything that is
// not one of these, or is over already, is no request to wait.
// https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	seconds, err := strconv.ParseUint(value, 10, 63)
	switch {
	case err == nil && seconds <= uint64(longestRetryAfter/time.Second):
		return time.Duration(seconds) * time.Second, seconds > 0
	case err == nil, errors.Is(err, strconv.ErrRange):
		return longestRetryAfter, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	wait := min(max(0, at.Sub(now)), longestRetryAfter)
	return wait, wait > 0
}
