package render

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
)

// A Listing is a list as docker prints one: of a table people see some columns,
// --json writes one compact object a line, and templates are about one row.
// https://docs.docker.com/engine/cli/formatting/
type Listing struct {
	// Rows is a slice of structs whose exported fields are docker's and have
	// docker's values, which are strings all.
	Rows any

	// Columns are the fields of the table, from the left.
	Columns []string

	// Keys are the fields of --json; nil means all. Like docker's they are in
	// order of the alphabet there.
	Keys []string

	// Headers has what stands over a column where that is not the name of the
	// field in capitals.
	Headers map[string]string
}

func (p Printer) listing(w *bufio.Writer, l Listing) error {
	switch p.Format.kind {
	case kindJSON:
		return each(l.Rows, func(row any) error { return p.putRow(w, l, row) })
	case kindTemplate:
		return p.template(w, l.Rows)
	case kindTableTemplate:
		return p.tableTemplate(w, l.Rows, l.header())
	case kindPeople:
	}
	header, names := l.header(), []string{}
	for _, name := range l.Columns {
		names = append(names, fmt.Sprint(header[name]))
	}
	return Table{Header: names, Rows: l.cells}.write(w)
}

// header returns what stands over each field.
func (l Listing) header() map[string]any {
	header := headerFields(reflect.TypeOf(l.Rows).Elem())
	for field, name := range l.Headers {
		header[field] = name
	}
	return header
}

// cells yields the columns of each row, in one slice that the next row is put into.
func (l Listing) cells(yield func([]string) bool) {
	rows := reflect.ValueOf(l.Rows)
	fields := make([][]int, len(l.Columns))
	for n, name := range l.Columns {
		field, _ := rows.Type().Elem().FieldByName(name) // looked for once
		fields[n] = field.Index
	}
	cells := make([]string, len(fields))
	for i := range rows.Len() {
		row := rows.Index(i)
		for n, field := range fields {
			cells[n] = row.FieldByIndex(field).String()
		}
		if !yield(cells) {
			return
		}
	}
}

// putRow writes a row of l as JSON on a line. Unlike elsewhere <, > and & are
// escaped, as docker does: a script may compare lines.
func (p Printer) putRow(w io.Writer, l Listing, row any) error {
	keys := l.Keys
	if keys == nil {
		keys = fieldsOf(reflect.TypeOf(row))
	}
	object := map[string]string{}
	for _, key := range keys {
		object[key] = reflect.ValueOf(row).FieldByName(key).String()
	}
	raw, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return p.putJSON(w, string(raw)+"\n")
}
