package transfer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
	"github.com/wherry-dev/wherry/internal/httpx"
)

// A refusal while nothing is read says nothing about how many lanes a host bears.
func TestARefusalWithoutLanesIsNotRemembered(t *testing.T) {
	facts := contenttest.NewFacts()
	l := (&lines{facts: facts}).to("a")
	l.refused()
	if facts.Len() > 0 || l.tuner.bears > 0 {
		t.Errorf("%d facts are remembered, and %d lanes are borne", facts.Len(), l.tuner.bears)
	}
}

// TestHowManyLanesAHostBearsIsRememberedForADay scatters a blob in one run after the other.
func TestHowManyLanesAHostBearsIsRememberedForADay(t *testing.T) {
	const size = 100 << 20
	capped := link{delay: 50 * time.Millisecond, each: 2 * megabyte, most: 3}
	set := capped
	set.own = true
	for _, tt := range []struct {
		name    string
		host    link
		facts   content.Facts
		refused [3]bool // at first, by the next run, and by one the day after
	}{
		{"what the host refused", capped, contenttest.NewFacts(), [3]bool{true, false, true}},
		{"but not what our settings do", set, contenttest.NewFacts(), [3]bool{true, true, true}},
		{"nor without facts", capped, nil, [3]bool{true, true, true}},
		{"nor what nobody can read", capped, contenttest.NewFacts("lanes a", "some at noon"), [3]bool{true, false, true}},
		{"what another run was told", capped, contenttest.NewFacts("lanes a", "2 at 2000-01-01T00:00:00Z"), [3]bool{false, false, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for run, want := range tt.refused {
					if err := httpx.Wait(t.Context(), time.Duration(run/2)*24*time.Hour); err != nil {
						t.Fatal(err)
					}
					h := &simulated{name: "a", link: tt.host}
					scatter(t, &Copier{Facts: tt.facts}, h, size, content.Spans{{Len: size}})
					if (h.refused > 0) != want || h.peak > h.most {
						t.Errorf("run %d: %d were refused, %d at once", run, h.refused, h.peak)
					}
				}
			})
		})
	}
}
