package registry

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/httpx"
)

func header(fields ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Set(fields[i], fields[i+1])
	}
	return h
}

func TestLimitsAreReadAsHostsNameThem(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	for _, tt := range []struct {
		name string
		head http.Header
		want RateLimit
		text string
	}{
		{
			"Docker Hub",
			header("ratelimit-limit", "100;w=21600", "ratelimit-remaining", "76;w=21600", "docker-ratelimit-source", "192.0.2.1"),
			RateLimit{Limit: 100, Remaining: 76, Window: 6 * time.Hour, Source: "192.0.2.1"},
			"76 of 100 left in 6h",
		},
		{
			"GitLab, with a Unix time",
			header("RateLimit-Limit", "60", "RateLimit-Observed", "61", "RateLimit-Remaining", "0", "RateLimit-Reset", "1790000030"),
			RateLimit{Limit: 60, Reset: now.Add(30 * time.Second)},
			"0 of 60 left",
		},
		{
			"GitHub",
			header("X-RateLimit-Limit", "5000", "X-RateLimit-Remaining", "4999", "X-RateLimit-Reset", "1790003600"),
			RateLimit{Limit: 5000, Remaining: 4999, Reset: now.Add(time.Hour)},
			"4999 of 5000 left",
		},
		{
			"seconds until then",
			header("RateLimit-Limit", "10, 10;w=60", "RateLimit-Remaining", "3", "RateLimit-Reset", "50"),
			RateLimit{Limit: 10, Remaining: 3, Reset: now.Add(50 * time.Second)},
			"3 of 10 left",
		},
		{
			"more gone than there were",
			header("ratelimit-limit", "10;w=90", "ratelimit-remaining", "-2;w=90"),
			RateLimit{Limit: 10, Window: 90 * time.Second},
			"0 of 10 left in 1m30s",
		},
		{"what is left alone", header("ratelimit-remaining", "7"), RateLimit{Remaining: 7}, "7 left"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, named := parseRateLimit(tt.head, now)
			if !named || got != tt.want || got.String() != tt.text {
				t.Errorf("%+v (%s), want %+v (%s)", got, got, tt.want, tt.text)
			}
		})
	}
	for _, head := range []http.Header{{}, header("ratelimit-limit", "100;w=21600"), header("ratelimit-remaining", "many"), header("x-ratelimit-remaining", "99999999999999999999")} {
		if got, named := parseRateLimit(head, now); named {
			t.Errorf("%v is read as %+v", head, got)
		}
	}
}

func FuzzRateLimit(f *testing.F) {
	f.Add("100;w=21600", "76;w=21600", "30")
	f.Add("10, 10;w=60", "3", "1790000030")
	f.Fuzz(func(t *testing.T, limit, remaining, reset string) {
		now := time.Unix(1_790_000_000, 0)
		l, named := parseRateLimit(http.Header{"Ratelimit-Limit": {limit}, "Ratelimit-Remaining": {remaining}, "Ratelimit-Reset": {reset}}, now)
		if l.Limit < 0 || l.Remaining < 0 || l.Window < 0 || !named && l != (RateLimit{}) {
			t.Errorf("%q, %q, %q: %+v, %t", limit, remaining, reset, l, named)
		}
	})
}

// A quota is a host that has given its last pull: it refuses manifests, and says
// no time to wait.
type quota struct {
	asked  atomic.Int64
	header http.Header
}

func (q *quota) RoundTrip(req *http.Request) (*http.Response, error) {
	q.asked.Add(1)
	status := 200
	if isPull(req) {
		status = 429
	}
	resp := answer(status)
	resp.Header = q.header
	return resp, nil
}

func TestAHostWithoutPullsIsAskedForNoMoreOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		q := &quota{header: header("ratelimit-limit", "100;w=21600", "ratelimit-remaining", "0;w=21600")}
		rt := pacedOver(pace{}, q)
		for range 3 {
			err := fetch(rt, paths(t.Context(), "app/manifests/v1"))
			if !errors.Is(err, content.ErrRateLimited) || !strings.Contains(err.Error(), "0 of 100 left in 6h") {
				t.Errorf("error %v", err)
			}
		}
		if q.asked.Load() != 1 || time.Since(began) != 0 {
			t.Errorf("%d requests in %s, want one at once", q.asked.Load(), time.Since(began))
		}
		head := paths(t.Context(), "app/manifests/v1")
		head.Method = http.MethodHead
		for _, free := range []*http.Request{head, paths(httpx.Lane(t.Context()), "app/blobs/x"), paths(t.Context(), "app/tags/list")} {
			if err := fetch(rt, free); err != nil {
				t.Errorf("%s %s: %v", free.Method, free.URL, err)
			}
		}
		asked := q.asked.Load()
		if err := httpx.Wait(t.Context(), budgetMemory); err != nil {
			t.Fatal(err)
		}
		if err := fetch(rt, paths(t.Context(), "app/manifests/v1")); err == nil || q.asked.Load() != asked+1 {
			t.Errorf("%d requests after a while, want %d: there may be pulls again", q.asked.Load(), asked+1)
		}
	})
}

func TestARefusalThatIsNotAboutPullsIsTriedAgain(t *testing.T) {
	for name, head := range map[string]http.Header{
		"nothing said": {}, "pulls left": header("ratelimit-limit", "100;w=21600", "ratelimit-remaining", "3;w=21600"),
		"a time to wait": header("ratelimit-limit", "100;w=21600", "ratelimit-remaining", "0;w=21600", "Retry-After", "2"),
	} {
		synctest.Test(t, func(t *testing.T) {
			q := &quota{header: head}
			err := fetch(pacedOver(pace{}, q), paths(t.Context(), "app/manifests/v1"))
			if !errors.Is(err, content.ErrRateLimited) || q.asked.Load() != 5 {
				t.Errorf("%s: %v after %d requests, want 5", name, err, q.asked.Load())
			}
		})
	}
}

func TestLittleThatIsLeftIsToldOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		head http.Header
		want string
	}{
		{"a tenth", header("ratelimit-limit", "100;w=21600", "ratelimit-remaining", "10;w=21600"), `msg="the limit of the registry is nearly spent" registry=docker.io limit="10 of 100 left in 6h"`},
		{"nothing", header("ratelimit-limit", "100;w=21600", "ratelimit-remaining", "0;w=21600"), `msg="the limit of the registry is spent" registry=docker.io limit="0 of 100 left in 6h"`},
		{"more", header("ratelimit-limit", "100;w=21600", "ratelimit-remaining", "11;w=21600"), ""},
		{"what is soon given again", header("ratelimit-limit", "600;w=60", "ratelimit-remaining", "1;w=60"), ""},
		{"what comes back in a minute", header("ratelimit-limit", "600", "ratelimit-remaining", "1", "ratelimit-reset", "60"), ""},
		{"nothing is said", http.Header{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			c := &Client{Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))}
			c.init()
			h, err := c.host(DockerHub)
			if err != nil {
				t.Fatal(err)
			}
			rt := &gated{gates: &c.gates, maxWait: time.Minute, host: h, next: &quota{header: tt.head}}
			for range 3 {
				req := request(t.Context(), hubAddress)
				if err := fetch(rt, req); err != nil {
					t.Fatal(err)
				}
			}
			got := out.String()
			if strings.Count(got, "\n") != strings.Count(tt.want, "msg=") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want one %q", got, tt.want)
			}
			l, named := c.RateLimit("index.docker.io")
			if want, wanted := parseRateLimit(tt.head, time.Now()); named != wanted || l.Remaining != want.Remaining {
				t.Errorf("the client knows %+v, %t", l, named)
			}
		})
	}
}
