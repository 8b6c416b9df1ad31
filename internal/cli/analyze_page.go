package cli

import (
	"fmt"

	"github.com/wherry-dev/wherry/internal/report"
	"github.com/wherry-dev/wherry/internal/term"
)

// page returns the result as a page.
func (r AnalyzeResult) page() report.Page {
	p := report.Page{Name: r.Name, Files: r.inside.Tree.Stored(), Facts: []report.Fact{
		{Name: "Size", Value: term.Size(r.Size)},
		{Name: "Compressed", Value: term.Size(r.Compressed)},
		{Name: "Layers", Value: fmt.Sprint(len(r.Layers))},
		{Name: "Efficiency", Value: percent(r.Efficiency)},
		{Name: "Wasted", Value: term.Size(r.WastedBytes)},
		{Name: "Hidden", Value: term.Size(r.HiddenBytes)},
	}}
	for _, l := range r.Layers {
		p.Layers = append(p.Layers, report.Layer{
			Number: l.Layer, Command: l.Command, Created: l.Created, Size: l.Size, Hidden: l.Hidden, Compressed: l.Compressed,
		})
	}
	for _, w := range r.Wasted {
		p.Wasted = append(p.Wasted, report.Wasted{Path: w.Path, Count: w.Count, Bytes: w.Bytes, Layers: numbers(w.Layers)})
	}
	for _, d := range r.Advice {
		p.Advice = append(p.Advice, report.Advice{ID: d.ID, Bytes: d.Bytes, Text: d.Text})
	}
	return p
}
