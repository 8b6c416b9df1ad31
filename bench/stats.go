package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A result is what one scenario gave.
type result struct {
	Name, Title, Note string
	Runs, PeerRuns    int // measured runs of wherry, and of its peers where those are fewer
	Tools             []row
	Apart             bool       // the rows do different work, and are not compared
	Table             [][]string // what does not fit into rows of tools; the first line is the head
	Bars              []bar
}

// A bar is what an issue or a promise asks of a scenario.
type bar struct {
	What, Got, Want string
	Reached         bool
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

// interval is where the median of what the figures are drawn from lies, with 95 % confidence or a little more: between two of
// the figures, by the ranks that a fair coin gives (the sign test turned round). Fewer than six figures cannot say.
func interval(figures []float64) (low, high float64, known bool) {
	f := slices.Sorted(slices.Values(figures))
	n := len(f)
	below := math.Pow(0.5, float64(n)) // the chance that exactly k of n figures are below the median
	tail, k := 0.0, 0
	for ; k < n; k++ {
		if tail += below; tail > 0.025 {
			break
		}
		below *= float64(n-k) / float64(k+1)
	}
	if k == 0 {
		return 0, 0, false
	}
	return f[k-1], f[n-k], true
}

// peers are the rows that wherry, the first, is compared with.
func (r result) peers() []row {
	var all []row
	for i, t := range r.Tools {
		if i > 0 && t.Failed == "" && len(t.Samples) > 0 && !strings.HasPrefix(t.Name, r.Tools[0].Name) {
			all = append(all, t)
		}
	}
	return all
}

// best is the peer whose median of a figure is least, of those not named; none is the zero row.
func (r result) best(figure func(sample) float64, but ...string) row {
	peers := slices.DeleteFunc(r.peers(), func(t row) bool { return slices.Contains(but, t.Name) })
	if len(peers) == 0 {
		return row{}
	}
	return slices.MinFunc(peers, func(a, b row) int {
		return cmp.Compare(spreadOf(a.column(figure)).median, spreadOf(b.column(figure)).median)
	})
}

// level asks that wherry's figure be no more than that of the best peer: the interval of the median ratio of the rounds
// reaches 1, and the median itself is 1.05 at most.
func (r result) level(what string, figure func(sample) float64, but ...string) bar {
	peer := r.best(figure, but...)
	all := ratios(r.Tools[0].column(figure), peer.column(figure))
	b := bar{What: what + " ÷ that of the best peer, " + peer.Name, Want: "95 % interval reaches 1, middle ≤ 1.05", Got: "–"}
	low, high, known := interval(all)
	switch middle := spreadOf(all).median; {
	case len(all) == 0:
		b.What = what + " ÷ that of the best peer: there is none"
	case !known:
		b.Got = fmt.Sprintf("%.2f, too few rounds", middle)
	default:
		b.Got, b.Reached = fmt.Sprintf("%.2f [%.2f–%.2f]", middle, low, high), low <= 1 && middle <= 1.05
	}
	return b
}

// faster asks that wherry be so many times as fast as the best peer.
func (r result) faster(times float64) bar {
	peer := r.best(wall)
	b := bar{What: "wall of the best peer, " + peer.Name + ", ÷ wherry's", Want: fmt.Sprintf("≥ %.1f", times), Got: "–"}
	own := spreadOf(r.Tools[0].column(wall)).median
	if len(peer.Samples) == 0 || own == 0 {
		b.What = "wall of the best peer ÷ wherry's: there is none"
		return b
	}
	got := spreadOf(peer.column(wall)).median / own
	b.Got, b.Reached = fmt.Sprintf("%.1f", got), got >= times
	return b
}

// atMost asks that a figure be no greater than a limit; format prints both.
func atMost(what, format string, got, limit float64) bar {
	return bar{What: what, Got: fmt.Sprintf(format, got), Want: "≤ " + fmt.Sprintf(format, limit), Reached: got <= limit}
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
func conns(s sample) float64     { return float64(s.Conns) }
func atOnce(s sample) float64    { return float64(s.AtOnce) }

// seconds prints a duration with as many digits as it deserves.
func seconds(v float64) string {
	if v < 0.1 {
		return fmt.Sprintf("%.0f ms", v*1000)
	}
	return fmt.Sprintf("%.2f s", v)
}
