package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wherry-dev/wherry/internal/testlink"
)

// A pull is one run of wherry that gets an image from a synthetic registry over a link.
type pull struct {
	name  string
	from  *synthetic
	image image
	shape testlink.Shape
	more  []string // arguments
	disk  bool
	to    func(dir string) string // nil is a layout
	check func(dir string) error  // nil looks at the layout
	limit time.Duration           // 0 is runTime
}

// errSlow is that a pull was ended at its limit.
var errSlow = errors.New("slower than the limit")

const tick = 200 * time.Millisecond

// pull runs it. moments are what the link had carried, at every tick of the run.
func (b *bench) pull(ctx context.Context, p pull) (got sample, moments []testlink.Stats, err error) {
	t, err := b.wherry()
	if err != nil {
		return sample{}, nil, err
	}
	link, err := testlink.Listen(ctx, p.from.host, p.shape)
	if err != nil {
		return sample{}, nil, err
	}
	defer func() { err = errors.Join(err, link.Close()) }()
	if p.to == nil {
		p.to = func(dir string) string { return "oci:" + layoutOf(dir) + ":v1" }
	}
	if p.check == nil {
		p.check = func(dir string) error { return checkLayout(layoutOf(dir), p.image) }
	}
	limited, cancel := context.WithTimeout(ctx, cmp.Or(p.limit, runTime))
	defer cancel()
	asked := p.from.requests.Load()
	stop := observe(link)
	got, err = b.trial(limited, trial{
		name: p.name, disk: p.disk, tool: t, check: p.check,
		args: func(dir string) []string {
			return slices.Concat([]string{"copy"}, p.more, []string{placeOf(link.Addr(), p.image.repository).ref, p.to(dir)})
		},
	})
	moments = stop()
	if limited.Err() != nil && ctx.Err() == nil {
		err = errSlow
	}
	last := moments[len(moments)-1]
	got.Requests, got.Conns, got.AtOnce = int(p.from.requests.Load()-asked), last.Opened, last.Most
	return got, moments, err
}

// observe notes what a link has carried at every tick, and at the end, which is when stop is called.
func observe(l *testlink.Link) (stop func() []testlink.Stats) {
	over, done := make(chan struct{}), make(chan struct{})
	var moments []testlink.Stats
	go func() {
		defer close(done)
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				moments = append(moments, l.Stats())
			case <-over:
				moments = append(moments, l.Stats())
				return
			}
		}
	}()
	return func() []testlink.Stats {
		close(over)
		<-done
		return moments
	}
}

// busy is how many connections brought bytes in each tick of the second half of the bytes.
func busy(moments []testlink.Stats) (all []float64) {
	if len(moments) == 0 {
		return nil
	}
	half := moments[len(moments)-1].Down / 2
	for i := 1; i < len(moments); i++ {
		if moments[i-1].Down < half {
			continue
		}
		n := 0
		for c, bytes := range moments[i].Conns {
			if c >= len(moments[i-1].Conns) || bytes > moments[i-1].Conns[c] {
				n++
			}
		}
		all = append(all, float64(n))
	}
	return all
}

// spansOf returns the bytes that came in each span of so many ticks, from the first byte to the last.
func spansOf(moments []testlink.Stats, ticks int) (all []float64) {
	first := slices.IndexFunc(moments, func(s testlink.Stats) bool { return s.Down > 0 })
	if first < 0 {
		return nil
	}
	m := moments[max(0, first-1):]
	m = m[:len(m)-1] // the last was noted between ticks
	for i := ticks; i < len(m) && m[i].Down < moments[len(moments)-1].Down; i++ {
		all = append(all, float64(m[i].Down-m[i-ticks].Down))
	}
	return all
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
