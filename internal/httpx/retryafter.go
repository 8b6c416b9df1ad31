package httpx

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestRetryAfter keeps sums of times within their range.
const longestRetryAfter = 365 * 24 * time.Hour

// RetryAfter returns how long a host asks to be left alone: seconds, or a date
// that counts from the host's own Date, since clocks differ. Anything that is
// not one of these is no request to wait.
// https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		if seconds > uint64(longestRetryAfter/time.Second) {
			return longestRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(0, at.Sub(now)), longestRetryAfter), true
}
