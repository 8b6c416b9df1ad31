package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/registry"
)

// RateLimitResult is what `wherry ratelimit` says.
type RateLimitResult struct {
	Host      string     `json:"host"`
	Named     bool       `json:"named"`                   // the host names a limit
	Limit     int        `json:"limit,omitempty"`         // in one window
	Remaining *int       `json:"remaining,omitempty"`     // of those
	Window    int64      `json:"windowSeconds,omitempty"` // where the host says it
	Reset     *time.Time `json:"reset,omitempty"`         // when all are there again, where the host says it
	Source    string     `json:"source,omitempty"`        // whose they are, an address or an account
}

func newRateLimit(f *Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ratelimit [HOST]",
		Short: "Show how much a registry still lets be pulled",
		Long: "Show how much a registry still lets be pulled, Docker Hub where none is named, as whoever is logged in.\n" +
			"Asking costs nothing of it. Docker Hub counts pulls: each time a manifest is got. It names no limit to accounts\n" +
			"that have none. Where nothing is left the exit code is 8.",
		Example: "  wherry ratelimit\n  wherry ratelimit --quiet\n  wherry ratelimit --json gitlab.example",
		Args:    upToArgs(1),
	}
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) {
		host := registry.DockerHub
		if len(args) > 0 {
			var err error
			if host, err = parseHost(args[0]); err != nil {
				return render.Result{}, err
			}
		}
		f.SrcHost = host
		client, err := f.Client()
		if err != nil {
			return render.Result{}, err
		}
		l, named, err := client.AskRateLimit(ctx, host)
		switch {
		case err != nil:
			return render.Result{}, fmt.Errorf("%s: %w", host, err)
		case !named:
			return render.Result{Value: RateLimitResult{Host: host}, Lines: []string{host + " names no limit"}, Quiet: []string{}}, nil
		case l.Remaining == 0:
			err = &silentError{fmt.Errorf("%s: %s: %w", host, l, content.ErrRateLimited)}
		}
		return rateLimitResult(host, l), err
	})
}

// rateLimitResult shows a limit. What the host does not say has a dash.
func rateLimitResult(host string, l registry.RateLimit) render.Result {
	value := RateLimitResult{
		Host: host, Named: true, Limit: l.Limit, Remaining: &l.Remaining, Window: int64(l.Window.Seconds()), Source: l.Source,
	}
	row := []string{host, "-", strconv.Itoa(l.Remaining), "-", "-", "-"}
	if l.Limit > 0 {
		row[1] = strconv.Itoa(l.Limit)
	}
	if l.Window > 0 {
		row[3] = l.Per()
	}
	if !l.Reset.IsZero() {
		reset := l.Reset.UTC()
		value.Reset = &reset
		row[4] = reset.Format(time.RFC3339)
	}
	if l.Source != "" {
		row[5] = l.Source
	}
	return render.Result{
		Value: value,
		Tables: []render.Table{{
			Header: []string{"REGISTRY", "LIMIT", "REMAINING", "WINDOW", "RESET", "SOURCE"},
			Rows:   slices.Values([][]string{row}),
		}},
		Quiet: []string{strconv.Itoa(l.Remaining)},
	}
}
