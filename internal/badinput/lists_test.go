package badinput

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// TestListsThatAreTooLongAreRefused lists tags and repositories of a registry that never comes to an end, within a
// page or with page after page.
func TestListsThatAreTooLongAreRefused(t *testing.T) {
	const page = 4 << 20
	zeros := strings.Repeat("0", page)
	tests := []struct {
		name  string
		bytes int // of a page
		names int // bytes of a name
		says  string
	}{
		{"a page of 32 MiB", 32 << 20, 10, "over the limit of 4194304 bytes"},
		{"a page of one name", page, page, "over the limit of 4194304 bytes"},
		{"pages of short names", page - 100, 14, "more than 1048576 names"},
		{"pages of long names", page - 100, 120, "names of more than 16777216 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				first, _ := strconv.Atoi(req.URL.Query().Get("last")) // none is 0
				last := first + max(1, tt.bytes/(tt.names+3))
				w.Header().Set("Link", fmt.Sprintf(`<%s?last=%d>; rel="next"`, req.URL.Path, last))
				field := map[bool]string{true: "repositories", false: "tags"}[strings.HasSuffix(req.URL.Path, "_catalog")]
				page := []byte(`{"` + field + `":["`)
				for i := first; i < last; i++ {
					n := strconv.Itoa(i)
					page = append(page, zeros[:tt.names-len(n)]+n+`","`...)
				}
				_, _ = w.Write(append(page, `"]}`...)) // a client that has had enough leaves
			}))
			defer server.Close()
			host := strings.TrimPrefix(server.URL, "http://")
			s := newScene(t)
			for _, args := range [][]string{{"tags", host + "/app"}, {"repos", host}} {
				o := s.run(nil, args...)
				if o.Code != 6 || !strings.Contains(o.stderr, host) || !strings.Contains(o.stderr, tt.says) {
					t.Errorf("%v: exit code %d, want 6 that says %q:\n%.1000s", args, o.Code, tt.says, o.stderr)
				}
			}
		})
	}
}
