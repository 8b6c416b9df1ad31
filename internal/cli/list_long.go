package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/content"
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
	Error     string        `json:"error,omitempty"`     // why the tag cannot be read, or what of its index is not there
}

// listLong returns a row for each tag. The error tells of those that could not
// be read, which have a row too.
func (p *place) listLong(ctx context.Context, f *Factory, tags []string) (render.Result, error) {
	r := tagReader{place: p, shelf: &content.Shelf{Source: p.Source, Room: shelfRoom}}
	rows, err := r.rows(ctx, tags)
	if err != nil {
		return render.Result{}, err
	}
	results := make([]TagResult, len(rows))
	var unread unreadError
	warned := map[digest.Digest]bool{}
	for i, row := range rows {
		if !warned[row.Digest] {
			row.warn(f)
		}
		warned[row.Digest] = true
		unread.add(row)
		results[i] = row.TagResult
	}
	t := render.Table{
		Header:  []string{"TAG", "DIGEST", "CREATED", "SIZE", "PLATFORMS"},
		Rows:    rowsOf(rows, tagRow.cells),
		Records: rowsOf(rows, tagRow.record),
	}
	return render.Result{Value: results, Tables: []render.Table{t}, Quiet: tags}, p.fail(unread.of(len(rows)))
}

// A tagRow is a row and what was found out beside it.
type tagRow struct {
	TagResult

	odd []string
	err error
}

// warn says what is odd about an image, and keeps nothing from being shown.
func (t tagRow) warn(f *Factory) {
	for _, odd := range t.odd {
		f.Warn("%s: %s", t.Tag, odd)
	}
}

// cells are what people see of a row.
func (t tagRow) cells() []string {
	if t.err != nil {
		return []string{t.Tag, t.Digest.String(), created(t.Created), "", "not read: " + oneLine(t.Error)}
	}
	return []string{t.Tag, t.Digest.String(), created(t.Created), term.Size(t.Size), strings.Join(t.Platforms, ", ")}
}

// record is what programs see of a row: sizes in bytes, and a column more with
// the reason where the tag could not be read, or not all of it.
func (t tagRow) record() []string {
	platforms := strings.Join(t.Platforms, ",")
	if t.err != nil {
		return []string{t.Tag, t.Digest.String(), created(t.Created), "", platforms, oneLine(t.Error)}
	}
	record := []string{t.Tag, t.Digest.String(), created(t.Created), strconv.FormatInt(t.Size, 10), platforms}
	if t.Error != "" {
		record = append(record, oneLine(t.Error))
	}
	return record
}

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

func (e *unreadError) add(row tagRow) {
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
