package cli

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/endpoint"
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

func TestMovesAtOnceSayThemselvesWhatIsAskedOnceMore(t *testing.T) {
	var errs bytes.Buffer
	f := &Factory{Err: term.NewScreen(term.Open(&errs, nil)), Flags: &Flags{Progress: term.Plain}}
	again := content.TraceOf(f.tellRetries(t.Context())).Again
	first, second := f.retries.hush(), f.retries.hush()
	for _, end := range []func(){first, second} {
		again(content.Retry{Host: "r.example", Reason: errors.New("a move is under way")})
		end()
	}
	again(content.Retry{Host: "r.example", Reason: errors.New("503 Service Unavailable")})
	if got, want := errs.String(), "r.example: 503 Service Unavailable, going on\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A slowLister lists thirty names, one a second.
type slowLister struct{ content.Source }

func (slowLister) Tags(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for range 30 {
			if !yield("name", nil) {
				return
			}
			<-time.After(time.Second)
		}
	}
}

func TestAListThatGoesOnIsCounted(t *testing.T) {
	p := &place{&endpoint.Source{Source: slowLister{}}, endpoint.Endpoint{Transport: endpoint.Registry, Host: "r.example", Repository: "app"}}
	for name, list := range map[string]func(f *Factory) (int, error){
		"repos": func(f *Factory) (int, error) {
			names, err := collect(f.counted("r.example/app", slowLister{}.Tags(t.Context())))
			return len(names), err
		},
		"tags": func(f *Factory) (int, error) {
			result, err := runTags(t.Context(), f, p, tagsOptions{})
			return len(result.Lines), err
		},
		"inspect --compat skopeo": func(f *Factory) (int, error) {
			names, err := p.repoTags(t.Context(), f)
			return len(names), err
		},
	} {
		for quiet, want := range map[bool]string{
			false: "wherry: r.example/app has listed 11 names so far, and goes on\nwherry: r.example/app has listed 21 names so far, and goes on\n",
			true:  "",
		} {
			synctest.Test(t, func(t *testing.T) {
				var errs bytes.Buffer
				f := &Factory{Err: term.NewScreen(term.Open(&errs, nil)), Flags: &Flags{Quiet: quiet}}
				n, err := list(f)
				if n != 30 || err != nil || errs.String() != want {
					t.Errorf("%s: %d names, %v, said %q, want %q", name, n, err, errs.String(), want)
				}
			})
		}
	}
}
