package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An exchange is one line of a registry's log. Status and Bytes are known of the two generations of distribution, which
// write an access log; elsewhere they are 0.
type exchange struct {
	Method, Path string
	Status       int
	Bytes        int64 // of the answer's body
}

func (e exchange) String() string {
	return fmt.Sprintf("%s %s %d %d", e.Method, e.Path, e.Status, e.Bytes)
}

// A traffic is what was asked of a registry for a time, in the order of its log.
type traffic []exchange

var exchangeLine = regexp.MustCompile(`\b(GET|HEAD|PUT|POST|PATCH|DELETE) (/v2/[^ "\n]*)(?: HTTP/\d\.\d" (\d+) (\d+))?`)

func readTraffic(text string) traffic {
	var all traffic
	for _, m := range exchangeLine.FindAllStringSubmatch(text, -1) {
		status, _ := strconv.Atoi(m[3])
		sent, _ := strconv.ParseInt(m[4], 10, 64)
		all = append(all, exchange{Method: m[1], Path: m[2], Status: status, Bytes: sent})
	}
	return all
}

// during returns what is asked of the registry while do runs.
func (r *registry) during(t *testing.T, do func()) traffic {
	t.Helper()
	before := len(r.settled(t))
	do()
	return r.settled(t)[before:]
}

// settled returns the traffic so far. A registry writes its line when it has closed the books on an answer, which may be
// after the client has gone: a request of our own tells that the log has come about so far, and a while in which
// nothing is added that it has come to its end.
func (r *registry) settled(t *testing.T) traffic {
	t.Helper()
	const quiet, most = 40 * time.Millisecond, 10 * time.Second
	mark := "/v2/?mark=" + strconv.FormatInt(time.Now().UnixNano(), 10)
	remote := r.remote(t, "mark")
	remote.do(remote.request(http.MethodGet, "http://"+r.Host+mark, nil), http.StatusOK, http.StatusUnauthorized)
	look := time.NewTicker(quiet)
	defer look.Stop()
	seen := 0
	for start := time.Now(); time.Since(start) < most; <-look.C {
		text := r.log.String()
		if len(text) == seen && strings.Contains(text, mark) {
			return slices.DeleteFunc(readTraffic(text), func(e exchange) bool { return strings.HasPrefix(e.Path, "/v2/?mark=") })
		}
		seen = len(text)
	}
	t.Fatalf("the log of %s does not settle, or does not show a request that was answered", r.Kind.Name)
	return nil
}

// of returns what was asked of paths that contain part.
func (all traffic) of(part string) traffic {
	var some traffic
	for _, e := range all {
		if strings.Contains(e.Path, part) {
			some = append(some, e)
		}
	}
	return some
}

// sent is the number of bytes of blobs that the registry gave out.
func (all traffic) sent() int64 {
	var sum int64
	for _, e := range all.of("/blobs/sha") {
		if e.Method == http.MethodGet && e.Status < 300 {
			sum += e.Bytes
		}
	}
	return sum
}

// uploads returns the requests that carried bytes of blobs to the registry.
func (all traffic) uploads() traffic {
	var some traffic
	for _, e := range all.of("/blobs/uploads/") {
		if e.Method == http.MethodPatch || e.Method == http.MethodPut || e.Method == http.MethodPost && strings.Contains(e.Path, "digest=") {
			some = append(some, e)
		}
	}
	return some
}

func (all traffic) String() string {
	lines := make([]string, len(all))
	for i, e := range all {
		lines[i] = "  " + e.String()
	}
	return strings.Join(lines, "\n")
}
