package term

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/transfer"
)

func TestProgressNamesTheHostsWhereThereAreSeveral(t *testing.T) {
	one := map[string]transfer.HostSpeed{"a.example": {Bytes: 9, Speed: 1e6}}
	two := map[string]transfer.HostSpeed{"b.example": {Bytes: 1, Speed: 2e6}, "a.example": {Bytes: 9, Speed: 1e6}}
	five := map[string]transfer.HostSpeed{}
	for i := range 5 {
		five[fmt.Sprintf("m%d", i)] = transfer.HostSpeed{Bytes: int64(i), Speed: 1000}
	}
	for _, tt := range []struct {
		name string
		pace transfer.Pace
		want string
	}{
		{"nothing is known yet", transfer.Pace{Total: 1000}, "0B of 1kB (0%)"},
		{"nothing is to be moved", transfer.Pace{}, "0B of 0B (100%)"},
		{"a speed without an end", transfer.Pace{Total: 1000, Done: 10, Speed: 5}, "10B of 1kB (1%), 5B/s"},
		{"one host", transfer.Pace{Total: 1000, Speed: 100, Left: 10 * time.Second, Hosts: one}, "0B of 1kB (0%), 100B/s, 10s left"},
		{"two hosts", transfer.Pace{Total: 1000, Hosts: two}, "0B of 1kB (0%), from a.example 1MB/s and b.example 2MB/s"},
		{"five hosts", transfer.Pace{Total: 1000, Hosts: five}, "0B of 1kB (0%), from m4 1kB/s and m3 1kB/s and m2 1kB/s and m1 1kB/s and 1 more"},
		{"one retry", transfer.Pace{Total: 1000, Retries: 1}, "0B of 1kB (0%), 1 retry"},
		{"retries", transfer.Pace{Total: 1000, Retries: 7}, "0B of 1kB (0%), 7 retries"},
	} {
		if got := paceLine(&tt.pace); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A host that fails all the time does not fill a log.
func TestRetriesOfAHostAreALineEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		p := NewProgress(NewScreen(Open(&out, nil)), Plain)
		again := func(host string, e transfer.Event) {
			e.Kind, e.Host = transfer.Retrying, host
			p.Observe(e)
		}
		reset := transfer.Event{Desc: blob, Bytes: blob.Size / 2, Err: errors.New("connection reset\x1b")}
		for range 12 {
			again("a.example", reset)
			<-time.After(time.Second)
		}
		again("b.example", transfer.Event{Err: errors.New("503 Service Unavailable"), Wait: 2100 * time.Millisecond})
		again("c.example", transfer.Event{Err: fmt.Errorf("429: %w", content.ErrRateLimited)}) // its wait is a line already
		want := strings.Join([]string{
			`a.example: connection reset\x1b at 50MB of 100MB, going on`,
			`a.example: connection reset\x1b at 50MB of 100MB, going on (and 9 more before)`,
			`b.example: 503 Service Unavailable, going on in 2s`, "",
		}, "\n")
		if got := out.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestProgramsAreToldOfRetriesAndThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		p := NewProgress(NewScreen(Open(&out, nil)), JSON)
		p.Observe(transfer.Event{Kind: transfer.Retrying, Host: "a.example", Desc: blob, Wait: 1500 * time.Millisecond, Err: errors.New("connection reset")})
		p.Observe(transfer.Event{Kind: transfer.RunProgress, Pace: &transfer.Pace{
			Total: 10, Done: 4, Speed: 2, Left: 3 * time.Second, Retries: 1,
			Hosts: map[string]transfer.HostSpeed{"a.example": {Bytes: 5, Speed: 2.5}},
		}})
		want := `{"event":"retry","time":"2000-01-01T00:00:00Z","digest":"` + blob.Digest.String() +
			`","size":100000000,"bytes":0,"host":"a.example","waitSeconds":1.5,"error":"connection reset"}` + "\n" +
			`{"event":"progress","time":"2000-01-01T00:00:00Z","bytes":4,"total":10,"bytesPerSecond":2,"secondsLeft":3,` +
			`"hosts":{"a.example":{"bytes":5,"bytesPerSecond":2}},"retries":1}` + "\n"
		if got := out.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}
