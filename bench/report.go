package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// results are all that one run of this program found.
type results struct {
	Machine   machine
	Scenarios []result
}

// writeJSON writes v and makes its folder.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// writePage puts tables between the markers of a page, and leaves the tables of other scenarios alone.
// A page that does not exist is made, with the markers that are needed.
func writePage(path string, all results) error {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	page := replace(string(text), "machine", "\n"+all.Machine.markdown()+"\n")
	for _, r := range all.Scenarios {
		page = replace(page, r.Name, r.markdown())
	}
	return os.WriteFile(path, []byte(page), 0o644)
}

// replace puts body between the markers called name, which are added at the end where there are none.
func replace(page, name, body string) string {
	begin, end := "<!-- bench:"+name+" -->\n", "<!-- /bench:"+name+" -->\n"
	head, rest, found := strings.Cut(page, begin)
	_, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		return page + "\n" + begin + body + end
	}
	return head + begin + body + end + tail
}

// markdown is the scenario's tables: of tools, of other figures, and of what is asked of them.
func (r result) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%s %s\n\n", r.Title, r.Note, r.count())
	if len(r.Tools) > 0 {
		r.writeTools(&b)
	}
	for i, line := range r.Table {
		writeCells(&b, line)
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(line)) + "\n")
		}
	}
	if len(r.Table) > 0 {
		b.WriteString("\n")
	}
	if len(r.Bars) > 0 {
		b.WriteString("| asked | measured | bar | reached |\n|---|---|---|---|\n")
		for _, a := range r.Bars {
			reached := "no"
			if a.Reached {
				reached = "yes"
			}
			writeCells(&b, []string{a.What, a.Got, a.Want, reached})
		}
		b.WriteString("\n")
	}
	return b.String()
}

// count says how often tools ran.
func (r result) count() string {
	if r.PeerRuns > 0 && r.PeerRuns < r.Runs {
		return fmt.Sprintf("Runs: %d, of peers %d.", r.Runs, r.PeerRuns)
	}
	return fmt.Sprintf("Runs: %d.", r.Runs)
}

func writeCells(b *strings.Builder, cells []string) {
	b.WriteString("|")
	for _, c := range cells {
		b.WriteString(strings.TrimRight(" "+strings.ReplaceAll(c, "|", "\\|"), " ") + " |")
	}
	b.WriteString("\n")
}

// writeTools writes the table of tools. The first that did not fail is the one the others are compared with.
func (r result) writeTools(b *strings.Builder) {
	var base row
	linked := false
	for _, t := range r.Tools {
		if t.Failed == "" && base.Name == "" {
			base = t
		}
		linked = linked || spreadOf(t.column(conns)).most > 0
	}
	head := []string{"", "wall", "× " + base.Name, "CPU", "× " + base.Name, "peak RSS", "requests"}
	if r.Apart {
		head = []string{"", "wall", "CPU", "peak RSS", "requests"}
	}
	if linked {
		head = append(head, "connections", "at once")
	}
	writeCells(b, head)
	b.WriteString("|" + strings.Repeat("---|", len(head)) + "\n")
	for _, t := range r.Tools {
		if t.Failed != "" {
			why, _, _ := strings.Cut(t.Failed, "\n")
			writeCells(b, append([]string{t.Name, "failed: " + why}, make([]string, len(head)-2)...))
			continue
		}
		w, c := t.column(wall), t.column(cpu)
		cells := []string{t.Name, times(w), factor(t, base, ratios(w, base.column(wall))), seconds(spreadOf(c).median), factor(t, base, ratios(c, base.column(cpu)))}
		if r.Apart {
			cells = []string{t.Name, times(w), seconds(spreadOf(c).median)}
		}
		cells = append(cells, memory(spreadOf(t.column(mebibytes))), count(spreadOf(t.column(requests))))
		if linked {
			cells = append(cells, count(spreadOf(t.column(conns))), count(spreadOf(t.column(atOnce))))
		}
		writeCells(b, cells)
	}
	b.WriteString("\n")
}

// times prints a median and its spread.
func times(figures []float64) string {
	s := spreadOf(figures)
	if s.median < 0.1 {
		return fmt.Sprintf("%.0f ms (%.0f–%.0f)", s.median*1000, s.least*1000, s.most*1000)
	}
	return fmt.Sprintf("%.2f s (%.2f–%.2f)", s.median, s.least, s.most)
}

// factor prints the median of ratios and, in square brackets, the 95 % interval of it, or where there are too few the
// least and the greatest in round ones; 1 is the row that all are compared with.
func factor(t, base row, all []float64) string {
	if t.Name == base.Name {
		return "1"
	}
	if len(all) == 0 {
		return "–"
	}
	s := spreadOf(all)
	if low, high, known := interval(all); known {
		return fmt.Sprintf("%.2f [%.2f–%.2f]", s.median, low, high)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.least, s.most)
}

func memory(s spread) string {
	if s.most == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f MiB (%.1f–%.1f)", s.median, s.least, s.most)
}

func count(s spread) string {
	if s.least == s.most {
		return fmt.Sprintf("%.0f", s.median)
	}
	return fmt.Sprintf("%.0f (%.0f–%.0f)", s.median, s.least, s.most)
}
