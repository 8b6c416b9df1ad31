package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/wherry-dev/wherry/internal/testlink"
)

// laneCounts are the fixed numbers of lanes that are tried, in the order in which they are: those that are likely to be
// fast first, since what is much slower than the best so far is not waited for.
var laneCounts = []int{24, 16, 12, 8, 6, 4, 3, 2, 1}

const (
	linkTime   = 5 * time.Second // a pull over a drawn link takes about that with the best number of lanes
	mostOfLink = 120e6           // bytes a second that this machine is trusted to carry over a link
	patience   = 1.3             // what takes so many times as long as the best so far is not waited for
)

// links compares the number of lanes that is found with the best one that is told.
var links = scenario{
	name: "links", title: "The number of lanes that is found, against the best fixed one", runs: 3,
	alone: func(ctx context.Context, b *bench, r *result) (err error) {
		r.Note = fmt.Sprintf("A layer over links drawn from the seed %d, to a layout in memory: with the number of lanes that wherry finds by itself, and with each of "+
			"1, 2, 3, 4, 6, 8, 12, 16 and 24 (--lanes). What takes 1.3 times as long as the best so far, and a second more, is not waited for; the best runs as often as "+
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
			shape := testlink.Draw(rnd, mostOfLink)
			size := shape.Rate(laneCounts[0]) * int64(linkTime/time.Second)
			img, err := s.make(fmt.Sprintf("links%d", n), size)
			if err != nil {
				return err
			}
			m := b.compareLanes(ctx, pull{name: r.Name, from: s, image: img, shape: shape}, r.Runs)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			shares = append(shares, m.share())
			r.Table = append(r.Table, slices.Concat(linkCells(shape), []string{fmt.Sprintf("%.0f MB", float64(size)/1e6)}, m.cells()))
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

// A laneMatch is how the number of lanes that was found did against the best fixed one.
type laneMatch struct {
	best   float64 // seconds; 0 where no fixed number ended within its limit
	lanes  int
	found  spread // seconds; zero where a pull failed
	atOnce spread // connections, where the number was found
}

// share is the time of the best fixed number ÷ that of the number found: none where that failed, all where that alone
// ended.
func (m laneMatch) share() float64 {
	switch {
	case m.found.median == 0:
		return 0
	case m.best == 0:
		return 1
	}
	return m.best / m.found.median
}

// cells are the last ones of a link.
func (m laneMatch) cells() []string {
	best, found := "none came near", "failed"
	if m.best > 0 {
		best = fmt.Sprintf("%s with %d", seconds(m.best), m.lanes)
	}
	if m.found.median > 0 {
		found = times([]float64{m.found.least, m.found.median, m.found.most})
	}
	return []string{best, found, count(m.atOnce), percent(m.share())}
}

// compareLanes pulls with the number of lanes that wherry finds, with every fixed one, and with the best again. A fixed
// number that fails is out.
func (b *bench) compareLanes(ctx context.Context, p pull, runs int) (m laneMatch) {
	found, failed := row{}, false
	for range runs {
		got, _, err := b.pull(ctx, p)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: found: %v\n", p.name, err)
			failed = true
			continue
		}
		report(p.name, "found", got)
		found.Samples = append(found.Samples, got)
	}
	limit := runTime.Seconds()
	if !failed {
		m.found, m.atOnce = spreadOf(found.column(wall)), spreadOf(found.column(atOnce))
		limit = m.found.median
	}
	for _, lanes := range laneCounts {
		took, ok := b.withLanes(ctx, p, lanes, limit)
		if ok && (m.lanes == 0 || took < m.best) {
			m.best, m.lanes, limit = took, lanes, min(limit, took)
		}
	}
	if m.lanes == 0 {
		return m
	}
	all := []float64{m.best}
	for range runs - 1 {
		if took, ok := b.withLanes(ctx, p, m.lanes, limit); ok {
			all = append(all, took)
		}
	}
	m.best = spreadOf(all).median
	return m
}

// withLanes pulls with a fixed number of lanes and returns how many seconds that took, unless it failed or took much
// longer than limit.
func (b *bench) withLanes(ctx context.Context, p pull, lanes int, limit float64) (took float64, ok bool) {
	p.more = []string{"--lanes", fmt.Sprint(lanes)}
	p.limit = time.Duration((patience*limit + 1) * float64(time.Second))
	got, _, err := b.pull(ctx, p)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %d lanes: %v\n", p.name, lanes, err)
		return 0, false
	}
	report(p.name, fmt.Sprintf("%d lanes", lanes), got)
	return got.Wall, true
}
