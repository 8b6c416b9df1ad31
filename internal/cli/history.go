package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/render"
)

// HistoryResult is a row of `wherry history`, with docker's names and values; the
// last two are wherry's, and stand in --json with --wide only.
type HistoryResult struct {
	Comment      string
	CreatedAt    string
	CreatedBy    string
	CreatedSince string
	ID           string
	Size         string
	Layer        string `json:",omitempty"`
	Download     string `json:",omitempty"`
}

type historyOptions struct {
	Platform Platform
	Human    bool
	NoTrunc  bool
	Wide     bool
}

func newHistory(f *Factory) *cobra.Command {
	var o historyOptions
	cmd := &cobra.Command{
		Use:   "history IMAGE",
		Short: "Show the steps that made an image, without pulling it",
		Long: "Show the steps that made an image, the newest first, as docker history does. No layer is read, so that SIZE is that\n" +
			"of a layer as it is stored, compressed mostly, and not unpacked as with docker. Where the config does not let it be\n" +
			"known which step made which layer, the layers have rows of their own, and the size of a step is N/A.",
		Example: "  wherry history nginx:1.27\n  wherry history --no-trunc --platform linux/arm64 ./images.tar\n" +
			"  wherry history --format '{{.Size}}\\t{{.CreatedBy}}' nginx:1.27",
		Args: exactArgs(1),
	}
	flags := cmd.Flags()
	flags.Var(&o.Platform, "platform", "of the image for `PLATFORM`, os/arch[/variant], in an index; this machine's by default")
	flags.BoolVarP(&o.Human, "human", "H", true, "sizes and times for people; --human=false for exact ones")
	flags.BoolVar(&o.NoTrunc, "no-trunc", false, "shorten neither ids nor commands")
	flags.BoolVar(&o.Wide, "wide", false, "show digest and download size of the layers too")
	return f.RunStored(cmd, func(ctx context.Context, p *place) (render.Result, error) {
		m, err := p.only(ctx, o.Platform)
		if err != nil {
			return render.Result{}, err
		}
		f.warnAmbiguous(m)
		steps, err := image.History(ctx, p, m)
		if err != nil {
			return render.Result{}, p.fail(err)
		}
		return o.result(steps, f.Now()), nil
	})
}

// result lays steps out as docker does, at that time.
func (o historyOptions) result(steps []image.Step, now time.Time) render.Result {
	rows, ids := make([]HistoryResult, len(steps)), make([]string, len(steps))
	for i, s := range steps {
		rows[i] = HistoryResult{
			Comment:      s.Comment,
			CreatedAt:    createdAt(s.Created),
			CreatedBy:    o.createdBy(s.CreatedBy),
			CreatedSince: o.createdSince(s.Created, now),
			ID:           o.id(s.ID),
			Size:         o.stepSize(s),
			Layer:        s.Layer.Digest.String(),
			Download:     o.layerSize(s.Layer),
		}
		ids[i] = rows[i].ID
	}
	l := &render.Listing{
		Rows:    rows,
		Columns: []string{"ID", "CreatedSince", "CreatedBy", "Size", "Comment"},
		Keys:    []string{"Comment", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size"},
		Headers: map[string]string{"ID": "IMAGE", "CreatedSince": "CREATED"},
	}
	if !o.Human {
		l.Columns[1] = "CreatedAt"
	}
	if o.Wide {
		l.Columns = append(l.Columns, "Layer", "Download")
		l.Keys = append(l.Keys, "Layer", "Download")
	}
	return render.Result{Listing: l, Quiet: ids}
}

// id returns an image id as docker shows it.
func (o historyOptions) id(d digest.Digest) string {
	const short = 12
	switch {
	case d == "":
		return "<missing>"
	case o.NoTrunc:
		return d.String()
	}
	return d.Encoded()[:short]
}

// createdBy returns a command, cut where docker cuts it.
func (o historyOptions) createdBy(s string) string {
	s = strings.ReplaceAll(s, "\t", " ")
	if o.NoTrunc {
		return s
	}
	return shortText(s)
}

// shortText returns as much of s as docker has room for in a column.
func shortText(s string) string {
	const most = 45 // characters
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

// createdSince returns how long ago t was, or when, where people do not ask.
func (o historyOptions) createdSince(t, now time.Time) string {
	if !o.Human {
		return createdAt(t)
	}
	return ago(t, now)
}

// ago returns how long before now t was, as docker says it. What is before 2000 is
// no time for docker, but set by builds that are to be reproducible.
func ago(t, now time.Time) string {
	if !t.After(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) {
		return "N/A"
	}
	return units.HumanDuration(now.Sub(t)) + " ago"
}

func createdAt(t time.Time) string {
	if t.IsZero() {
		return "N/A"
	}
	return t.Local().Format(time.RFC3339)
}

func (o historyOptions) stepSize(s image.Step) string {
	if !s.Empty && s.Layer.Digest == "" {
		return "N/A"
	}
	return o.size(s.Layer.Size)
}

// layerSize returns the size of a layer, nothing where there is none.
func (o historyOptions) layerSize(layer ocispec.Descriptor) string {
	if layer.Digest == "" {
		return ""
	}
	return o.size(layer.Size)
}

func (o historyOptions) size(n int64) string {
	if !o.Human {
		return strconv.FormatInt(n, 10)
	}
	return humanSize(n)
}
