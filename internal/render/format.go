package render

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"
	"text/tabwriter"
	"text/template"
	"unicode"

	"github.com/wherry-dev/wherry/internal/term"
)

type kind uint8

const (
	kindPeople kind = iota
	kindJSON
	kindTemplate
	kindTableTemplate
)

// A Format is how results are written. The zero Format is for people. It is a
// flag's value: Set, String and Type are what pflag wants.
type Format struct {
	kind   kind
	text   string
	body   *template.Template
	header *template.Template
}

// JSON is the format of --json.
func JSON() Format { return Format{kind: kindJSON, text: "json"} }

// parseFormat reads the value of --format: "table", "json", a Go template, or
// "table" and a Go template. Like docker it takes \t and \n in a template for
// the characters.
func parseFormat(s string) (Format, error) {
	f := Format{text: s}
	source := s
	switch strings.TrimSpace(s) {
	case "", "table":
		return f, nil
	case "json":
		return JSON(), nil
	}
	f.kind = kindTemplate
	if rest, ok := strings.CutPrefix(s, "table "); ok {
		f.kind, source = kindTableTemplate, strings.TrimSpace(rest)
	}
	if !strings.Contains(source, "{{") {
		return Format{}, fmt.Errorf("%q is none of table, json and a template, which has {{ }} in it", s)
	}
	source = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(source)
	var err error
	if f.body, err = template.New("format").Funcs(functions).Parse(source); err != nil {
		return Format{}, err
	}
	f.header, err = template.New("format").Funcs(functions).Funcs(headerFunctions).Parse(source)
	return f, err
}

// Set reads s as the help of --format has it.
func (f *Format) Set(s string) (err error) {
	*f, err = parseFormat(s)
	return err
}

// String returns the format as it was given.
func (f *Format) String() string { return f.text }

// Type is how help texts call the value.
func (f *Format) Type() string { return "table|json|TEMPLATE" }

// Has reports whether f is a template that may have a field of that name: what takes
// requests to find out is found out for those alone.
func (f *Format) Has(field string) bool { return f.body != nil && strings.Contains(f.text, "."+field) }

func (f *Format) isDefault() bool { return f.kind == kindPeople }

// template writes one line for each value. What goes to a terminal is escaped
// as a whole: a template has no other way to show outside text.
func (p Printer) template(w *bufio.Writer, value any) error {
	return each(value, func(v any) error {
		var b bytes.Buffer
		if err := p.Format.body.Execute(&b, v); err != nil {
			return templateError(err, v)
		}
		_, err := fmt.Fprintln(w, p.safe(b.String()))
		return err
	})
}

func (p Printer) safe(s string) string {
	if p.Out.TTY {
		return term.SafeText(s)
	}
	return s
}

// tableTemplate writes a table of value under header, which has what stands over
// each field.
func (p Printer) tableTemplate(w *bufio.Writer, value, header any) error {
	tw := tabwriter.NewWriter(w, 0, 8, gap, ' ', 0)
	if err := p.row(tw, p.Format.header, header); err != nil {
		return headerError(err, value)
	}
	err := each(value, func(v any) error { return p.row(tw, p.Format.body, v) })
	if err != nil {
		return err
	}
	return tw.Flush()
}

func (p Printer) row(w io.Writer, t *template.Template, value any) error {
	var b bytes.Buffer
	if err := t.Execute(&b, value); err != nil {
		return templateError(err, value)
	}
	_, err := fmt.Fprintln(w, p.safe(b.String()))
	return err
}

// headerOf returns what stands over each field: its name in capitals, with a
// blank between words. Fields of fields have theirs below them.
func headerOf(value any) any {
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Slice {
		return headerFields(reflect.TypeOf(value))
	}
	if v.Len() > 0 {
		return headerFields(reflect.TypeOf(v.Index(0).Interface()))
	}
	return headerFields(v.Type().Elem())
}

func headerFields(t reflect.Type) map[string]any {
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	header := map[string]any{}
	for field := range t.Fields() {
		if field.Anonymous {
			maps.Copy(header, headerFields(field.Type))
			continue
		}
		if !field.IsExported() {
			continue
		}
		header[field.Name] = words(field.Name)
		if inner := headerFields(field.Type); len(inner) > 0 {
			header[field.Name] = inner
		}
	}
	return header
}

// words turns MediaType into MEDIA TYPE and leaves ID alone.
func words(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && !unicode.IsUpper(runes[i-1]) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}
