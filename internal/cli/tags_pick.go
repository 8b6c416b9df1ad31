package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/semver"
)

// A tagOrder is what tags are sorted by; ties are by name.
type tagOrder uint8

const (
	asListed  tagOrder = iota
	bySemver           // the highest first
	byCreated          // the newest first
	bySize             // the largest first
	byName
)

// means reports whether a name is one of those that are meant, as far as the name
// says that.
func (o *tagsOptions) means(name string) bool {
	tag := tagIn(name)
	if !o.match.has(name, tag) {
		return false
	}
	v, ok := semver.Parse(tag)
	return o.Range.text == "" || ok && o.Range.Has(v)
}

// enough returns how many names that are meant are all that has to be known, 0
// where that is all of them.
func (o *tagsOptions) enough() int {
	if o.Sort.given() || o.Reverse || o.Digest != "" || o.Since.text != "" {
		return 0
	}
	return o.most
}

// wants returns the flag for which the facts of every tag have to be known, ""
// where those of the tags that are shown will do.
func (o *tagsOptions) wants() string {
	switch {
	case o.Since.text != "":
		return "--since " + o.Since.text
	case o.Sort.value == byCreated || o.Sort.value == bySize:
		return "--sort " + o.Sort.word
	}
	return ""
}

// asks reports whether more than names has to be known.
func (o *tagsOptions) asks() bool { return o.Long || o.Digest != "" || o.wants() != "" }

// arrange puts names in the order that was asked for, as far as they say it
// themselves, and leaves those away that are too many.
func (o *tagsOptions) arrange(tags []string) []string {
	switch o.Sort.value {
	case asListed:
		if o.Reverse {
			slices.Reverse(tags)
		}
	case byName:
		slices.Sort(tags)
		if o.Reverse {
			slices.Reverse(tags)
		}
	case bySemver:
		tags = o.byVersion(tags)
	case byCreated, bySize:
	}
	if o.Digest == "" && o.wants() == "" {
		tags = o.first(tags)
	}
	return tags
}

// byVersion sorts tags, those behind that are no versions.
func (o *tagsOptions) byVersion(tags []string) []string {
	versions, others := make([]versioned, 0, len(tags)), []string{}
	for _, tag := range tags {
		if v, ok := semver.Parse(tagIn(tag)); ok {
			versions = append(versions, versioned{tag, v})
			continue
		}
		others = append(others, tag)
	}
	slices.SortFunc(versions, func(a, b versioned) int {
		return cmp.Or(o.sign()*b.version.Compare(a.version), strings.Compare(a.tag, b.tag))
	})
	slices.Sort(others)
	tags = tags[:0]
	for _, v := range versions {
		tags = append(tags, v.tag)
	}
	return append(tags, others...)
}

type versioned struct {
	tag     string
	version semver.Version
}

// sign turns a comparison the other way round where that was asked for.
func (o *tagsOptions) sign() int {
	if o.Reverse {
		return -1
	}
	return 1
}

func (o *tagsOptions) first(tags []string) []string {
	if o.most == 0 {
		return tags
	}
	return tags[:min(o.most, len(tags))]
}

// pick returns rows of the tags that are shown, of those that are arranged, with
// facts where they are shown. What is cheap to know is looked at first.
func (o *tagsOptions) pick(ctx context.Context, r *tagReader, tags []string) ([]*tagRow, error) {
	rows := make([]*tagRow, len(tags))
	for i, tag := range tags {
		rows[i] = &tagRow{TagResult: TagResult{Tag: tag}}
	}
	if o.Digest != "" {
		if err := r.resolve(ctx, rows, "--digest"); err != nil {
			return nil, err
		}
		rows = slices.DeleteFunc(rows, func(row *tagRow) bool { return row.Digest != digest.Digest(o.Digest) })
	}
	if flag := o.wants(); flag != "" {
		if err := r.read(ctx, rows, flag); err != nil {
			return nil, err
		}
	}
	if o.Since.text != "" {
		rows = slices.DeleteFunc(rows, func(row *tagRow) bool { return row.Created == nil || row.Created.Before(o.Since.Time) })
	}
	o.sort(rows)
	if o.most > 0 {
		rows = rows[:min(o.most, len(rows))]
	}
	if !o.Long {
		return rows, nil
	}
	return rows, r.read(ctx, rows, "")
}

// sort sorts rows by what had to be asked for. Those of which nobody knows it are
// last, whichever way round.
func (o *tagsOptions) sort(rows []*tagRow) {
	var compare func(a, b *tagRow) int // 0 where neither is known
	switch o.Sort.value {
	case byCreated:
		compare = func(a, b *tagRow) int {
			return known(a.Created, b.Created, o.sign(), func(a, b *time.Time) int { return b.Compare(*a) })
		}
	case bySize:
		compare = func(a, b *tagRow) int {
			return known(a.sized(), b.sized(), o.sign(), func(a, b *int64) int { return cmp.Compare(*b, *a) })
		}
	case asListed, bySemver, byName:
		return
	}
	slices.SortFunc(rows, func(a, b *tagRow) int { return cmp.Or(compare(a, b), strings.Compare(a.Tag, b.Tag)) })
}

// known compares what is known of two; who is unknown comes last.
func known[T any](a, b *T, sign int, compare func(a, b *T) int) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return sign * compare(a, b)
}

// sized returns the size, nil where it is not known.
func (t *tagRow) sized() *int64 {
	if t.err != nil || t.Size == 0 {
		return nil
	}
	return &t.Size
}
