package config

import (
	"cmp"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// A reader takes settings out of the nodes of one file. It keeps the first
// fault it meets; what it returns after that is not to be used. A node that is
// missing gives a Value that is not set.
type reader struct {
	file string
	err  error
}

func (r *reader) refuse(at mark, format string, args ...any) {
	if r.err == nil {
		r.err = fault(r.file, at, format, args...)
	}
}

func (r *reader) origin(at mark) Origin { return Origin{File: r.file, Line: at.line} }

// said reports whether n says something of one of the kinds; it refuses others.
func (r *reader) said(n *node, what string, kinds ...kind) bool {
	if n == nil || n.kind == kindNull {
		return false
	}
	if !slices.Contains(kinds, n.kind) {
		r.refuse(n.at, "not %s", what)
		return false
	}
	return true
}

func (r *reader) text(n *node) Value[string] {
	if !r.said(n, "text", kindText) {
		return Value[string]{}
	}
	return Value[string]{n.text, r.origin(n.at)}
}

func (r *reader) flag(n *node) Value[bool] {
	if !r.said(n, "true or false", kindFlag) {
		return Value[bool]{}
	}
	yes, err := strconv.ParseBool(strings.ToLower(n.text))
	if err != nil {
		r.refuse(n.at, "not true or false")
	}
	return Value[bool]{yes, r.origin(n.at)}
}

// texts reads a list of text. An empty list is set.
func (r *reader) texts(n *node) Value[[]string] {
	if !r.said(n, "a list", kindList) {
		return Value[[]string]{}
	}
	list := []string{}
	for _, item := range n.items {
		list = append(list, r.text(item).Value)
	}
	return Value[[]string]{list, r.origin(n.at)}
}

// textOrTexts reads a list of text, or one text, which is a list of one.
func (r *reader) textOrTexts(n *node) Value[[]string] {
	if n != nil && n.kind == kindText {
		return Value[[]string]{[]string{n.text}, r.origin(n.at)}
	}
	return r.texts(n)
}

// path reads the path of a file, relative to the folder of the one that is read.
// What is in such a file is not repeated where somebody puts it in place of a path.
func (r *reader) path(n *node) Value[string] {
	v := r.text(n)
	if v.Set() {
		v.Value = r.below(v.Value, n.at)
	}
	return v
}

// paths reads a list of paths, or one path, which is a list of one.
func (r *reader) paths(n *node) Value[[]string] {
	list := r.textOrTexts(n)
	for i, file := range list.Value {
		list.Value[i] = r.below(file, n.at)
	}
	return list
}

func (r *reader) below(file string, at mark) string {
	if strings.ContainsAny(file, "\r\n\x00") {
		r.refuse(at, "not the path of a file")
		return ""
	}
	return below(filepath.Dir(r.file), file)
}

// table returns the fields of a table.
func (r *reader) table(n *node) []field {
	if !r.said(n, "a table of settings", kindTable) {
		return nil
	}
	return n.fields
}

// list returns the items of a list.
func (r *reader) list(n *node) []*node {
	if !r.said(n, "a list", kindList) {
		return nil
	}
	return n.items
}

// count reads a whole number from 1.
func (r *reader) count(n *node) Value[int] {
	if !r.said(n, "a whole number", kindNumber) {
		return Value[int]{}
	}
	number, err := strconv.Atoi(n.text)
	if err != nil || number < 1 || number > 1<<20 {
		r.refuse(n.at, "not a whole number from 1 to %d", 1<<20)
	}
	return Value[int]{number, r.origin(n.at)}
}

// rate reads a number of requests in a second. Who is asked less than once in a
// quarter of an hour is not asked.
func (r *reader) rate(n *node) Value[float64] {
	if !r.said(n, "a number", kindNumber) {
		return Value[float64]{}
	}
	number, err := strconv.ParseFloat(n.text, 64)
	if err != nil || !(number >= 0.001 && number <= 1e9) {
		r.refuse(n.at, "not a number from 0.001 to 1000000000")
	}
	return Value[float64]{number, r.origin(n.at)}
}

// duration reads a duration in Go's form, such as 3s.
func (r *reader) duration(n *node) Value[time.Duration] {
	if !r.said(n, "a duration, such as 3s", kindText) || n.text == "" {
		return Value[time.Duration]{}
	}
	text := r.text(n)
	d, err := time.ParseDuration(text.Value)
	if err != nil || d < 0 {
		r.refuse(n.at, "not a duration, such as 3s")
	}
	return Value[time.Duration]{d, text.From}
}

// headers reads a table of headers: name, and a text or a list of text. What
// they say is never quoted.
func (r *reader) headers(n *node) []Header {
	var headers []Header
	for _, f := range r.table(n) {
		if !httpguts.ValidHeaderFieldName(f.key) {
			r.refuse(f.at, "not the name of a header")
		}
		h := Header{Name: http.CanonicalHeaderKey(f.key), Values: Value[[]Secret]{From: r.origin(f.at)}}
		if slices.Contains([]string{"Host", "Content-Length", "Transfer-Encoding", "Connection"}, h.Name) {
			r.refuse(f.at, "header %s is not for a setting", h.Name)
		}
		for _, text := range r.textOrTexts(f.value).Value {
			if !httpguts.ValidHeaderFieldValue(text) {
				r.refuse(f.value.at, "header %s has bytes that no header may have", h.Name)
			}
			h.Values.Value = append(h.Values.Value, Secret{text})
		}
		headers = append(headers, h)
	}
	slices.SortStableFunc(headers, func(a, b Header) int { return cmp.Compare(a.Name, b.Name) })
	return headers
}

// known refuses the fields of a table that have none of the names.
func (r *reader) known(n *node, names ...string) {
	for _, f := range r.table(n) {
		if slices.Contains(names, f.key) || r.err != nil {
			continue
		}
		nearest := slices.MinFunc(names, func(a, b string) int {
			return cmp.Compare(distance(f.key, a), distance(f.key, b))
		})
		if distance(f.key, nearest) <= 2+len(f.key)/8 {
			r.refuse(f.at, "there is no setting %s; there is %q", called(f.key), nearest)
		} else {
			r.refuse(f.at, "there is no setting %s; there are %s", called(f.key), strings.Join(names, ", "))
		}
	}
}

// distance is how many letters have to be put in, left out or changed to make b
// out of a, upper case or not.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a) > 2*len(b)+8 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
