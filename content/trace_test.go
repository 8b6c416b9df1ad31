package content_test

import (
	"slices"
	"testing"

	"github.com/wherry-dev/wherry/content"
)

func TestEveryTraceOfAContextIsTold(t *testing.T) {
	var told []string
	note := func(who string) content.Trace {
		return content.Trace{
			Got:   func(host string, _ int64) { told = append(told, who+" got "+host) },
			Again: func(r content.Retry) { told = append(told, who+" again "+r.Host) },
		}
	}
	ctx := content.WithTrace(t.Context(), note("outer"))
	ctx = content.WithTrace(ctx, content.Trace{})
	ctx = content.WithTrace(ctx, note("inner"))
	trace := content.TraceOf(ctx)
	trace.Got("r", 1)
	trace.Again(content.Retry{Host: "r"})
	if want := []string{"outer got r", "inner got r", "outer again r", "inner again r"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestAContextWithoutATraceTellsNobody(t *testing.T) {
	trace := content.TraceOf(t.Context())
	trace.Got("r", 1)
	trace.Again(content.Retry{})
}
