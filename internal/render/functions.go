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
// among those (https://docs.docker.com/engine/cli/formatting/).
var functions = template.FuncMap{
	"json":     compactJSON,
	"join":     join,
	"split":    strings.Split,
	"lower":    strings.ToLower,
	"upper":    strings.ToUpper,
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

func title(s string) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		starts := unicode.IsSpace(before)
		before = r
		if starts {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

// pad puts blanks around s, unless s is empty.
func pad(s string, before, after int) string {
	if s == "" {
		return s
	}
	return strings.Repeat(" ", max(0, before)) + s + strings.Repeat(" ", max(0, after))
}

// truncate keeps the first n bytes of s, and no half character.
func truncate(s string, n int) string {
	if n < 0 || len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
