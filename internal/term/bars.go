package term

import (
	"math"
	"sync"

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

// bars shows a run as a bar for each blob under way and one for all of it.
type bars struct {
	screen *Screen
	pace   pace
	shown  *mpb.Progress
	total  *mpb.Bar
	blobs  map[digest.Digest]*mpb.Bar
	close  sync.Once
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
		if b.total != nil {
			b.total.Abort(true)
		}
		b.screen.Clear()
		b.shown.Wait()
		b.screen.show(nil)
	})
}

func (b *bars) Observe(e transfer.Event) {
	b.pace.observe(e)
	switch e.Kind {
	case transfer.RunStarted:
		if e.Bytes == 0 {
			return
		}
		b.total = b.add(e.Bytes, "total", math.MaxInt, decor.Any(func(decor.Statistics) string { return b.pace.String() }, decor.WC{W: paceWidth}))
	case transfer.BlobStarted:
		b.start(e)
	case transfer.BlobProgress:
		b.start(e)
		if bar := b.blobs[e.Desc.Digest]; bar != nil {
			bar.SetCurrent(e.Bytes)
		}
	case transfer.BlobDone:
		if bar := b.blobs[e.Desc.Digest]; bar != nil {
			bar.Abort(true)
		}
		delete(b.blobs, e.Desc.Digest)
	case transfer.ImageDone, transfer.RunDone:
	}
	if b.total != nil {
		done, _ := b.pace.bytes()
		b.total.SetCurrent(done)
	}
}

// start shows the bar of e's blob, unless it is shown.
func (b *bars) start(e transfer.Event) {
	if b.blobs[e.Desc.Digest] != nil || e.Desc.Size == 0 {
		return
	}
	name := e.Desc.Digest.Encoded()
	if bar := b.add(e.Desc.Size, name[:min(12, len(name))], 0, nil); bar != nil {
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
