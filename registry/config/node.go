package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/pattern"
)

// A kind is what a node is.
type kind uint8

const (
	kindOther kind = iota // a date, and what else no setting is
	kindNull              // nothing was said
	kindTable
	kindList
	kindText
	kindNumber
	kindFlag
)

// A mark is a place in a file, both from 1.
type mark struct{ line, column int }

// A node is a part of a file, whatever language it is written in. Tables keep
// the order of the file.
type node struct {
	kind   kind
	at     mark
	text   string  // of text, a number or a flag
	fields []field // of a table
	index  map[string]int
	items  []*node // of a list
}

// A field is one key of a table.
type field struct {
	key   string
	at    mark
	value *node
}

// maxDepth is deeper than any setting lies.
const maxDepth = 32

func newTable(at mark) *node { return &node{kind: kindTable, at: at, index: map[string]int{}} }

// get returns what a table has under key, nil for nothing.
func (n *node) get(key string) *node {
	if n == nil || n.kind != kindTable {
		return nil
	}
	if i, ok := n.index[key]; ok {
		return n.fields[i].value
	}
	return nil
}

// set adds a field, or replaces the one of that key.
func (n *node) set(f field) {
	if i, ok := n.index[f.key]; ok {
		n.fields[i] = f
		return
	}
	n.index[f.key] = len(n.fields)
	n.fields = append(n.fields, f)
}

// fault is the error of a file that says something wrong at a place.
func fault(file string, at mark, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: %s: %w", file, at.line, at.column, fmt.Sprintf(format, args...), content.ErrInvalid)
}

// called returns a key as it may be told. It may be what belongs behind one, a
// secret even, where it is not of the letters that names of settings have.
func called(key string) string {
	const longest = 40
	isOther := func(c rune) bool { return c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') }
	if len(key) > longest || strings.IndexFunc(key, isOther) >= 0 {
		return "of that name"
	}
	return strconv.Quote(key)
}

// placeOf returns a host, and what stands behind it, as it may be told: without user
// and password, and without a query.
func placeOf(text string) string {
	at, query := strings.LastIndex(text, "@"), strings.IndexAny(text, "?#")
	switch {
	case at >= 0 && query >= 0: // either may be a part of the other
		text = "…"
	case at >= 0:
		text = "…" + text[at:]
	case query >= 0:
		text = text[:query+1] + "…"
	}
	return strconv.Quote(text)
}

var quotedWord = pattern.Lazy("\"[^\"]*\"|'[^']*'|`[^`]*`")

// unquoted is oneLine without what is quoted from a file.
func unquoted(message string, prefixes ...string) string {
	return quotedWord().ReplaceAllString(oneLine(message, prefixes...), "…")
}

// lines finds the places of offsets in a text.
type lines struct{ starts []int }

func newLines(raw []byte) lines {
	starts := []int{0}
	for i, c := range raw {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return lines{starts}
}

func (l lines) mark(offset int) mark {
	low, high := 0, len(l.starts)
	for low+1 < high {
		if middle := (low + high) / 2; l.starts[middle] <= offset {
			low = middle
		} else {
			high = middle
		}
	}
	return mark{low + 1, offset - l.starts[low] + 1}
}

// oneLine makes what another package said fit into a line of ours: without its
// name in front, and without what a terminal would obey.
func oneLine(message string, prefixes ...string) string {
	for _, p := range prefixes {
		message = strings.TrimPrefix(message, p)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, message)
}
