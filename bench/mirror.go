package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/internal/testlink"
)

// fromMirrors lets wherry pull the real image from a registry behind the first link and mirrors behind the others. share
// is what the first mirror gave of all bytes.
func (b *bench) fromMirrors(ctx context.Context, s speech, name string, links []testlink.Shape) (_ sample, share float64, err error) {
	t, err := b.wherry()
	if err != nil {
		return sample{}, 0, err
	}
	if s == secure {
		t.env = append(slices.Clip(t.env), b.trust())
	}
	var ends []*testlink.Link
	defer func() {
		for _, l := range ends {
			err = errors.Join(err, l.Close())
		}
	}()
	var hosts []string
	for _, shape := range links {
		l, err := testlink.Listen(ctx, s.registry(b).host, shape)
		if err != nil {
			return sample{}, 0, err
		}
		ends = append(ends, l)
		hosts = append(hosts, `"`+l.Addr()+`"`)
	}
	settings := filepath.Join(b.memory, name+".yaml")
	text := fmt.Sprintf("ownOnly: true\nregistries:\n  %s:\n    mirrors: [%s]\n", hosts[0], strings.Join(hosts[1:], ", "))
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return sample{}, 0, err
	}
	asked := b.asked()
	got, err := b.trial(ctx, trial{
		name: name, tool: t,
		args: func(dir string) []string {
			src := ends[0].Addr() + "/" + b.real.repository + "@" + b.real.root.Digest
			return []string{"copy", "--config", settings, src, "oci:" + layoutOf(dir) + ":v1"}
		},
		check: func(dir string) error { return checkLayout(layoutOf(dir), b.real) },
	})
	got.Requests = b.asked() - asked
	var all int64
	for _, l := range ends {
		stats := l.Stats()
		got.Conns += stats.Opened
		got.AtOnce += stats.Most
		all += stats.Down
	}
	return got, float64(ends[1].Stats().Down) / float64(all), err
}
