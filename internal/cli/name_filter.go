package cli

import (
	"errors"
	"fmt"
	"iter"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/wherry-dev/wherry/content"
)

// A nameFilter says which names of a listing are meant, and how many.
type nameFilter struct {
	match matches
	most  int // 0 is all
}

func (n *nameFilter) bind(flags *pflag.FlagSet) {
	flags.Var(&n.match, "match", "only names that match `PATTERN`: a glob as in images --filter reference=…, or a regular expression as /EXPR/ (repeatable; one has to match)")
	flags.IntVarP(&n.most, "limit", "n", 0, "no more than the first `N`")
}

func (n *nameFilter) check() error {
	if n.most < 0 {
		return usagef("--limit %d is less than nothing", n.most)
	}
	return nil
}

// matches is the flag --match: patterns, one of which has to match. None match all.
type matches struct {
	text  []string
	match []func(name string) bool
}

// Set adds a pattern.
func (m *matches) Set(s string) error {
	match, err := parsePattern(s)
	m.text, m.match = append(m.text, s), append(m.match, match)
	return err
}

// parsePattern reads /EXPR/, which matches where it is found, or a glob as docker
// reads it: it matches all of the name, and a * no slash.
func parsePattern(s string) (func(string) bool, error) {
	if len(s) > 1 && s[0] == '/' && s[len(s)-1] == '/' {
		expr, err := regexp.Compile(s[1 : len(s)-1])
		if err != nil {
			return nil, fmt.Errorf("%s is no regular expression: %w", s, err)
		}
		return expr.MatchString, nil
	}
	if _, err := path.Match(s, ""); err != nil {
		return nil, errors.New("the pattern has an open [")
	}
	return func(name string) bool {
		matches, err := path.Match(s, name)
		return err == nil && matches
	}, nil
}

// String returns the patterns with commas between them.
func (m *matches) String() string { return strings.Join(m.text, ",") }

// Type is how help texts call the value.
func (m *matches) Type() string { return "PATTERN" }

// has reports whether one of the ways in which a name can be written matches.
func (m *matches) has(written ...string) bool {
	return len(m.match) == 0 || slices.ContainsFunc(m.match, func(match func(string) bool) bool {
		return slices.ContainsFunc(written, match)
	})
}

// tagIn returns the tag of a name that a place lists: places other than a
// repository list whole references.
func tagIn(name string) string {
	_, tag := content.SplitName(name)
	return tag
}

// collect returns the names of a listing, those before an error too.
func collect(names iter.Seq2[string, error]) ([]string, error) {
	return collectSome(names, 0, func(string) bool { return true })
}

// collectSome is collect of the names for which meant holds, no more than the
// first of them, 0 being all. No page is asked for behind the last that is wanted.
func collectSome(names iter.Seq2[string, error], most int, meant func(name string) bool) ([]string, error) {
	all := []string{}
	for name, err := range names {
		if err != nil {
			return all, err
		}
		if !meant(name) {
			continue
		}
		all = append(all, name)
		if len(all) == most {
			break
		}
	}
	return all, nil
}
