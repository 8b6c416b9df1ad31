package config

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/wherry-dev/wherry/internal/pattern"
)

// parseYAML parses a file in YAML: one document of tables, lists, text, numbers
// and flags. Aliases, merges and tags of other kinds are refused, and so are
// keys that are there twice.
func parseYAML(file string, raw []byte) (*node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return newTable(mark{1, 1}), nil
		}
		return nil, notYAML(file, raw, err)
	}
	var more yaml.Node
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, notYAML(file, raw, err)
		}
		return nil, fault(file, mark{more.Line, more.Column}, "a second document")
	}
	if len(document.Content) == 0 {
		return newTable(mark{1, 1}), nil
	}
	return yamlValue(file, document.Content[0], 1)
}

var yamlLine = pattern.Lazy(`^yaml: (?:line ([0-9]+): )?`)

// notYAML is the error of a file that the parser refuses. It tells the line
// only: the place is the first character there.
func notYAML(file string, raw []byte, err error) error {
	at := mark{1, 1}
	message := err.Error()
	if m := yamlLine().FindStringSubmatch(message); m != nil {
		message = message[len(m[0]):]
		if line, err := strconv.Atoi(m[1]); err == nil {
			at.line = min(line, bytes.Count(raw, []byte("\n"))+1)
		}
	}
	text := bytes.Split(raw, []byte("\n"))[at.line-1]
	at.column = 1 + len(text) - len(bytes.TrimLeft(text, " \t"))
	return fault(file, at, "not YAML: %s", unquoted(message))
}

func yamlValue(file string, y *yaml.Node, depth int) (*node, error) {
	at := mark{y.Line, y.Column}
	switch {
	case depth > maxDepth:
		return nil, fault(file, at, "more than %d levels deep", maxDepth)
	case y.Kind == yaml.AliasNode:
		return nil, fault(file, at, "an alias: say it again instead")
	case y.Anchor != "":
		return nil, fault(file, at, "an anchor: aliases are not understood")
	}
	switch y.Kind {
	case yaml.MappingNode:
		return yamlTable(file, y, depth)
	case yaml.SequenceNode:
		list := &node{kind: kindList, at: at}
		for _, child := range y.Content {
			item, err := yamlValue(file, child, depth+1)
			if err != nil {
				return nil, err
			}
			list.items = append(list.items, item)
		}
		return list, nil
	default:
		return yamlScalar(file, y)
	}
}

func yamlScalar(file string, y *yaml.Node) (*node, error) {
	at := mark{y.Line, y.Column}
	kinds := map[string]kind{"!!str": kindText, "!!int": kindNumber, "!!float": kindNumber, "!!bool": kindFlag, "!!null": kindNull, "!!timestamp": kindOther}
	k, known := kinds[y.ShortTag()]
	if !known {
		return nil, fault(file, at, "a value of kind other than text, a number, true or false")
	}
	return &node{kind: k, at: at, text: y.Value}, nil
}

func yamlTable(file string, y *yaml.Node, depth int) (*node, error) {
	table := newTable(mark{y.Line, y.Column})
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, at := y.Content[i], mark{y.Content[i].Line, y.Content[i].Column}
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "" || key.ShortTag() == "!!merge":
			return nil, fault(file, at, "a key that is not a plain word")
		case table.get(key.Value) != nil:
			return nil, fault(file, at, "a key is here twice")
		}
		value, err := yamlValue(file, y.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		table.set(field{key.Value, at, value})
	}
	return table, nil
}
