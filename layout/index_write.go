package layout

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// encode returns the JSON of x.
func (x *index) encode() []byte {
	b := make([]byte, 0, x.length())
	for part := range x.parts {
		b = append(b, part...)
	}
	return b
}

// length returns how many bytes encode returns.
func (x *index) length() (n int) {
	for part := range x.parts {
		n += len(part)
	}
	return n
}

// write writes what encode returns, without having it all in memory: a large one
// would be a third of the memory that giving a name takes.
func (x *index) write(w io.Writer) error {
	b := bufio.NewWriterSize(w, 64<<10)
	for part := range x.parts {
		_, _ = b.WriteString(part) // Flush has the error
	}
	return b.Flush()
}

// says reports whether text is what encode returns.
func (x *index) says(text string) bool {
	for part := range x.parts {
		rest, ok := strings.CutPrefix(text, part)
		if !ok {
			return false
		}
		text = rest
	}
	return text == ""
}

// parts yields what encode returns, piece by piece.
func (x *index) parts(yield func(string) bool) {
	fields := x.fields
	if !slices.ContainsFunc(fields, func(f field) bool { return f.key == "manifests" }) {
		fields = append(slices.Clip(fields), field{key: "manifests"})
	}
	for i, f := range fields {
		more := yield(separator(i, "{")) && yield(string(quoted(f.key))) && yield(":")
		if f.key == "manifests" {
			more = more && x.entryParts(yield)
		} else {
			more = more && yield(string(f.raw))
		}
		if !more {
			return
		}
	}
	yield("}")
}

func (x *index) entryParts(yield func(string) bool) (more bool) {
	more = yield("[")
	for i, e := range x.entries {
		if more = more && yield(separator(i, "")) && yield(e.raw); !more {
			return false
		}
	}
	return more && yield("]")
}

func separator(i int, first string) string {
	if i == 0 {
		return first
	}
	return ","
}

// quoted returns the JSON of s.
func quoted(s string) []byte {
	raw, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // a string has JSON
	}
	return raw
}
