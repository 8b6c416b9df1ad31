package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wherry-dev/wherry/internal/testlink"
)

// bearable is how many requests for blobs at once the registry of the scenario "limit" answers.
const bearable = 4

// batch returns the sizes of many layers, of which a few are large.
func batch() []int64 {
	const layers, step = 400, 100
	sizes := make([]int64, layers)
	for i := range sizes {
		sizes[i] = 16 << 10 << (i % 7) // up to 1 MiB
		if i%step == step/2 {
			sizes[i] = gibibyte / 4
		}
	}
	return sizes
}

// limited counts what a registry refuses that takes few requests at once.
var limited = scenario{
	name: "limit", title: "A registry that takes four requests at once", runs: 1,
	note: "An image of 400 layers over the long link, to a layout in memory: every hundredth has 256 MiB, the others from 16 KiB to 1 MiB. The " +
		"registry answers 429 where more than four requests for blobs are open, and does not say when to come back.",
	alone: func(ctx context.Context, b *bench, r *result) (err error) {
		s, err := startSynthetic(ctx, bearable)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		img, err := s.make("limit", batch()...)
		if err != nil {
			return err
		}
		worst, most := 0.0, int64(0)
		r.Table = [][]string{{"run", "wall", "requests", "answered 429", "connections at once"}}
		for round := range r.Runs {
			refused := s.refused.Load()
			got, _, err := b.pull(ctx, pull{name: r.Name, from: s, image: img, shape: longLink})
			if err != nil {
				return err
			}
			refused = s.refused.Load() - refused
			share := float64(refused) / float64(got.Requests)
			worst, most = max(worst, share), max(most, refused)
			report(r.Name, fmt.Sprintf("refused %d, %s", refused, percent(share)), got)
			r.Table = append(r.Table, []string{
				fmt.Sprint(round + 1), seconds(got.Wall), fmt.Sprint(got.Requests), fmt.Sprintf("%d, %s", refused, percent(share)), fmt.Sprint(got.AtOnce),
			})
		}
		r.Bars = []bar{atMost(fmt.Sprintf("requests answered 429, of a hundred; %d at most", most), "%.1f", 100*worst, 1)}
		return nil
	},
}

// narrow counts the lanes on a link that many do not make faster.
var narrow = scenario{
	name: "total-cap", title: "A link with a cap in total", runs: 1,
	note: "A layer of 400 MB over a link of 50 ms there and back that lets 20 MB/s through in total, however many connections there are, to a layout " +
		"in memory. Lanes are the connections that bring bytes within 200 ms, in the second half of the bytes.",
	alone: func(ctx context.Context, b *bench, r *result) (err error) {
		s, err := startSynthetic(ctx, 0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		img, err := s.make("narrow", layerSize)
		if err != nil {
			return err
		}
		worst := 0.0
		r.Table = [][]string{{"run", "wall", "of the link's rate", "lanes (least–most)", "connections", "at once"}}
		for round := range r.Runs {
			got, moments, err := b.pull(ctx, pull{name: r.Name, from: s, image: img, shape: testlink.Shape{RTT: longLink.RTT, Total: 20e6}})
			if err != nil {
				return err
			}
			lanes := spreadOf(busy(moments))
			worst = max(worst, lanes.median)
			report(r.Name, fmt.Sprintf("%.0f lanes", lanes.median), got)
			r.Table = append(r.Table, []string{
				fmt.Sprint(round + 1), seconds(got.Wall), percent(layerSize / 20e6 / got.Wall),
				fmt.Sprintf("%.0f (%.0f–%.0f)", lanes.median, lanes.least, lanes.most), fmt.Sprint(got.Conns), fmt.Sprint(got.AtOnce),
			})
		}
		r.Bars = []bar{atMost("lanes, median of the second half", "%.0f", worst, 3)}
		return nil
	},
}

// paced looks whether a rate that was asked for is kept.
var paced = scenario{
	name: "rate", title: "A rate of 20 MB/s", runs: 1,
	note: "An image of four layers of 150 MB with --limit-rate 20MB/s over a link without caps, to a layout in memory. Bytes are counted on the " +
		"link, in every span of 10 s, one beginning each 200 ms, from the first byte on.",
	alone: func(ctx context.Context, b *bench, r *result) (err error) {
		const rate, span = 20e6, 10 * time.Second
		s, err := startSynthetic(ctx, 0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		img, err := s.make("paced", 150e6, 150e6, 150e6, 150e6)
		if err != nil {
			return err
		}
		got, moments, err := b.pull(ctx, pull{name: r.Name, from: s, image: img, more: []string{"--limit-rate", "20MB/s"}})
		if err != nil {
			return err
		}
		spans := spansOf(moments, int(span/tick))
		if len(spans) == 0 {
			return fmt.Errorf("all was over in %s", seconds(got.Wall))
		}
		all := spreadOf(spans)
		report(r.Name, fmt.Sprintf("%d spans", len(spans)), got)
		mbs := func(bytes float64) string { return fmt.Sprintf("%.2f MB/s", bytes/span.Seconds()/1e6) }
		r.Table = [][]string{{"spans", "median", "least", "most", "wall"}, {fmt.Sprint(len(spans)), mbs(all.median), mbs(all.least), mbs(all.most), seconds(got.Wall)}}
		off := max(all.most/span.Seconds()/rate-1, 1-all.least/span.Seconds()/rate)
		r.Bars = []bar{atMost("farthest from 20 MB/s, in a hundred", "%.1f", 100*off, 5)}
		return nil
	},
}
