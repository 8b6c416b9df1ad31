package config

import (
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// parseTOML parses a file in TOML. Tables keep the order in which the file
// first names them, which go-toml's maps do not: in hosts.toml it is the order
// of the mirrors.
func parseTOML(file string, raw []byte) (*node, error) {
	t := tomlTree{file: file, lines: newLines(raw), root: newTable(mark{1, 1})}
	t.parser.Reset(raw)
	current := t.root
	for t.parser.NextExpression() {
		e := t.parser.Expression()
		key, err := t.key(e)
		if err != nil {
			return nil, err
		}
		switch e.Kind {
		case unstable.Table:
			current, err = t.descend(t.root, key)
		case unstable.ArrayTable:
			current, err = t.grow(key)
		case unstable.KeyValue:
			err = t.put(current, key, e.Value())
		default:
		}
		if err != nil {
			return nil, err
		}
	}
	if err := t.parser.Error(); err != nil {
		return nil, t.misread(err)
	}
	// What the language forbids beyond its grammar, as a table that is defined twice.
	var all map[string]any
	if err := toml.Unmarshal(raw, &all); err != nil {
		return nil, t.misread(err)
	}
	return t.root, nil
}

// tomlTree is a file that is being parsed.
type tomlTree struct {
	file   string
	parser unstable.Parser
	lines  lines
	root   *node
}

// misread is the error of a file that is not TOML.
func (t *tomlTree) misread(err error) error {
	at := mark{1, 1}
	if syntax, ok := errors.AsType[*unstable.ParserError](err); ok {
		at = t.lines.mark(int(t.parser.Range(syntax.Highlight).Offset))
	}
	if semantic, ok := errors.AsType[*toml.DecodeError](err); ok {
		at.line, at.column = semantic.Position()
	}
	return fault(t.file, at, "not TOML: %s", oneLine(err.Error(), "toml: "))
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

// descend returns the table of that key under from, made where it is missing.
// The key of a list of tables means its last one.
func (t *tomlTree) descend(from *node, key []field) (*node, error) {
	for _, part := range key {
		next := from.get(part.key)
		if next == nil {
			next = newTable(part.at)
			from.set(field{part.key, part.at, next})
		}
		if next.kind == kindList && len(next.items) > 0 {
			next = next.items[len(next.items)-1]
		}
		if next.kind != kindTable {
			return nil, fault(t.file, part.at, "not TOML: %q has a value already", part.key)
		}
		from = next
	}
	return from, nil
}

// grow adds a table to the list of tables of that key.
func (t *tomlTree) grow(key []field) (*node, error) {
	last := key[len(key)-1]
	parent, err := t.descend(t.root, key[:len(key)-1])
	if err != nil {
		return nil, err
	}
	list := parent.get(last.key)
	if list == nil {
		list = &node{kind: kindList, at: last.at}
		parent.set(field{last.key, last.at, list})
	}
	if list.kind != kindList {
		return nil, fault(t.file, last.at, "not TOML: %q has a value already", last.key)
	}
	table := newTable(last.at)
	list.items = append(list.items, table)
	return table, nil
}

// put sets the value of a key, which may be dotted, in a table.
func (t *tomlTree) put(table *node, key []field, value *unstable.Node) error {
	last := key[len(key)-1]
	parent, err := t.descend(table, key[:len(key)-1])
	if err != nil {
		return err
	}
	if parent.get(last.key) != nil {
		return fault(t.file, last.at, "not TOML: %q has a value already", last.key)
	}
	v, err := t.value(value, last.at, 1)
	if err != nil {
		return err
	}
	parent.set(field{last.key, last.at, v})
	return nil
}

// value returns a value. It is at the given place where the parser does not
// know a better one.
func (t *tomlTree) value(v *unstable.Node, at mark, depth int) (*node, error) {
	if depth > maxDepth {
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
		list := &node{kind: kindList, at: at}
		for it := v.Children(); it.Next(); {
			item, err := t.value(it.Node(), at, depth+1)
			if err != nil {
				return nil, err
			}
			list.items = append(list.items, item)
		}
		return list, nil
	case unstable.InlineTable:
		return t.inline(v, at, depth)
	default:
		return &node{at: at}, nil
	}
}

func (t *tomlTree) inline(v *unstable.Node, at mark, depth int) (*node, error) {
	table := newTable(at)
	for it := v.Children(); it.Next(); {
		key, err := t.key(it.Node())
		if err != nil {
			return nil, err
		}
		last := key[len(key)-1]
		parent, err := t.descend(table, key[:len(key)-1])
		if err != nil {
			return nil, err
		}
		value, err := t.value(it.Node().Value(), last.at, depth+1)
		if err != nil {
			return nil, err
		}
		parent.set(field{last.key, last.at, value})
	}
	return table, nil
}
