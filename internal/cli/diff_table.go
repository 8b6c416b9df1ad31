package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// What people see without --all: rows of one kind, and characters of a value.
const (
	shownRows  = 12
	shownValue = 100
)

// render lays r out: for people what there is of each kind, shortened; for programs
// a line for each difference.
func (o diffOptions) render(f *Factory, r DiffResult) render.Result {
	result := render.Result{Value: r, Quiet: []string{}}
	switch {
	case f.Flags.asked():
	case o.Patch:
		result.Raw = f.exact([]byte(r.patches()))
	case !f.Out.TTY:
		result.Tables = []render.Table{{Records: slices.Values(o.records(r))}}
	default:
		result.Tables = r.tables(o)
	}
	return result
}

// patches returns the texts that differ, and which other files do.
func (r DiffResult) patches() string {
	var all strings.Builder
	for _, f := range r.Files {
		isFile := f.Was != nil && f.Was.Type == "file" || f.Now != nil && f.Now.Type == "file"
		switch {
		case f.Patch != "":
			all.WriteString(f.Patch)
			if !strings.HasSuffix(f.Patch, "\n") {
				all.WriteString("\n")
			}
		case f.Change == "changed" && slices.Contains(f.What, "content"), isFile && f.Change != "changed":
			fmt.Fprintf(&all, "File %q was %s\n", f.Path, f.Change)
		}
	}
	return all.String()
}

// records returns a row for each difference.
func (o diffOptions) records(r DiffResult) [][]string {
	var all [][]string
	for _, s := range r.Settings {
		all = append(all, []string{"setting", s.Change, s.Name, s.Key, s.Was, s.Now})
	}
	for _, p := range r.Packages {
		all = append(all, []string{"package", p.Change, p.Manager, p.Name, p.Was, p.Now})
	}
	for _, f := range r.Files {
		all = append(all, []string{"file", f.mark(), f.Path, strings.Join(f.What, ",")})
	}
	for _, l := range r.Layers {
		if l.In != "both" && !o.part {
			all = append(all, []string{"layer", map[string]string{"a": "removed", "b": "added"}[l.In], l.Digest.String(), strconv.FormatInt(l.Size, 10)})
		}
	}
	return all
}

// mark returns what became of f, with a ? where that is not settled.
func (f DiffFile) mark() string {
	if f.Unsettled {
		return f.Change + "?"
	}
	return f.Change
}

// tables returns what people see: what the images are and whether they differ first.
func (r DiffResult) tables(o diffOptions) []render.Table {
	images := render.Table{Header: []string{"", "IMAGE", "DIGEST", "LAYERS", "SIZE"}, Rows: slices.Values([][]string{r.A.row("A"), r.B.row("B")})}
	all := []render.Table{images, {Title: r.verdict()}}
	sections := []struct {
		header []string
		rows   [][]string
	}{
		{[]string{"", "SETTING", "VALUE"}, r.settingRows(o.cut)},
		{[]string{"PACKAGE", "", "A", "B"}, r.packageRows()},
		{[]string{"", "FILE", "WHAT"}, r.fileRows()},
		{[]string{"", "LAYER", "SIZE"}, r.layerRows()},
	}
	for _, s := range sections {
		if len(s.rows) > 0 && (!o.part || s.header[1] != "LAYER") {
			all = append(all, render.Table{Header: s.header, Rows: slices.Values(o.shorten(s.rows))})
		}
	}
	return all
}

// shorten returns the first rows, and says how many more there are.
func (o diffOptions) shorten(rows [][]string) [][]string {
	if o.All || len(rows) <= shownRows {
		return rows
	}
	return append(slices.Clone(rows[:shownRows]), []string{"", fmt.Sprintf("… %d more, which --all shows", len(rows)-shownRows)})
}

// cut returns the beginning of a value.
func (o diffOptions) cut(s string) string {
	if runes := []rune(s); !o.All && len(runes) > shownValue {
		return string(runes[:shownValue-1]) + "…"
	}
	return s
}

func (i DiffImage) row(letter string) []string {
	return []string{letter, i.Name, i.Digest.String(), strconv.Itoa(i.Layers), term.Size(i.Size)}
}

