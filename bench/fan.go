package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/wherry-dev/wherry/internal/testlink"
)

// partly is the exit status where some of several destinations failed.
const partly = 3

// fan looks what more destinations cost.
var fan = scenario{
	name: "fan", title: "One source, three registries", runs: 1,
	note: "The real image from its registry to three registries behind links of 10 ms that let 60, 50 and 40 MB/s through: to each alone, to all at once, " +
		"and to the same with a fourth where nobody listens. The source's bytes are counted on its own link, which has no caps.",
	alone: func(ctx context.Context, b *bench, r *result) (err error) {
		f := fanOut{bench: b, name: r.Name}
		defer func() { err = errors.Join(err, f.stop()) }()
		if err := f.start(ctx); err != nil {
			return err
		}
		dead, err := nobody(ctx)
		if err != nil {
			return err
		}
		r.Apart = true
		everywhere := []int{0, 1, 2}
		slowest := 0.0
		var reads, dies []float64
		for range r.Runs {
			alone := 0.0
			for i := range f.ends {
				got, _, err := f.copy(ctx, fmt.Sprintf("to the %s alone", f.names[i]), []int{i}, "")
				if err != nil {
					return err
				}
				alone = max(alone, got.Wall)
				f.add(&r.Tools, fmt.Sprintf("to the %s alone", f.names[i]), got)
			}
			got, read, err := f.copy(ctx, "to all three", everywhere, "")
			if err != nil {
				return err
			}
			f.add(&r.Tools, "to all three", got)
			slowest, reads = max(slowest, got.Wall/alone), append(reads, read)
			got, _, err = f.copy(ctx, "and to a dead one", everywhere, dead)
			if got.Exit != partly {
				return errors.Join(fmt.Errorf("exit status %d with a dead destination, want %d", got.Exit, partly), err)
			}
			f.add(&r.Tools, "and to a dead one", got)
			dies = append(dies, got.Wall/alone)
		}
		r.Bars = []bar{
			atMost("bytes of the source ÷ size of the image", "%.3f", spreadOf(reads).most, 1.005),
			atMost("wall to all three ÷ the slowest alone", "%.2f", slowest, 1.15),
			{What: "the others have all of it where one is dead, and the exit status says so", Got: "yes", Want: "yes", Reached: true},
		}
		r.Table = [][]string{{"wall with a dead one ÷ the slowest alone", fmt.Sprintf("%.2f", spreadOf(dies).median)}}
		return nil
	},
}

// A fanOut is the registries that an image goes to, each behind its link.
type fanOut struct {
	bench *bench
	name  string
	names []string
	ends  []*synthetic
	links []*testlink.Link
}

func (f *fanOut) start(ctx context.Context) error {
	for _, rate := range []int64{60, 50, 40} {
		s, err := startSynthetic(ctx, 0)
		if err != nil {
			return err
		}
		f.ends = append(f.ends, s)
		l, err := testlink.Listen(ctx, s.host, testlink.Shape{RTT: longLink.RTT / 5, Total: rate * 1e6})
		if err != nil {
			return err
		}
		f.links = append(f.links, l)
		f.names = append(f.names, fmt.Sprintf("one at %d MB/s", rate))
	}
	return nil
}

func (f *fanOut) stop() error {
	var errs []error
	for _, l := range f.links {
		errs = append(errs, l.Close())
	}
	for _, s := range f.ends {
		errs = append(errs, s.stop())
	}
	return errors.Join(errs...)
}

// add puts a sample into the row of that name.
func (f *fanOut) add(rows *[]row, name string, s sample) {
	i := slices.IndexFunc(*rows, func(r row) bool { return r.Name == name })
	if i < 0 {
		i = len(*rows)
		*rows = append(*rows, row{Name: name})
	}
	(*rows)[i].Samples = append((*rows)[i].Samples, s)
}

// copy sends the real image to some of the ends, and to dead where that is not "". read is what the source gave for each byte
// of the image. All ends but the dead one must have the image then, also where there is an error.
func (f *fanOut) copy(ctx context.Context, what string, to []int, dead string) (s sample, read float64, err error) {
	b := f.bench
	t, err := b.wherry()
	if err != nil {
		return sample{}, 0, err
	}
	src, err := testlink.Listen(ctx, b.src.host, testlink.Shape{})
	if err != nil {
		return sample{}, 0, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	args := []string{"copy", placeOf(src.Addr(), b.real.repository).ref}
	for _, i := range to {
		f.ends[i].forget()
		args = append(args, placeOf(f.links[i].Addr(), "copy").ref)
	}
	if dead != "" {
		args = append(args, placeOf(dead, "copy").ref)
	}
	asked := b.asked()
	s, err = b.trial(ctx, trial{
		name: f.name, tool: t,
		args:  func(string) []string { return args },
		check: func(string) error { return nil },
	})
	s.Requests = b.asked() - asked
	for _, i := range to {
		s.Requests += int(f.ends[i].requests.Swap(0))
		if missing := f.ends[i].has("copy", b.real); missing != nil {
			return sample{}, 0, errors.Join(missing, err)
		}
	}
	report(f.name, what, s)
	return s, float64(src.Stats().Down) / float64(b.real.size()), err
}

// nobody is an address where nobody listens.
func nobody(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
