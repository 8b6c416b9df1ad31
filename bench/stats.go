package main

import (
	"fmt"
	"slices"
)

// A result is what one scenario gave.
type result struct {
	Name, Title, Note string
	Runs              int
	Tools             []row
}

// A row is one tool in one scenario.
type row struct {
	Name    string
	Samples []sample
	Failed  string // why there are no figures; empty where there are
}

// A spread is the median of some figures, and the least and greatest of them.
type spread struct{ median, least, most float64 }

// spreadOf returns the zero spread for no figures.
func spreadOf(figures []float64) spread {
	if len(figures) == 0 {
		return spread{}
	}
	f := slices.Sorted(slices.Values(figures))
	n := len(f)
	return spread{(f[(n-1)/2] + f[n/2]) / 2, f[0], f[n-1]}
}

// column is one figure of each sample.
func (r row) column(figure func(sample) float64) []float64 {
	var all []float64
	for _, s := range r.Samples {
		all = append(all, figure(s))
	}
	return all
}

// ratios compares figures pair by pair: those of one repetition, which ran next to each other under the same load.
func ratios(figures, base []float64) []float64 {
	var all []float64
	for i := range min(len(figures), len(base)) {
		if base[i] > 0 {
			all = append(all, figures[i]/base[i])
		}
	}
	return all
}

func wall(s sample) float64      { return s.Wall }
func cpu(s sample) float64       { return s.CPU }
func mebibytes(s sample) float64 { return float64(s.RSS) / (1 << 20) }
func requests(s sample) float64  { return float64(s.Requests) }

// seconds prints a duration with as many digits as it deserves.
func seconds(v float64) string {
	if v < 0.1 {
		return fmt.Sprintf("%.0f ms", v*1000)
	}
	return fmt.Sprintf("%.2f s", v)
}
