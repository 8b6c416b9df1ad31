package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/wherry-dev/wherry/internal/testlink"
)

// flat is how many times as much memory ten times the bytes may take: a longer run meets worse moments.
const flat = 1.25

// memoryUse looks whether memory grows with the image.
var memoryUse = scenario{
	name: "rss", title: "Memory of an image of 10 GiB", runs: 1,
	note: "Images of four layers, 4 : 3 : 2 : 1, whose bytes are reckoned as they are asked for, over the long link and over one without a length or caps: " +
		"to a layout on disk, and to a registry that keeps digests only. What counts is peak RSS.",
	alone: func(ctx context.Context, b *bench, r *result) (err error) {
		src, err := startSynthetic(ctx, 0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, src.stop()) }()
		dst, err := startSynthetic(ctx, 0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, dst.stop()) }()
		ways := []struct {
			name  string
			shape testlink.Shape
			place string // "" is a layout
			limit float64
		}{
			{"long link to a layout", longLink, "", 160},
			{"long link to a registry", longLink, dst.host + "/copy:v1", 160},
			{"loopback to a layout", testlink.Shape{}, "", 64},
		}
		r.Apart = true
		images := map[int64]image{}
		for _, size := range []int64{1, 10} {
			if images[size], err = src.make(fmt.Sprintf("rss%d", size), tenths(size*gibibyte, 4, 3, 2, 1)...); err != nil {
				return err
			}
		}
		for _, w := range ways {
			most := map[int64]float64{}
			for _, size := range []int64{1, 10} {
				figures := row{Name: fmt.Sprintf("%d GiB, %s", size, w.name)}
				for range r.Runs {
					p := pull{name: r.Name, from: src, image: images[size], shape: w.shape, disk: true}
					if w.place != "" {
						dst.forget()
						p.to = func(string) string { return w.place }
						p.check = func(string) error { return dst.has("copy", images[size]) }
					}
					got, _, err := b.pull(ctx, p)
					if err != nil {
						return err
					}
					report(r.Name, figures.Name, got)
					figures.Samples = append(figures.Samples, got)
				}
				most[size] = spreadOf(figures.column(mebibytes)).most
				r.Tools = append(r.Tools, figures)
			}
			r.Bars = append(r.Bars,
				atMost("peak RSS in MiB, 10 GiB, "+w.name, "%.0f", most[10], w.limit),
				atMost("peak RSS of 10 GiB ÷ 1 GiB, "+w.name, "%.2f", most[10]/most[1], flat))
		}
		return nil
	},
}

// tenths are so many tenths of a size each.
func tenths(size int64, parts ...int64) (all []int64) {
	for _, n := range parts {
		all = append(all, size*n/10)
	}
	return all
}
