package content_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
)

func TestWhatWasLearntCountsForSomeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		facts := contenttest.NewFacts("undated", "3", "odd", "3 at noon")
		content.Learn(facts, "lanes", "4")
		content.Learn(nil, "lanes", "4")
		<-time.After(time.Hour)
		for _, tt := range []struct {
			facts  content.Facts
			key    string
			within time.Duration
			want   string
		}{
			{facts, "lanes", 2 * time.Hour, "4"},
			{facts, "lanes", time.Minute, ""},
			{facts, "undated", 2 * time.Hour, ""},
			{facts, "odd", 2 * time.Hour, ""},
			{facts, "none", 2 * time.Hour, ""},
			{nil, "lanes", 2 * time.Hour, ""},
		} {
			got, known := content.Recall(tt.facts, tt.key, tt.within)
			if got != tt.want || known != (tt.want != "") {
				t.Errorf("Recall(%s, %v) = %q, %v, want %q", tt.key, tt.within, got, known, tt.want)
			}
		}
	})
}