// verdict says in a line whether the images differ, and in what.
func (r DiffResult) verdict() string {
	shared := 0
	for _, l := range r.Layers {
		if l.In == "both" {
			shared++
		}
	}
	layers := fmt.Sprintf("%d of %s shared", shared, count(max(r.A.Layers, r.B.Layers), "layer"))
	switch {
	case r.A.Digest == r.B.Digest:
		return "They are one and the same image."
	case r.Same:
		return "Nothing differs that was compared, though their digests do; " + layers + "."
	}
	var what []string
	for _, part := range []struct {
		n    int
		name string
	}{{len(r.Settings), "setting"}, {len(r.Packages), "package"}} {
		if part.n > 0 {
			what = append(what, count(part.n, part.name))
		}
	}
	if len(r.Files) > 0 {
		what = append(what, count(len(r.Files), "file")+" ("+r.kinds()+")")
	}
	return "They differ in " + strings.Join(what, ", ") + "; " + layers + "."
}

// kinds says how many files there are of each kind of difference.
func (r DiffResult) kinds() string {
	var parts []string
	n, unsettled := map[string]int{}, 0
	for _, f := range r.Files {
		n[f.Change]++
		if f.Unsettled {
			unsettled++
		}
	}
	for _, kind := range []string{"added", "removed", "changed", "touched"} {
		if n[kind] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[kind], kind))
		}
	}
	if unsettled > 0 {
		parts = append(parts, fmt.Sprintf("%d not settled", unsettled))
	}
	return strings.Join(parts, ", ")
}

// settingRows has a line of A and one of B for each setting.
func (r DiffResult) settingRows(cut func(string) string) [][]string {
	var rows [][]string
	for _, s := range r.Settings {
		name := strings.TrimSpace(s.Name + " " + s.Key)
		if s.Change != "added" {
			rows = append(rows, []string{"-", name, cut(s.Was)})
		}
		if s.Change != "removed" {
			rows = append(rows, []string{"+", name, cut(s.Now)})
		}
	}
	return rows
}

func (r DiffResult) packageRows() [][]string {
	rows := make([][]string, len(r.Packages))
	for i, p := range r.Packages {
		rows[i] = []string{p.Name, p.Change, p.Was, p.Now}
	}
	return rows
}

// letters are what git calls what became of a file.
var letters = map[string]string{"added": "A", "removed": "D", "changed": "M", "touched": "T"}

// fileRows leaves out folders that are not settled where what is in them is shown:
// layers tell of them for its sake.
func (r DiffResult) fileRows() [][]string {
	var rows [][]string
	for i, f := range r.Files {
		shown := i+1 < len(r.Files) && strings.HasPrefix(r.Files[i+1].Path, f.Path)
		if f.Change == "touched" && strings.HasSuffix(f.Path, "/") && (shown || f.Path == "/") {
			continue
		}
		letter := letters[f.Change]
		if f.Unsettled {
			letter += "?"
		}
		rows = append(rows, []string{letter, f.Path, f.details()})
	}
	return rows
}

// details says what differs of f.
func (f DiffFile) details() string {
	switch f.Change {
	case "added", "removed":
		return f.describe()
	case "touched":
		if f.Was == nil && f.Now == nil {
			return "removed, or emptied, in " + f.By
		}
		return "written in " + f.By
	}
	var all []string
	for _, what := range f.What {
		if was, now := f.Was.aspect(what), f.Now.aspect(what); was != now {
			what += " " + was + " → " + now
		}
		all = append(all, what)
	}
	return strings.Join(all, ", ")
}

// describe says what there is in one of the images.
func (f DiffFile) describe() string {
	s := f.Now
	if s == nil {
		s = f.Was
	}
	switch {
	case s == nil || s.Type == "dir":
		return ""
	case s.Type == "file":
		return term.Size(s.Size)
	case s.Link != "":
		return s.Type + " → " + s.Link
	}
	return s.Type
}

// aspect returns what s has of an aspect that is short, nothing else.
func (s *DiffFileSide) aspect(what string) string {
	if s == nil {
		return ""
	}
	switch what {
	case "type":
		return s.Type
	case "size":
		return term.Size(s.Size)
	case "mode":
		return s.Mode
	case "owner":
		return fmt.Sprintf("%d:%d", s.UID, s.GID)
	case "target":
		return s.Link + s.Device
	case "time":
		if s.Modified != nil {
			return s.Modified.Format(time.DateTime)
		}
	}
	return ""
}

func (r DiffResult) layerRows() [][]string {
	var rows [][]string
	for _, l := range r.Layers {
		if l.In != "both" {
			rows = append(rows, []string{map[string]string{"a": "-", "b": "+"}[l.In], l.Digest.String(), term.Size(l.Size)})
		}
	}
	return rows
}
