package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
)

// A Last is what a store remembers of its last backup to a file.
type Last struct {
	Time time.Time
	File string // absolute path

	ID digest.Digest
	Description
}

type lastLine struct {
	Time time.Time `json:"time"`
	File string    `json:"file"`
}

// EncodeLast returns what [ParseLast] reads: a line with when and where to, and the
// description of the backup as it stands in the file.
func EncodeLast(when time.Time, file string, description []byte) ([]byte, error) {
	line, err := json.Marshal(lastLine{when.UTC(), file})
	return append(append(line, '\n'), description...), err
}

// ParseLast reads what [EncodeLast] wrote. Anything else is [content.ErrInvalid].
func ParseLast(raw []byte) (last Last, err error) {
	first, description, _ := bytes.Cut(raw, []byte{'\n'})
	var line lastLine
	if err := json.Unmarshal(first, &line); err != nil {
		return last, fmt.Errorf("%w: %w", err, content.ErrInvalid)
	}
	last.Time, last.File = line.Time, line.File
	last.Description, last.ID, err = Parse(description)
	return last, err
}
