package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
	"github.com/wherry-dev/wherry/internal/render"
)

// AnalyzeResult is what `wherry analyze` says of an image. Sizes are bytes of
// files, unpacked, where nothing else is said.
type AnalyzeResult struct {
	Name       string        `json:"name"`
	Digest     digest.Digest `json:"digest"`
	Size       int64         `json:"size"`       // of the files of all layers
	UserSize   int64         `json:"userSize"`   // without the lowest layer
	Compressed int64         `json:"compressed"` // of the layers, as they are stored

	// As dive counts.
	Efficiency  float64 `json:"efficiency"` // 0 to 1
	WastedBytes int64   `json:"wastedBytes"`
	UserWasted  float64 `json:"userWasted"` // wastedBytes of userSize

	HiddenBytes int64 `json:"hiddenBytes"` // that layers have, and later ones take away

	Layers []AnalyzedLayer `json:"layers"`
	Wasted []WastedResult  `json:"wasted"` // paths that several layers have, the most bytes first
	Advice []AdviceResult  `json:"advice"`
	Rules  []RuleResult    `json:"rules,omitempty"` // those that were asked for

	inside *image.Analysis
}

// An AnalyzedLayer is a layer of an AnalyzeResult.
type AnalyzedLayer struct {
	Layer      int           `json:"layer"` // the lowest is 1
	Digest     digest.Digest `json:"digest"`
	Size       int64         `json:"size"`
	Compressed int64         `json:"compressed"`
	Hidden     int64         `json:"hidden"` // that later layers take away
	Added      int           `json:"added"`  // paths
	Changed    int           `json:"changed"`
	Removed    int           `json:"removed"`
	Created    *time.Time    `json:"created,omitempty"`
	Command    string        `json:"command,omitempty"`
}

// A WastedResult is a path that several layers have.
type WastedResult struct {
	Path   string `json:"path"`
	Count  int    `json:"count"`
	Bytes  int64  `json:"bytes"`
	Layers []int  `json:"layers"`
}

// An AdviceResult says how an image could be smaller.
type AdviceResult struct {
	ID     string `json:"id"`
	Bytes  int64  `json:"bytes"`
	Layers []int  `json:"layers"`
	Text   string `json:"text"`
}

type analyzeOptions struct {
	layerFlags

	Top    int
	HTML   string // file
	Browse bool
	Compat choice[compat]
	Rules  ruleFlags
	pull   choice[pullPolicy]
}

func newAnalyze(f *Factory) *cobra.Command {
	o := analyzeOptions{Compat: choice[compat]{words: []string{"dive"}, means: []compat{compatDive}}}
	cmd := &cobra.Command{
		Use:   "analyze IMAGE",
		Short: "Show what takes the space in an image, what is wasted, and what to do about it",
		Long: "Show how large each layer of an image is and which command made it, what layers have for nothing since others remove or\n" +
			"overwrite it, and what could be done. Efficiency, wasted bytes and the part of what is above the lowest layer that is\n" +
			"wasted are counted as dive does. Sizes are those of files, unpacked; COMPRESSED is that of a layer as it is stored.\n" +
			"What a layer has is remembered by its digest, so that the second time no layer is read.\n" +
			"With --ci, --ci-config or a limit of its own the exit code is 6 where the image is not good enough.",
		Example: "  wherry analyze nginx:1.27\n  wherry analyze --json ./images.tar | jq '.advice[].text'\n  wherry analyze --html report.html nginx:1.27\n  wherry analyze -i nginx:1.27\n" +
			"  wherry analyze --highest-wasted-bytes 20MB --lowest-efficiency 0.95 ghcr.io/org/app:2",
		Args: exactArgs(1),
	}
	flags := cmd.Flags()
	o.bind(flags)
	flags.IntVar(&o.Top, "top", 15, "show `N` of the paths that waste most")
	flags.BoolVarP(&o.Browse, "interactive", "i", false, "browse layers and files on the full screen of a terminal")
	flags.StringVar(&o.HTML, "html", "", "write a page with a map of the files to `FILE` as well; not to standard output")
	flags.Var(&o.Compat, "compat", "write the JSON of another `TOOL`: dive")
	o.Rules.bind(flags)
	bindPull(flags, &o.pull)
	f.completeStored(cmd, 1, cobra.ShellCompDirectiveDefault)
	return f.Run(cmd, func(ctx context.Context, args []string) (render.Result, error) { return runAnalyze(ctx, f, args, o) })
}

