package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/reference"
	"github.com/wherry-dev/wherry/layout"
)

// An imageFilter says which images of the store are meant: it is docker's
// --filter, read. Conditions of one kind are alternatives for names, and all have
// to hold for labels.
// https://docs.docker.com/reference/cli/docker/image/ls/#filter
type imageFilter struct {
	references []string // patterns
	dangling   *bool
	before     time.Time // made before; zero is no condition
	since      time.Time // made after
	labels     []labelFilter
	unused     time.Time // not used since; zero is no condition
}

// A labelFilter is label=KEY, label=KEY=VALUE, or label!= of either.
type labelFilter struct {
	key, value string
	any        bool // of all values
	not        bool
}

// parseFilter reads KEY=VALUE conditions, of which allowed are the keys. Where
// one names another image, find looks for it.
func parseFilter(conditions, allowed []string, now time.Time, find func(ref string) (layout.Image, error)) (f imageFilter, err error) {
	for _, condition := range conditions {
		key, value, ok := strings.Cut(condition, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !ok {
			return f, usagef("--filter %s is not of the form KEY=VALUE", condition)
		}
		if !slices.Contains(allowed, key) {
			return f, usagef("--filter %s: there is no filter %s; there are %s", condition, key, strings.Join(allowed, ", "))
		}
		if err := f.add(key, value, now, find); err != nil {
			return f, fmt.Errorf("--filter %s: %w", condition, err)
		}
	}
	return f, nil
}

func (f *imageFilter) add(key, value string, now time.Time, find func(ref string) (layout.Image, error)) error {
	switch key {
	case "reference":
		f.references = append(f.references, value)
		_, err := matchesName(value, "x")
		return asUsage(err)
	case "dangling":
		yes, err := strconv.ParseBool(value)
		if err != nil {
			return usagef("%q is neither true nor false", value)
		}
		f.dangling = &yes
	case "label", "label!":
		k, v, exact := strings.Cut(value, "=")
		f.labels = append(f.labels, labelFilter{key: k, value: v, any: !exact, not: key == "label!"})
	case "unused-for":
		d, err := time.ParseDuration(value)
		f.unused = earlier(f.unused, now.Add(-d))
		return asUsage(err)
	case "until":
		t, err := parseWhen(value, now)
		f.before = earlier(f.before, t)
		return asUsage(err)
	default:
		return f.addImage(key, value, find)
	}
	return nil
}

// addImage adds a condition about another image.
func (f *imageFilter) addImage(key, value string, find func(ref string) (layout.Image, error)) error {
	image, err := find(value)
	if err != nil {
		return err
	}
	made := createdOf(image)
	if key == "before" {
		f.before = earlier(f.before, made)
	} else if made.After(f.since) {
		f.since = made
	}
	return nil
}

func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err: err}
}

// earlier returns the earlier of two times, the first of which may be none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// parseWhen reads a time as docker does: how long ago (24h), seconds since 1970,
// or a date, with a time or without, that of this place where it names no zone.
func parseWhen(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if seconds, err := strconv.ParseFloat(s, 64); err == nil && len(s) > len("2006") {
		return time.Unix(0, int64(seconds*float64(time.Second))), nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02Z07:00", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time such as 24h, 2006-01-02 or 2006-01-02T15:04:05Z", s)
}

// names returns those names of an image that are meant, and whether the image is.
// An image without a name has none and may be meant.
func (f *imageFilter) names(i layout.Image) (names []string, meant bool) {
	if !f.holds(i) {
		return nil, false
	}
	if len(f.references) == 0 {
		return i.Names, true
	}
	for _, name := range i.Names {
		if slices.ContainsFunc(f.references, func(pattern string) bool {
			matches, err := matchesName(pattern, name)
			return err == nil && matches
		}) {
			names = append(names, name)
		}
	}
	return names, len(names) > 0
}

// holds reports whether all conditions hold that are not about a name.
func (f *imageFilter) holds(i layout.Image) bool {
	v, _ := i.For(content.HostPlatform())
	switch {
	case f.dangling != nil && *f.dangling != (len(i.Tags()) == 0):
		return false
	case !f.before.IsZero() && !v.Created.Before(f.before):
		return false
	case !f.since.IsZero() && !v.Created.After(f.since):
		return false
	}
	return !slices.ContainsFunc(f.labels, func(l labelFilter) bool { return l.has(v.Labels()) == l.not })
}

// unusedIn returns what reports whether nothing was done with an image of the store
// for as long as the filter says, if it says that. What other tools brought counts
// from when it was stored.
func (f *imageFilter) unusedIn(store *layout.Store) func(layout.Image) bool {
	if f.unused.IsZero() {
		return func(layout.Image) bool { return true }
	}
	uses := store.Uses()
	return func(i layout.Image) bool {
		last := uses[i.Root.Digest].Used
		if last.IsZero() {
			last = store.StoredAt(i.Root.Digest)
		}
		return last.Before(f.unused)
	}
}

func (l labelFilter) has(labels map[string]string) bool {
	value, ok := labels[l.key]
	return ok && (l.any || value == l.value)
}

// matchesName reports whether a name of an image of the store is what a pattern,
// as docker reads it, means: with its tag or without.
func matchesName(pattern, name string) (bool, error) {
	named, err := reference.ParseNormalized(name)
	if err != nil {
		return false, nil //nolint:nilerr // what is no reference matches none
	}
	matches, err := familiarMatch(pattern, named)
	if err != nil {
		return false, errors.New("the pattern has an open [")
	}
	return matches, nil
}

// familiarMatch matches what docker shows of an image, and of its repository.
func familiarMatch(pattern string, named reference.Named) (bool, error) {
	shown := named.Familiar()
	matches, err := path.Match(pattern, shown.String())
	if err != nil || matches {
		return matches, err
	}
	return path.Match(pattern, shown.Name())
}

// createdOf returns when an image was made, as listings show it.
func createdOf(i layout.Image) time.Time {
	v, _ := i.For(content.HostPlatform())
	return v.Created
}

// findIn returns what looks for an image of the store by what somebody typed.
func (f *Factory) findIn(ctx context.Context, store *layout.Store) func(ref string) (layout.Image, error) {
	return func(ref string) (layout.Image, error) {
		e, err := f.parseInStore(ref)
		if err != nil {
			return layout.Image{}, err
		}
		image, err := store.Find(ctx, e.Name)
		return image, notInStore(ref, err)
	}
}

// listFilters are the conditions of listings.
var listFilters = []string{"before", "dangling", "label", "reference", "since", "until"}
