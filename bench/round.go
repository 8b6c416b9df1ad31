package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/wherry-dev/wherry/internal/testlink"
)

// measure runs every tool once without counting, then in turns, each repetition beginning with another tool.
// A peer that fails is left out of the rest of the scenario; wherry has to succeed.
func (b *bench) measure(ctx context.Context, sc scenario) (result, error) {
	if sc.ready != nil {
		if err := sc.ready(ctx, b); err != nil {
			return result{}, err
		}
	}
	r := result{Name: sc.name, Title: sc.title, Note: sc.note, Runs: cmp.Or(b.runs, sc.runs, usualRuns), PeerRuns: sc.peerRuns}
	if sc.alone != nil {
		return r, sc.alone(ctx, b, &r)
	}
	tools := b.tools
	if sc.quiet && tools[0].name == own {
		tools = append([]tool{tools[0], tools[0].quiet()}, tools[1:]...)
	}
	for _, t := range tools {
		r.Tools = append(r.Tools, row{Name: t.name})
	}
	first := 0
	if sc.cold {
		first = 1
	}
	for round := first; round <= r.Runs; round++ {
		if err := b.round(ctx, sc, tools, round, &r); err != nil {
			return result{}, err
		}
	}
	if sc.bars != nil && r.Tools[0].Name == own {
		r.Bars = sc.bars(r)
	}
	return r, nil
}

// round is one run of every tool that still takes part.
func (b *bench) round(ctx context.Context, sc scenario, tools []tool, round int, r *result) error {
	for i := range tools {
		i := (i + round) % len(tools)
		if r.Tools[i].Failed != "" || r.PeerRuns > 0 && round > r.PeerRuns && tools[i].name != own {
			continue
		}
		if err := b.turn(ctx, sc, tools[i], round, &r.Tools[i]); err != nil {
			return err
		}
	}
	return nil
}

// own is the name of the tool that must not fail.
const own = "wherry"

// turn is one run of one tool, whose figures go to its row unless it is the first.
func (b *bench) turn(ctx context.Context, sc scenario, t tool, round int, to *row) error {
	s, err := b.once(ctx, sc, t, fmt.Sprintf("%s-%d-%s", sc.name, round, filepath.Base(t.path)))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && t.path == b.tools[0].path && b.tools[0].name == own:
		return err
	case err != nil:
		to.Failed = err.Error()
		fmt.Fprintf(os.Stderr, "%s: %v\n", sc.name, err)
	case round > 0:
		to.Samples = append(to.Samples, s)
		report(sc.name, t.name, s)
	}
	return nil
}

// report tells who waits what a run gave.
func report(scenario, who string, s sample) {
	fmt.Fprintf(os.Stderr, "%-14s %-28s %8.3f s  cpu %6.3f s  %6.1f MiB  %3d requests  %2d connections\n",
		scenario, who, s.Wall, s.CPU, mebibytes(s), s.Requests, s.Conns)
}

// once is one run of one tool: its folders and its link are made before and removed after, and what it made is checked.
func (b *bench) once(ctx context.Context, sc scenario, t tool, name string) (s sample, err error) {
	if sc.before != nil {
		if err := sc.before(ctx, b); err != nil {
			return sample{}, err
		}
	}
	if sc.behind != nil {
		r := sc.behind(b)
		if b.link, err = testlink.Listen(ctx, r.host, longLink); err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, b.link.Close()) }()
		if r.tls {
			t.env = append(slices.Clip(t.env), b.trust())
		}
	}
	asked := b.asked()
	s, err = b.trial(ctx, trial{
		name: name, disk: sc.disk, tool: t,
		args: func(dir string) []string { return sc.args(b, t, dir) },
		check: func(dir string) error {
			if sc.check == nil {
				return nil
			}
			return sc.check(ctx, b, dir)
		},
	})
	s.Requests = b.asked() - asked
	if sc.behind != nil {
		stats := b.link.Stats()
		s.Conns, s.AtOnce = stats.Opened, stats.Most
	}
	return s, err
}

// trust is the variable that makes programs written in Go believe the certificate of the registries that speak https.
func (b *bench) trust() string { return "SSL_CERT_FILE=" + b.keys.certificate }

// A trial is one run of a tool.
type trial struct {
	name  string // of its folder
	disk  bool   // on disk, which is flushed within the measured time
	tool  tool
	args  func(dir string) []string
	check func(dir string) error // what it made
}

// trial runs a tool in a new folder, looks at what it made, and removes the folder. Where the tool fails, there is a
// sample beside the error, if it ended by itself.
func (b *bench) trial(ctx context.Context, t trial) (s sample, err error) {
	dir, syncFolder := filepath.Join(b.memory, t.name), noSync
	if t.disk {
		dir = filepath.Join(b.disk, t.name)
		syncFolder = b.disk
		if err := flush(b.disk); err != nil { // what others left is not this tool's
			return sample{}, err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return sample{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if s, err = clock(ctx, t.tool, t.args(dir), syncFolder, dir); err == nil {
		err = t.check(dir)
	}
	return s, err
}

// wherry is the tool that is measured alone, or an error where it is not there.
func (b *bench) wherry() (tool, error) {
	if b.tools[0].name != own {
		return tool{}, errors.New("bin/wherry is not there: make build makes it")
	}
	return b.tools[0], nil
}
