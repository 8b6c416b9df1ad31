// Package render writes what a verb returns, in the form its user asked for: a
// table, JSON, or a Go template. No verb knows of forms, and no form of verbs.
package render

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/term"
)

// A Result is what a verb found out or did. The zero Result prints nothing.
//
// A verb fills in what makes sense for it; each form takes the first of these
// that is there:
//
//	--quiet     Quiet, then as without it
//	--json      Value
//	a template  Value; where that is a slice, each element
//	otherwise   Raw, or Tables and then Lines
type Result struct {
	// Value is the result for machines. Its type has json tags, and field names
	// that templates use.
	Value any

	// Listing is a list in docker's form. It takes the place of Value, Tables and
	// Lines.
	Listing *Listing

	// Tables are for people, one after the other. Outside text in them is
	// escaped here.
	Tables []Table

	// Lines stand after the tables, one a line: tags, digests. They are escaped
	// like tables.
	Lines []string

	// Quiet is what is left with --quiet, one a line; nil means nothing is
	// left out.
	Quiet []string

	// Raw is written byte for byte: a manifest, a blob. It is left alone where
	// a template, or JSON of a Value, was asked for.
	Raw io.WriterTo
}

// A Table is rows under an optional title and header.
type Table struct {
	Title  string
	Header []string // as it is printed; nil for none

	// Rows yields the same rows each time: once to measure them, once to write
	// them. What comes from outside can have very many. Nil is none.
	Rows iter.Seq[[]string]

	// Records, where they are not nil, take the place of all this where the
	// output is no terminal: rows for programs, with tabs between exact values.
	Records iter.Seq[[]string]
}

// rows yields the header, if there is one, and the rows.
func (t Table) rows(yield func([]string) bool) {
	if t.Header != nil && !yield(t.Header) || t.Rows == nil {
		return
	}
	t.Rows(yield)
}

// A Printer writes results.
type Printer struct {
	Out    term.Output
	Format Format // how; the zero Format is for people
	Quiet  bool
}

// Print writes r. An error is that of the writer, of a template that does not
// fit the result, or of Raw.
func (p Printer) Print(r Result) error {
	w := bufio.NewWriter(p.Out)
	if err := p.print(w, r); err != nil {
		return err
	}
	return w.Flush()
}

func (p Printer) print(w *bufio.Writer, r Result) error {
	switch {
	case p.Quiet && r.Quiet != nil && p.Format.isDefault():
		return writeLines(w, r.Quiet)
	case r.Listing != nil:
		return p.listing(w, *r.Listing)
	case p.Format.kind == kindJSON && (r.Value != nil || r.Raw == nil):
		return p.writeJSON(w, r.Value)
	case p.Format.kind == kindTemplate:
		return p.template(w, r.Value)
	case p.Format.kind == kindTableTemplate:
		return p.tableTemplate(w, r.Value, headerOf(r.Value))
	case r.Raw != nil:
		_, err := r.Raw.WriteTo(w)
		return err
	}
	for i, t := range r.Tables {
		if i > 0 {
			fmt.Fprintln(w) //nolint:errcheck // a bufio.Writer keeps its error for Flush
		}
		write := t.fitting(p.Out.Width).write
		if t.Records != nil && !p.Out.TTY {
			write = t.writeRecords
		}
		if err := write(w); err != nil {
			return err
		}
	}
	return writeLines(w, r.Lines)
}

func writeLines(w io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, term.Safe(line)); err != nil {
			return err
		}
	}
	return nil
}

func (p Printer) writeJSON(w io.Writer, value any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return err
	}
	return p.putJSON(w, b.String())
}

// putJSON writes s, which is JSON. JSON leaves C1 controls and the like as they are.
func (p Printer) putJSON(w io.Writer, s string) error {
	if p.Out.TTY {
		s = term.SafeJSON(s)
	}
	_, err := io.WriteString(w, s)
	return err
}

// gap is what stands between columns.
const gap = 3

func (t Table) writeRecords(w io.Writer) error {
	for record := range t.Records {
		cells := make([]string, len(record))
		for i, cell := range record {
			cells[i] = term.Safe(cell)
		}
		if _, err := fmt.Fprintln(w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return nil
}

// fitting returns t, or where its lines do not fit into so many columns, t with short
// digests. One that ends a line stays whole, so that it can be copied. 0 columns have
// room for all.
func (t Table) fitting(columns int) Table {
	if columns == 0 || t.Rows == nil || t.fits(columns) {
		return t
	}
	whole := t.Rows
	t.Rows = func(yield func([]string) bool) {
		for row := range whole {
			if !yield(shortDigests(row)) {
				return
			}
		}
	}
	return t
}

// fits reports whether no line of t is longer than so many columns.
func (t Table) fits(columns int) bool {
	var widths []int
	last := map[int]int{} // the longest last cell of rows, by their number of cells
	for row := range t.rows {
		widths = widen(widths, row)
		if n := len(row) - 1; n >= 0 {
			last[n] = max(last[n], utf8.RuneCountInString(term.Safe(row[n])))
		}
	}
	for n, width := range last {
		for _, w := range widths[:n] {
			width += w + gap
		}
		if width > columns {
			return false
		}
	}
	return true
}

// shortDigests returns row with the digests before its last cell shortened to as many
// digits as docker shows of an ID.
func shortDigests(row []string) []string {
	const digits = 12
	short := slices.Clone(row)
	for i := range len(short) - 1 {
		algorithm, hex, ok := strings.Cut(short[i], ":")
		if ok && len(hex) > digits && digest.Digest(short[i]).Validate() == nil {
			short[i] = algorithm + ":" + hex[:digits] + "…"
		}
	}
	return short
}

// write lays t out. The last cell of a row is as long as it is.
func (t Table) write(w io.Writer) error {
	if t.Title != "" {
		if _, err := fmt.Fprintln(w, term.Safe(t.Title)); err != nil {
			return err
		}
	}
	var widths []int
	for row := range t.rows {
		widths = widen(widths, row)
	}
	for row := range t.rows {
		if err := writeRow(w, row, widths); err != nil {
			return err
		}
	}
	return nil
}

// widen returns widths that have room for row, its last cell aside.
func widen(widths []int, row []string) []int {
	for i := range len(row) - 1 {
		if i == len(widths) {
			widths = append(widths, 0)
		}
		widths[i] = max(widths[i], utf8.RuneCountInString(term.Safe(row[i])))
	}
	return widths
}

// writeRow writes a line. Empty cells at its end keep columns in line; their
// blanks go.
func writeRow(w io.Writer, row []string, widths []int) error {
	blanks := 0 // that are written before the next cell, if there is one
	for i, cell := range row {
		cell = term.Safe(cell)
		text := strings.TrimRight(cell, " ")
		if text != "" {
			if _, err := io.WriteString(w, strings.Repeat(" ", blanks)+text); err != nil {
				return err
			}
			blanks = 0
		}
		blanks += len(cell) - len(text)
		if i < len(row)-1 {
			blanks += widths[i] - utf8.RuneCountInString(cell) + gap
		}
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// each calls do for every element of a slice, and for anything else itself.
func each(value any, do func(any) error) error {
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Slice {
		return do(value)
	}
	for i := range v.Len() {
		if err := do(v.Index(i).Interface()); err != nil {
			return err
		}
	}
	return nil
}
