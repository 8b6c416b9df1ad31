package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// parseJSON parses a file in JSON. Of a key that is there twice the last value
// counts, as docker has it.
func parseJSON(file string, raw []byte) (*node, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return newTable(mark{1, 1}), nil
	}
	j := jsonTree{file: file, raw: raw, lines: newLines(raw), tokens: json.NewDecoder(bytes.NewReader(raw))}
	j.tokens.UseNumber()
	// The decoder of tokens counts from somewhere in the middle when it tells
	// where a fault is.
	var whole json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		at := len(raw)
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = int(syntax.Offset)
		}
		return nil, fault(file, j.lines.mark(max(at-1, 0)), "not JSON: %s", unquoted(err.Error(), "json: "))
	}
	return j.value(1)
}

// jsonTree is a file that is being parsed.
type jsonTree struct {
	file   string
	raw    []byte
	lines  lines
	tokens *json.Decoder
}

// mark is the place of what comes next.
func (j *jsonTree) mark() mark {
	at := int(j.tokens.InputOffset())
	for at < len(j.raw) && bytes.IndexByte([]byte(" \t\r\n,:"), j.raw[at]) >= 0 {
		at++
	}
	return j.lines.mark(min(at, max(len(j.raw)-1, 0)))
}

func (j *jsonTree) token() (json.Token, error) {
	t, err := j.tokens.Token()
	if err != nil {
		return nil, fault(j.file, j.mark(), "not JSON: %s", unquoted(err.Error(), "json: "))
	}
	return t, nil
}

func (j *jsonTree) value(depth int) (*node, error) {
	at := j.mark()
	if depth > maxDepth {
		return nil, fault(j.file, at, "more than %d levels deep", maxDepth)
	}
	token, err := j.token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case string:
		return &node{kind: kindText, at: at, text: t}, nil
	case json.Number:
		return &node{kind: kindNumber, at: at, text: t.String()}, nil
	case bool:
		return &node{kind: kindFlag, at: at, text: strconv.FormatBool(t)}, nil
	case json.Delim:
		if t == '{' {
			return j.table(at, depth)
		}
		return j.list(at, depth)
	default:
		return &node{kind: kindNull, at: at}, nil
	}
}

func (j *jsonTree) table(at mark, depth int) (*node, error) {
	table := newTable(at)
	for j.tokens.More() {
		keyAt := j.mark()
		key, err := j.token()
		if err != nil {
			return nil, err
		}
		value, err := j.value(depth + 1)
		if err != nil {
			return nil, err
		}
		name, _ := key.(string) // the decoder lets nothing else be a key
		table.set(field{name, keyAt, value})
	}
	_, err := j.token()
	return table, err
}

func (j *jsonTree) list(at mark, depth int) (*node, error) {
	list := &node{kind: kindList, at: at}
	for j.tokens.More() {
		item, err := j.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list.items = append(list.items, item)
	}
	_, err := j.token()
	return list, err
}
