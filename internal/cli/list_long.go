package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/render"
	"github.com/wherry-dev/wherry/internal/term"
)

// TagResult is what `wherry tags -l` says of a tag. Where Error is set, some of
// the rest is not known.
type TagResult struct {
	Tag       string        `json:"tag"`
	Digest    digest.Digest `json:"digest,omitempty"`
	Created   *time.Time    `json:"created,omitempty"`   // as the config of the first image says
	Size      int64         `json:"size,omitempty"`      // bytes of all configs and layers, each once, compressed as they are there
	Platforms []string      `json:"platforms,omitempty"` // of all images, in the order of the index
	Listing   string        `json:"listing,omitempty"`   // whose own listing has created, size and platforms so; empty where the image has
	Error     string        `json:"error,omitempty"`     // why the tag cannot be read, or what of its index is not there
}

// longTable returns a row for each tag.
func longTable(f *Factory, rows []*tagRow) render.Result {
	results := make([]TagResult, len(rows))
	warned := map[digest.Digest]bool{}
	for i, row := range rows {
		if !warned[row.Digest] {
			row.warn(f)
		}
		warned[row.Digest] = true
		results[i] = row.TagResult
	}
	t := render.Table{
		Header:  []string{"TAG", "DIGEST", "CREATED", "SIZE", "PLATFORMS"},
		Rows:    rowsOf(rows, (*tagRow).cells),
		Records: rowsOf(rows, (*tagRow).record),
	}
	return render.Result{Value: results, Tables: []render.Table{t}, Quiet: tagsOf(rows)}
}

// A tagRow is a row and what was found out beside it.
type tagRow struct {
	TagResult

	told bool // all that is known of it
	odd  []string
	err  error
}

// warn says what is odd about an image, and keeps nothing from being shown.
func (t *tagRow) warn(f *Factory) {
	for _, odd := range t.odd {
		f.Warn("%s: %s", t.Tag, odd)
	}
}

// cells are what people see of a row.
func (t *tagRow) cells() []string {
	if t.err != nil {
		return []string{t.Tag, t.Digest.String(), created(t.Created), "", "not read: " + oneLine(t.Error)}
	}
	size := term.Size(t.Size)
	if t.unsized() {
		size = ""
	}
	return []string{t.Tag, t.Digest.String(), created(t.Created), size, strings.Join(t.Platforms, ", ")}
}

// record is what programs see of a row: sizes in bytes, and a column more with
// the reason where the tag could not be read, or not all of it.
func (t *tagRow) record() []string {
	platforms := strings.Join(t.Platforms, ",")
	if t.err != nil {
		return []string{t.Tag, t.Digest.String(), created(t.Created), "", platforms, oneLine(t.Error)}
	}
	size := strconv.FormatInt(t.Size, 10)
	if t.unsized() {
		size = ""
	}
	record := []string{t.Tag, t.Digest.String(), created(t.Created), size, platforms}
	if t.Error != "" {
		record = append(record, oneLine(t.Error))
	}
	return record
}

// unsized reports whether a listing does not say the size.
func (t *tagRow) unsized() bool { return t.Listing != "" && t.Size == 0 }

func created(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// An unreadError is about the tags of a listing that could not be read. Its
// classes are theirs.
type unreadError struct {
	first string // tag
	errs  []error
	all   int // tags of the listing
}

func (e *unreadError) Error() string {
	return fmt.Sprintf("%d of %s could not be read, first %s: %v", len(e.errs), count(e.all, "tag"), e.first, e.errs[0])
}

// Unwrap returns why each could not be read.
func (e *unreadError) Unwrap() []error { return e.errs }

func (e *unreadError) add(row *tagRow) {
	if row.err == nil {
		return
	}
	if e.errs == nil {
		e.first = row.Tag
	}
	e.errs = append(e.errs, row.err)
}

// of returns what e is as the error of a listing of so many tags.
func (e *unreadError) of(all int) error {
	e.all = all
	switch len(e.errs) {
	case 0:
		return nil
	case all:
		return e
	}
	return &PartlyError{Err: e}
}
