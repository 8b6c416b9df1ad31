package cli

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/term"
	"github.com/wherry-dev/wherry/transfer"
)

// A teller says on standard error what a verb waits for while nothing else does. It is
// safe for concurrent use.
type teller struct {
	mu       sync.Mutex
	progress term.Progress // nil until there is something to say
	hushed   int           // moves under way, which say it
}

// tellRetries returns ctx with what is told where something is asked of a host once more:
// a line, as progress is shown.
func (f *Factory) tellRetries(ctx context.Context) context.Context {
	return content.WithTrace(ctx, content.Trace{Again: func(r content.Retry) {
		mode, err := f.progressMode()
		if err != nil {
			return // the configuration is wrong, which is an error of its own
		}
		if mode == term.TTY {
			mode = term.Plain // lines stand above bars, where there are some
		}
		f.retries.tell(r, func() term.Progress { return term.NewProgress(f.Err, mode) })
	}})
}

func (t *teller) tell(r content.Retry, open func() term.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hushed > 0 {
		return
	}
	if t.progress == nil {
		t.progress = open()
	}
	t.progress.Observe(transfer.Event{Kind: transfer.Retrying, Host: r.Host, Desc: r.Desc, Bytes: r.Offset, Wait: r.Wait, Err: r.Reason})
}

// hush has t say nothing more until what it returns, and that of all others that had it
// hush, is called.
func (t *teller) hush() (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hushed++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.hushed--
	}
}

// listingEvery is how often it is said that a list goes on.
const listingEvery = 10 * time.Second

// counted yields names, those that a host or repository lists, and says now and then how
// many there are so far: nobody knows how long such a list is.
func (f *Factory) counted(place string, names iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		n, told := 0, time.Now()
		for name, err := range names {
			if !yield(name, err) {
				return
			}
			if n++; err == nil && time.Since(told) >= listingEvery {
				told = time.Now()
				f.Note("%s has listed %d names so far, and goes on", place, n)
			}
		}
	}
}
