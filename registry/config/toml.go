package config

import (
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// parseTOML parses a file in TOML 1.0. Tables keep the order in which the file
// first names them, which go-toml's maps do not: in hosts.toml it is the order
// of the mirrors. Nor is go-toml asked what the language forbids beyond its
// grammar: for that it takes the square of the number of keys.
func parseTOML(file string, raw []byte) (*node, error) {
	t := tomlTree{file: file, lines: newLines(raw), root: newTable(mark{1, 1}), made: map[*node]maker{}}
	t.parser.Reset(raw)
	t.section = t.root
	for t.parser.NextExpression() {
		e := t.parser.Expression()
		key, err := t.key(e)
		if err != nil {
			return nil, err
		}
		switch e.Kind {
		case unstable.Table:
			t.section, err = t.open(key)
		case unstable.ArrayTable:
			t.section, err = t.grow(key)
		case unstable.KeyValue:
			err = t.put(t.section, key, e.Value())
		default:
		}
		if err != nil {
			return nil, err
		}
	}
	if err := t.parser.Error(); err != nil {
		at := mark{1, 1}
		if syntax, ok := errors.AsType[*unstable.ParserError](err); ok {
			at = t.lines.mark(int(t.parser.Range(syntax.Highlight).Offset))
		}
		return nil, fault(file, at, "not TOML: %s", unquoted(err.Error(), "toml: "))
	}
	return t.root, nil
}

// tomlTree is a file that is being parsed.
type tomlTree struct {
	file    string
	parser  unstable.Parser
	lines   lines
	root    *node
	section *node // what keys are added to
	depth   int   // of the value that is being parsed
	made    map[*node]maker
}

// A maker is what made a table or a list of tables. It decides what may be added.
type maker struct {
	by      makerKind
	section *node // in which a dotted key made it
}

type makerKind uint8

const (
	byValue  makerKind = iota // a value: nothing may be added
	byPath                    // the header of a table below it: a header of its own may follow
	byHeader                  // its own header
	byDots                    // a dotted key: others of the same section may add to it
)

// taken is the error of a key that something else has already.
func (t *tomlTree) taken(key field) error {
	return fault(t.file, key.at, "not TOML: a key has a value already")
}

// key returns the parts of the key of an expression, without values.
func (t *tomlTree) key(e *unstable.Node) ([]field, error) {
	var parts []field
	for it := e.Key(); it.Next(); {
		part := it.Node()
		parts = append(parts, field{key: string(part.Data), at: t.lines.mark(int(part.Raw.Offset))})
	}
	if len(parts) > maxDepth {
		return nil, fault(t.file, parts[0].at, "a key of %d parts", len(parts))
	}
	return parts, nil
}

// descend returns the table that the header of a table stands under. The key of
// a list of tables means its last one.
func (t *tomlTree) descend(key []field) (*node, error) {
	from := t.root
	for _, part := range key {
		next := from.get(part.key)
		if next == nil {
			next = newTable(part.at)
			t.made[next] = maker{by: byPath}
			from.set(field{part.key, part.at, next})
		}
		if t.made[next].by == byValue {
			return nil, t.taken(part)
		}
		if next.kind == kindList {
			next = next.items[len(next.items)-1]
		}
		from = next
	}
	return from, nil
}

// open returns the table of a header.
func (t *tomlTree) open(key []field) (*node, error) {
	last := key[len(key)-1]
	parent, err := t.descend(key[:len(key)-1])
	if err != nil {
		return nil, err
	}
	table := parent.get(last.key)
	switch {
	case table == nil:
		table = newTable(last.at)
		parent.set(field{last.key, last.at, table})
	case t.made[table].by != byPath:
		return nil, t.taken(last)
	}
	t.made[table] = maker{by: byHeader}
	return table, nil
}

// grow adds a table to the list of tables of a header.
func (t *tomlTree) grow(key []field) (*node, error) {
	last := key[len(key)-1]
	parent, err := t.descend(key[:len(key)-1])
	if err != nil {
		return nil, err
	}
	list := parent.get(last.key)
	switch {
	case list == nil:
		list = &node{kind: kindList, at: last.at}
		t.made[list] = maker{by: byHeader}
		parent.set(field{last.key, last.at, list})
	case list.kind != kindList || t.made[list].by != byHeader:
		return nil, t.taken(last)
	}
	table := newTable(last.at)
	t.made[table] = maker{by: byHeader}
	list.items = append(list.items, table)
	return table, nil
}

// put sets the value of a key, which may be dotted, in a table.
func (t *tomlTree) put(table *node, key []field, value *unstable.Node) error {
	section := maker{by: byDots, section: table}
	parent := table
	for _, part := range key[:len(key)-1] {
		next := parent.get(part.key)
		if next == nil {
			next = newTable(part.at)
			t.made[next] = section
			parent.set(field{part.key, part.at, next})
		}
		if t.made[next] != section {
			return t.taken(part)
		}
		parent = next
	}
	last := key[len(key)-1]
	if parent.get(last.key) != nil {
		return t.taken(last)
	}
	t.depth++
	v, err := t.value(value, last.at)
	t.depth--
	if err == nil {
		parent.set(field{last.key, last.at, v})
	}
	return err
}

// value returns a value. It is at the given place where the parser does not
// know a better one.
func (t *tomlTree) value(v *unstable.Node, at mark) (*node, error) {
	if t.depth > maxDepth {
		return nil, fault(t.file, at, "more than %d levels deep", maxDepth)
	}
	if v.Raw.Length > 0 {
		at = t.lines.mark(int(v.Raw.Offset))
	}
	switch v.Kind {
	case unstable.String:
		return &node{kind: kindText, at: at, text: string(v.Data)}, nil
	case unstable.Bool:
		return &node{kind: kindFlag, at: at, text: string(v.Data)}, nil
	case unstable.Integer, unstable.Float:
		return &node{kind: kindNumber, at: at, text: strings.ReplaceAll(string(v.Data), "_", "")}, nil
	case unstable.Array:
		return t.list(v, at)
	case unstable.InlineTable:
		table := newTable(at)
		for it := v.Children(); it.Next(); {
			key, err := t.key(it.Node())
			if err != nil {
				return nil, err
			}
			if err := t.put(table, key, it.Node().Value()); err != nil {
				return nil, err
			}
		}
		return table, nil
	default:
		return &node{at: at}, nil
	}
}

func (t *tomlTree) list(v *unstable.Node, at mark) (*node, error) {
	list := &node{kind: kindList, at: at}
	t.depth++
	defer func() { t.depth-- }()
	for it := v.Children(); it.Next(); {
		item, err := t.value(it.Node(), at)
		if err != nil {
			return nil, err
		}
		list.items = append(list.items, item)
	}
	return list, nil
}
