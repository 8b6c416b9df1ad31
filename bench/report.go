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

// markdown is the scenario's table. The first tool that did not fail is the one the others are compared with.
func (r result) markdown() string {
	var base row
	for _, t := range r.Tools {
		if t.Failed == "" {
			base = t
			break
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%s Runs: %d.\n\n", r.Title, r.Note, r.Runs)
	fmt.Fprintf(&b, "| | wall | × %s | CPU | × %s | peak RSS | requests |\n|---|---|---|---|---|---|---|\n", base.Name, base.Name)
	for _, t := range r.Tools {
		if t.Failed != "" {
			why, _, _ := strings.Cut(t.Failed, "\n")
			fmt.Fprintf(&b, "| %s | failed: %s | | | | | |\n", t.Name, strings.ReplaceAll(why, "|", "\\|"))
			continue
		}
		w, c := t.column(wall), t.column(cpu)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", t.Name,
			times(w), factor(t, base, ratios(w, base.column(wall))), seconds(spreadOf(c).median), factor(t, base, ratios(c, base.column(cpu))),
			memory(spreadOf(t.column(mebibytes))), count(spreadOf(t.column(requests))))
	}
	b.WriteString("\n")
	return b.String()
}

// times prints a median and its spread.
func times(figures []float64) string {
	s := spreadOf(figures)
	if s.median < 0.1 {
		return fmt.Sprintf("%.0f ms (%.0f–%.0f)", s.median*1000, s.least*1000, s.most*1000)
	}
	return fmt.Sprintf("%.2f s (%.2f–%.2f)", s.median, s.least, s.most)
}

// factor prints ratios, or 1 for the row that all are compared with.
func factor(t, base row, all []float64) string {
	if t.Name == base.Name {
		return "1"
	}
	if len(all) == 0 {
		return "–"
	}
	s := spreadOf(all)
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
