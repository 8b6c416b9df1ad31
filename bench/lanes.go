package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"time"

	"github.com/wherry-dev/wherry/internal/testlink"
)

// laneCounts are the fixed numbers of lanes that are tried, in the order in which they are: those that are likely to be
// fast first, since what is much slower than the best so far is not waited for.
var laneCounts = []int{24, 16, 12, 8, 6, 4, 3, 2, 1}

const (
	linkTime   = 5 * time.Second // a pull over a drawn link takes about that with the best number of lanes
	mostOfLink = 120e6           // bytes a second that this machine is trusted to carry over a link
)

// links compares the number of lanes that is found with the best one that is told.
var links = scenario{
	name: "links", title: "The number of lanes that is found, against the best fixed one", runs: 3,
	alone: func(ctx context.Context, b *bench, r *result) (err error) {
		r.Note = fmt.Sprintf("A layer over links drawn from the seed %d, to a layout in memory: with the number of lanes that wherry finds by itself, and with each of "+
			"1, 2, 3, 4, 6, 8, 12, 16 and 24 (--lanes). What takes 1.3 times as long as the best so far is not waited for; the best runs as often as "+
			"wherry by itself, and medians are compared. The share is the time of the best fixed number ÷ the time with the number found.", b.seed)
		t, err := b.wherry()
		if err != nil {
			return err
		}
		if !hasLanes(ctx, t) {
			r.Table = [][]string{{"not measured: this wherry has no --lanes"}}
			return nil
		}
		s, err := startSynthetic(ctx, 0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		rnd := rand.New(rand.NewPCG(b.seed, 0))
		r.Table = [][]string{{"there and back", "a connection", "in total", "pauses", "resets", "size", "best fixed", "found", "at once", "share"}}
		var shares []float64
		for n := range b.links {
			shape := drawLink(rnd)
			size := int64(fastest(shape) * linkTime.Seconds())
			img, err := s.make(fmt.Sprintf("links%d", n), size)
			if err != nil {
				return err
			}
			m, err := b.compareLanes(ctx, pull{name: r.Name, from: s, image: img, shape: shape}, r.Runs)
			if err != nil {
				return err
			}
			shares = append(shares, m.best/m.found.median)
			r.Table = append(r.Table, append(linkCells(shape), fmt.Sprintf("%.0f MB", float64(size)/1e6), fmt.Sprintf("%s with %d", seconds(m.best), m.lanes),
				fmt.Sprintf("%s (%.2f–%.2f)", seconds(m.found.median), m.found.least, m.found.most), count(m.atOnce), percent(m.best/m.found.median)))
		}
		all := spreadOf(shares)
		r.Bars = []bar{
			{What: "least share", Got: percent(all.least), Want: "≥ 90 %", Reached: all.least >= 0.9},
			{What: "median share", Got: percent(all.median), Want: "≥ 90 %", Reached: all.median >= 0.9},
		}
		return nil
	},
}

// hasLanes asks wherry for help about a flag.
func hasLanes(ctx context.Context, t tool) bool {
	return exec.CommandContext(ctx, t.path, "copy", "--lanes", "1", "--help").Run() == nil
}

// drawLink draws a link: what it is like is spread evenly over orders of magnitude.
func drawLink(rnd *rand.Rand) testlink.Shape {
	between := func(low, high float64) float64 { return low * math.Pow(high/low, rnd.Float64()) }
	s := testlink.Shape{RTT: time.Duration(between(5, 150) * float64(time.Millisecond)).Round(time.Millisecond), Seed: rnd.Uint64()}
	if rnd.IntN(4) > 0 {
		s.PerConn = int64(between(2e6, 40e6))
	}
	if s.PerConn == 0 || rnd.IntN(4) > 0 {
		s.Total = int64(between(15e6, mostOfLink))
	}
	if rnd.IntN(2) == 0 {
		s.Pauses = testlink.Pauses{Every: int64(between(10e6, 100e6)), Min: 100 * time.Millisecond, Max: 2 * time.Second}
	}
	if rnd.IntN(2) == 0 {
		s.Resets = testlink.Resets{Every: int64(between(20e6, 200e6))}
	}
	return s
}

// fastest is the most bytes a second that a link lets through with as many lanes as are tried.
func fastest(s testlink.Shape) float64 {
	rate := mostOfLink
	if s.Total > 0 {
		rate = float64(s.Total)
	}
	if s.PerConn > 0 {
		rate = min(rate, float64(laneCounts[0])*float64(s.PerConn))
	}
	return rate
}

// linkCells are a link's first cells.
func linkCells(s testlink.Shape) []string {
	rate := func(n int64) string {
		if n == 0 {
			return "–"
		}
		return fmt.Sprintf("%.1f MB/s", float64(n)/1e6)
	}
	every := func(n int64) string {
		if n == 0 {
			return "–"
		}
		return fmt.Sprintf("every %.0f MB", float64(n)/1e6)
	}
	return []string{fmt.Sprintf("%d ms", s.RTT.Milliseconds()), rate(s.PerConn), rate(s.Total), every(s.Pauses.Every), every(s.Resets.Every)}
}

// laneMatch is how the number of lanes that was found did against the best fixed one.
type laneMatch struct {
	best   float64 // seconds
	lanes  int
	found  spread // seconds
	atOnce spread // connections, where the number was found
}

// compareLanes pulls with the number of lanes that wherry finds, with every fixed one, and with the best again.
func (b *bench) compareLanes(ctx context.Context, p pull, runs int) (m laneMatch, err error) {
	found := row{}
	for range runs {
		got, _, err := b.pull(ctx, p)
		if err != nil {
			return m, err
		}
		report(p.name, "found", got)
		found.Samples = append(found.Samples, got)
	}
	m.found, m.atOnce = spreadOf(found.column(wall)), spreadOf(found.column(atOnce))
	m.best = m.found.median
	var walls []float64
	fixed := func(lanes int) error {
		q := p
		q.more = []string{"--lanes", fmt.Sprint(lanes)}
		q.limit = time.Duration((1.3*m.best + 1) * float64(time.Second))
		got, _, err := b.pull(ctx, q)
		if errors.Is(err, errSlow) {
			return nil
		}
		if err != nil {
			return err
		}
		report(p.name, fmt.Sprintf("%d lanes", lanes), got)
		switch {
		case lanes == m.lanes:
			walls = append(walls, got.Wall)
		case m.lanes == 0 || got.Wall < m.best:
			m.best, m.lanes, walls = got.Wall, lanes, []float64{got.Wall}
		}
		return nil
	}
	for _, lanes := range laneCounts {
		if err := fixed(lanes); err != nil {
			return m, err
		}
	}
	if m.lanes == 0 {
		return m, nil // none came near
	}
	for range runs - 1 {
		if err := fixed(m.lanes); err != nil {
			return m, err
		}
	}
	m.best = spreadOf(walls).median
	return m, nil
}
