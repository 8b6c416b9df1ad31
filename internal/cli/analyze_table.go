package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// render lays the result out for people.
func (r AnalyzeResult) render(o analyzeOptions) render.Result {
	facts := factRows{}
	facts.add("Name", r.Name)
	facts.add("Digest", r.Digest.String())
	facts.add("Size", fmt.Sprintf("%s in %s, %s compressed", term.Size(r.Size), count(len(r.Layers), "layer"), term.Size(r.Compressed)))
	facts.add("Efficiency", percent(r.Efficiency))
	facts.add("Wasted", fmt.Sprintf("%s in %s, %s of what is above the lowest layer", term.Size(r.WastedBytes), count(len(r.Wasted), "path"), percent(r.UserWasted)))
	facts.add("Hidden", term.Size(r.HiddenBytes)+", which layers have and later ones take away")
	tables := []render.Table{{Rows: facts.all()}, r.layerTable()}
	if len(r.Wasted) > 0 && o.Top > 0 {
		tables = append(tables, r.wastedTable(o.Top))
	}
	if len(r.Advice) > 0 {
		tables = append(tables, render.Table{Header: []string{"ADVICE", "SIZE", "WHAT TO DO"}, Rows: rowsOf(r.Advice, func(d AdviceResult) []string {
			return []string{d.ID, term.Size(d.Bytes), d.Text}
		})})
	}
	if len(r.Rules) > 0 {
		header := []string{"RULE", "LIMIT", "FOUND", "RESULT"}
		tables = append(tables, render.Table{Header: header, Rows: rowsOf(r.Rules, RuleResult.cells)})
	}
	return render.Result{Value: r, Tables: tables, Quiet: []string{percent(r.Efficiency)}}
}

// cells are what people see of a rule: exact figures, as the error about it has them.
func (r RuleResult) cells() []string {
	result := "PASS"
	if !r.OK {
		result = "FAIL"
	}
	return []string{r.Rule, strconv.FormatFloat(r.Limit, 'f', -1, 64), r.found(), result}
}

func (r AnalyzeResult) layerTable() render.Table {
	header := []string{"LAYER", "SIZE", "COMPRESSED", "HIDDEN", "ADDED", "CHANGED", "REMOVED", "COMMAND"}
	return render.Table{Header: header, Rows: rowsOf(r.Layers, func(l AnalyzedLayer) []string {
		return []string{
			strconv.Itoa(l.Layer), term.Size(l.Size), term.Size(l.Compressed), term.Size(l.Hidden),
			strconv.Itoa(l.Added), strconv.Itoa(l.Changed), strconv.Itoa(l.Removed), shortCommand(l.Command),
		}
	})}
}

// wastedTable shows the paths that waste most.
func (r AnalyzeResult) wastedTable(most int) render.Table {
	shown := r.Wasted[:min(most, len(r.Wasted))]
	header := []string{"WASTED", "COUNT", "LAYERS", fmt.Sprintf("PATH (%d of %d)", len(shown), len(r.Wasted))}
	return render.Table{Header: header, Rows: rowsOf(shown, func(p WastedResult) []string {
		return []string{term.Size(p.Bytes), strconv.Itoa(p.Count), numbers(p.Layers), p.Path}
	})}
}

// shortCommand cuts a command where a line of a table ends.
func shortCommand(s string) string {
	const most = 80
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

// numbers shows some of all.
func numbers(all []int) string {
	const most = 6
	var words []string
	for n := range slices.Values(all[:min(most, len(all))]) {
		words = append(words, strconv.Itoa(n))
	}
	if len(all) > most {
		words = append(words, "…")
	}
	return strings.Join(words, ",")
}
