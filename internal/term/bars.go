package term

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/wherry-dev/wherry/transfer"
)

// Columns of what stands before and behind a bar, and of all of it where there
// is no terminal.
const (
	lineWidth = 80
	nameWidth = 14
	sizeWidth = 18
	paceWidth = 26
)

// bars shows a run as a bar for each blob under way and one for all of it, and a
// line about the hosts that give something where there are several.
type bars struct {
	screen  *Screen
	retries retries
	pace    atomic.Pointer[transfer.Pace] // read by whoever draws
	shown   *mpb.Progress
	total   *mpb.Bar
	hosts   *mpb.Bar
	blobs   map[digest.Digest]*mpb.Bar
	close   sync.Once
}

func newBars(s *Screen) *bars {
	b := &bars{screen: s, shown: s.newBars(), blobs: map[digest.Digest]*mpb.Bar{}}
	s.show(b.shown)
	return b
}

// Close takes the bars down. What was copied is for the verb to say.
func (b *bars) Close() {
	b.close.Do(func() {
		for _, bar := range b.blobs {
			bar.Abort(true)
		}
		for _, bar := range []*mpb.Bar{b.hosts, b.total} {
			if bar != nil {
				bar.Abort(true)
			}
		}
		b.screen.Clear()
		b.shown.Wait()
		b.screen.show(nil)
	})
}

func (b *bars) Observe(e transfer.Event) {
	switch e.Kind {
	case transfer.RunStarted:
		b.begin(e.Bytes)
	case transfer.RunProgress, transfer.RunDone:
		b.tell(e.Pace)
	case transfer.Retrying:
		if line := b.retries.line(e); line != "" {
			_, _ = b.screen.Write([]byte(line + "\n")) // a standard error that is gone does not stop a copy
		}
	case transfer.BlobStarted, transfer.BlobProgress:
		b.start(e)
		if bar := b.blobs[e.Desc.Digest]; bar != nil {
			bar.SetCurrent(e.Bytes)
		}
	case transfer.BlobDone:
		if bar := b.blobs[e.Desc.Digest]; bar != nil {
			bar.Abort(true)
		}
		delete(b.blobs, e.Desc.Digest)
	case transfer.ImageDone:
	}
}

// begin shows the bar of a run that moves total bytes.
func (b *bars) begin(total int64) {
	if total == 0 {
		return
	}
	b.pace.Store(&transfer.Pace{Total: total})
	speed := decor.Any(func(decor.Statistics) string { return speedText(b.pace.Load()) }, decor.WC{W: paceWidth})
	b.total = b.add(total, "total", math.MaxInt, speed)
}

// tell shows how far the run has come.
func (b *bars) tell(p *transfer.Pace) {
	if b.total == nil || p == nil {
		return
	}
	b.pace.Store(p)
	b.total.SetCurrent(p.Done)
	if b.hosts != nil || len(p.Hosts) < 2 {
		return
	}
	text := decor.Any(func(decor.Statistics) string { return hostsText(b.pace.Load()) })
	// Bars that have ended show nothing any more, and give none.
	b.hosts, _ = b.shown.Add(0, mpb.NopStyle().Build(), mpb.BarPriority(math.MaxInt), mpb.PrependDecorators(text))
}

// start shows the bar of e's blob, unless it is shown.
func (b *bars) start(e transfer.Event) {
	if b.blobs[e.Desc.Digest] != nil || e.Desc.Size == 0 {
		return
	}
	if bar := b.add(e.Desc.Size, shortDigest(e.Desc.Digest), 0, nil); bar != nil {
		b.blobs[e.Desc.Digest] = bar
	}
}

// add returns a bar for total bytes, or nil where nothing is shown any more.
func (b *bars) add(total int64, name string, priority int, behind decor.Decorator) *mpb.Bar {
	style := mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]")
	counters := decor.Any(func(s decor.Statistics) string {
		return Size(s.Current) + "/" + Size(s.Total)
	}, decor.WC{W: sizeWidth})
	after := []decor.Decorator{counters}
	if behind != nil {
		after = append(after, behind)
	}
	bar, err := b.shown.Add(total, style.Build(),
		mpb.BarPriority(priority),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name, decor.WC{W: nameWidth, C: decor.DindentRight})),
		mpb.AppendDecorators(after...),
	)
	if err != nil {
		return nil
	}
	return bar
}
