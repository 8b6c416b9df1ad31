// Package semver reads tags as versions, loosely: a tag that people take for a
// version is one. Versions and ranges are those of Masterminds/semver; what is
// added is what tags have and versions do not: dates, and a fourth number.
package semver

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// maxLone is how many digits a tag has that is one number: one with more is a
// date or the number of a build.
const maxLone = 4

// A Version is a version as a tag has it. The zero Version must not be used.
type Version struct {
	first  *semver.Version // without the fourth number
	fourth uint64          // Windows and .NET have one; 0 where there is none
}

// Parse reads a tag: an optional v, one to four numbers with dots between them,
// and an optional suffix behind a hyphen, which counts as pre-release; build
// metadata behind a plus sign counts for nothing. Zeros in front of a number do
// not matter (24.04). What is a date or a hash is no version.
func Parse(tag string) (Version, bool) {
	numbers, suffix := tag, ""
	if i := strings.IndexAny(tag, "-+"); i >= 0 {
		numbers, suffix = tag[:i], tag[i:]
	}
	numbers = strings.TrimPrefix(strings.TrimPrefix(numbers, "v"), "V")
	var v Version
	switch strings.Count(numbers, ".") {
	case 0:
		if len(numbers) > maxLone || isMonthAndDay(suffix) {
			return Version{}, false
		}
	case 3:
		i := strings.LastIndexByte(numbers, '.')
		fourth, err := strconv.ParseUint(numbers[i+1:], 10, 64)
		if err != nil {
			return Version{}, false
		}
		numbers, v.fourth = numbers[:i], fourth
	}
	first, err := semver.NewVersion(numbers + suffix)
	v.first = first
	return v, err == nil
}

// isMonthAndDay reports whether s begins with what a date has behind its year.
func isMonthAndDay(s string) bool {
	if len(s) < len("-01-02") {
		return false
	}
	_, err := time.Parse("-01-02", s[:len("-01-02")])
	return err == nil
}

// Compare returns -1, 0 or 1: a pre-release comes before its release.
// https://semver.org/spec/v2.0.0.html#spec-item-11
func (v Version) Compare(w Version) int {
	return cmp.Or(v.first.Compare(w.first), cmp.Compare(v.fourth, w.fourth))
}

// A Range is a condition on versions. The zero Range must not be used.
type Range struct{ all *semver.Constraints }

// ParseRange reads conditions with blanks or commas between them, all of which
// have to hold, and alternatives with || between them:
//
//	1.2.3, =1.2.3, !=1.2.3, >1.2, >=1.2, <2, <=2
//	1.2, 1.2.x, 1.2.*   any version that begins so; * is any at all
//	~1.2.3              1.2.3 and later below 1.3
//	^1.2.3              1.2.3 and later below 2; ^0.2.3 is below 0.3
//	1.2 - 1.4           from 1.2 to the last that begins with 1.4
//
// A pre-release is in a range only if a condition of its alternative names one:
// >=1.2-0 <2-0 is >=1.2 <2 with pre-releases.
func ParseRange(s string) (Range, error) {
	all, err := semver.NewConstraint(s)
	return Range{all}, err
}

// Has reports whether v is in r, without its fourth number.
func (r Range) Has(v Version) bool { return r.all.Check(v.first) }