// runAnalyze looks at the flags first: of an image nothing is read for a command
// line that means nothing.
func runAnalyze(ctx context.Context, f *Factory, args []string, o analyzeOptions) (_ render.Result, err error) {
	rules, err := o.check(f)
	if err != nil {
		return render.Result{}, err
	}
	places, err := f.lookStored(ctx, args, o.pull.value)
	if err != nil {
		return render.Result{}, err
	}
	p := places[0]
	defer func() { err = errors.Join(err, p.Close()) }()
	return o.analyze(ctx, f, p, rules)
}

// check refuses flags that mean nothing, and returns the limits that they ask for.
func (o analyzeOptions) check(f *Factory) ([]limit, error) {
	switch {
	case o.Top < 0:
		return nil, usagef("--top %d is less than none", o.Top)
	case o.HTML == "-":
		return nil, usagef("--html writes a file, and not to standard output")
	}
	if err := o.checkBrowse(f); err != nil {
		return nil, err
	}
	return o.Rules.rules()
}

func (o analyzeOptions) analyze(ctx context.Context, f *Factory, p *place, rules []limit) (render.Result, error) {
	m, err := o.image(ctx, f, p)
	if err != nil {
		return render.Result{}, err
	}
	r := o.reader(f)
	shown, err := f.reading()
	if err != nil {
		return render.Result{}, err
	}
	a, err := r.Analyze(ctx, p.watched(shown), m)
	shown.Close() // before anything else takes the screen
	if err != nil {
		return render.Result{}, p.fail(err)
	}
	result := analyzeResult(a, m)
	result.Name = p.at.String()
	result.Rules = judge(rules, a.Waste)
	failed := brokenRules(result.Rules)
	if o.HTML != "" {
		if _, err := writeFile(o.HTML, result.page().Write); err != nil {
			return render.Result{}, err
		}
	}
	if o.Browse {
		return render.Result{}, errors.Join(f.browse(ctx, result), failed)
	}
	if o.Compat.value == compatDive {
		shown, err := diveRender(f, a, m)
		if err != nil {
			return render.Result{}, err
		}
		return shown, failed
	}
	return result.render(o), failed
}

// analyzeResult lays an analysis of m out for programs.
func analyzeResult(a *image.Analysis, m content.Manifest) AnalyzeResult {
	w := a.Waste
	r := AnalyzeResult{
		Digest: m.Digest(), Size: w.Size, UserSize: w.UserSize, Efficiency: w.Efficiency, WastedBytes: w.Bytes, UserWasted: w.UserWasted(),
		Layers: make([]AnalyzedLayer, 0, len(a.Steps)), Wasted: make([]WastedResult, 0, len(w.Paths)), Advice: []AdviceResult{}, inside: a,
	}
	for i, contents := range a.Tree.Layers() {
		stored := m.Layers()[i]
		l := AnalyzedLayer{
			Layer: i + 1, Digest: stored.Digest, Size: contents.Size(), Compressed: stored.Size, Command: commandLine(a.Steps[i].CreatedBy),
		}
		if at := a.Steps[i].Created; !at.IsZero() {
			l.Created = &at
		}
		n := a.Tree.Count(i)
		l.Added, l.Changed, l.Removed = n[image.Added], n[image.Changed], n[image.Removed]
		r.Compressed += stored.Size
		r.Layers = append(r.Layers, l)
	}
	for _, l := range a.Losses {
		r.Layers[l.From].Hidden += l.Bytes
		r.HiddenBytes += l.Bytes
	}
	for _, p := range w.Paths {
		r.Wasted = append(r.Wasted, WastedResult{Path: p.Path, Count: len(p.Layers), Bytes: p.Bytes, Layers: fromOne(p.Layers)})
	}
	for _, d := range a.Advice() {
		r.Advice = append(r.Advice, AdviceResult{ID: d.ID, Bytes: d.Bytes, Layers: fromOne(d.Layers), Text: adviceText(d)})
	}
	return r
}

// fromOne returns numbers of layers as people count them.
func fromOne(layers []int) []int {
	shown := make([]int, len(layers))
	for i, l := range layers {
		shown[i] = l + 1
	}
	return shown
}

// commandLine returns a command of a history without the shell that builders put
// before it.
func commandLine(s string) string {
	s = strings.TrimPrefix(s, "/bin/sh -c ")
	s = strings.TrimPrefix(s, "#(nop) ")
	return strings.Join(strings.Fields(s), " ")
}

func percent(part float64) string { return fmt.Sprintf("%.1f %%", part*100) }
