package cli

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/term"
)

func TestWhatIsAskedOnceMoreIsALine(t *testing.T) {
	for _, tt := range []struct {
		name  string
		flags Flags
		want  string
	}{
		{"in a log", Flags{Progress: term.Plain}, "r.example: 503 Service Unavailable, going on in 2s\n"},
		{"on a terminal", Flags{Progress: term.TTY}, "r.example: 503 Service Unavailable, going on in 2s\n"},
		{"with -q", Flags{Quiet: true}, ""},
	} {
		var errs bytes.Buffer
		f := &Factory{Err: term.NewScreen(term.Open(&errs, nil)), Flags: &tt.flags}
		again := content.TraceOf(f.tellRetries(t.Context())).Again
		for range 3 {
			again(content.Retry{Host: "r.example", Wait: 2 * time.Second, Reason: errors.New("503 Service Unavailable")})
		}
		if got := errs.String(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAListThatGoesOnIsCounted(t *testing.T) {
	endless := func(yield func(string, error) bool) {
		for yield("name", nil) {
			<-time.After(time.Second)
		}
	}
	for quiet, want := range map[bool]string{
		false: "wherry: r.example has listed 11 names so far, and goes on\nwherry: r.example has listed 21 names so far, and goes on\n",
		true:  "",
	} {
		synctest.Test(t, func(t *testing.T) {
			var errs bytes.Buffer
			f := &Factory{Err: term.NewScreen(term.Open(&errs, nil)), Flags: &Flags{Quiet: quiet}}
			names, err := collectSome(f.counted("r.example", endless), 30, func(string) bool { return true })
			if len(names) != 30 || err != nil || errs.String() != want {
				t.Errorf("%d names, %v, said %q, want %q", len(names), err, errs.String(), want)
			}
		})
	}
}
