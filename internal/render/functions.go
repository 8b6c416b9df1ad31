package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"unicode"
)

// functions are what docker has in its templates besides Go's own, println
// among those (https://docs.docker.com/engine/cli/formatting/). Those that change
// text take whatever has one: digests, words and times too.
var functions = template.FuncMap{
	"json":     compactJSON,
	"join":     join,
	"split":    func(v any, sep string) []string { return strings.Split(text(v), sep) },
	"lower":    func(v any) string { return strings.ToLower(text(v)) },
	"upper":    func(v any) string { return strings.ToUpper(text(v)) },
	"title":    title,
	"pad":      pad,
	"truncate": truncate,
}

// headerFunctions leave the name of a column as it is, except for pad, which
// keeps it in line with what is below.
var headerFunctions = template.FuncMap{
	"json":     func(name any) any { return name },
	"join":     func(name any, _ string) any { return name },
	"split":    func(name any, _ string) any { return name },
	"lower":    func(name any) any { return name },
	"upper":    func(name any) any { return name },
	"title":    func(name any) any { return name },
	"truncate": func(name any, _ int) any { return name },
}

func compactJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSpace(b.String()), err
}

// join takes any list; of a map it joins the values, sorted.
func join(list any, sep string) (string, error) {
	v := reflect.ValueOf(list)
	var parts []string
	switch v.Kind() {
	case reflect.Invalid:
		return "", nil
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			parts = append(parts, fmt.Sprint(v.Index(i).Interface()))
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			parts = append(parts, fmt.Sprint(entry.Value().Interface()))
		}
		slices.Sort(parts)
	default:
		return "", errors.New("join takes a list")
	}
	return strings.Join(parts, sep), nil
}

// text returns v as a template shows it; of what is not there it is empty.
func text(v any) string {
	value := reflect.ValueOf(v)
	if _, prints := v.(fmt.Stringer); !prints && value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	if !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil() {
		return ""
	}
	return fmt.Sprint(value.Interface())
}

func title(v any) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		starts := unicode.IsSpace(before)
		before = r
		if starts {
			return unicode.ToTitle(r)
		}
		return r
	}, text(v))
}

// pad puts blanks around the text of v, unless it is empty.
func pad(v any, before, after int) string {
	s := text(v)
	if s == "" {
		return s
	}
	return strings.Repeat(" ", max(0, before)) + s + strings.Repeat(" ", max(0, after))
}

// truncate keeps the first n bytes of the text of v, and no half character.
func truncate(v any, n int) string {
	s := text(v)
	if n < 0 || len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
