package semver

import (
	"slices"
	"strings"
	"testing"
)

func TestWhatATagIsAsAVersion(t *testing.T) {
	for _, tag := range []string{"1", "v1", "V1.2", "1.2.3", "1.2.3.4", "24.04", "1.27-alpine", "1.0.0-rc.1", "1.2.3+build-7", "2022", "2022-latest", "2024.01.15", "1.27.20240101"} {
		if _, ok := Parse(tag); !ok {
			t.Errorf("%s is no version", tag)
		}
	}
	for _, tag := range []string{"", "v", "latest", "vlatest", "1.", ".1", "1..2", "1.2.3.4.5", "1.2-", "1a", "20260101", "12345", "2026-01-02", "2026-01-02-alpine", "1234567", "20260101-alpine", "-1", "1.x", strings.Repeat("9", 20) + ".1"} {
		if v, ok := Parse(tag); ok {
			t.Errorf("%q is %+v", tag, v)
		}
	}
}

// sorted is in order, the lowest first; the middle is the example of
// https://semver.org/spec/v2.0.0.html#spec-item-11.
var sorted = []string{
	"0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "v1",
	"1.2-alpine", "1.2", "1.2.0.1", "1.2.10", "1.10", "24.04", "24.4.1",
}

func TestVersionsAreOrderedAsSemverHasIt(t *testing.T) {
	shuffled := slices.Clone(sorted)
	slices.Reverse(shuffled)
	slices.SortStableFunc(shuffled, func(a, b string) int { return must(t, a).Compare(must(t, b)) })
	if !slices.Equal(shuffled, sorted) {
		t.Errorf("got  %v\nwant %v", shuffled, sorted)
	}
	for _, same := range [][2]string{{"1", "1.0.0"}, {"v1.2", "1.2.0"}, {"24.04", "24.4"}, {"1.0.0+a", "1.0.0+b"}} {
		if c := must(t, same[0]).Compare(must(t, same[1])); c != 0 {
			t.Errorf("%s and %s compare as %d", same[0], same[1], c)
		}
	}
}

func must(t *testing.T, tag string) Version {
	t.Helper()
	v, ok := Parse(tag)
	if !ok {
		t.Fatalf("%s is no version", tag)
	}
	return v
}

func TestWhatIsInARange(t *testing.T) {
	for _, tt := range []struct{ text, in, out string }{
		{">=1.2 <2", "1.2 1.2.0 v1.99.3 1.27", "1.1.9 2 2.0.0 1.27-alpine 1.3.0-rc1 2.0.0-rc1"},
		{">=1.2, <2", "1.2", "2"},
		{">= 1.2   < 2", "1.5", "2.1"},
		{">=1.2-0 <2-0", "1.2 1.2-alpine 1.27-alpine", "2-alpine 2"},
		{">=1.2-0 <2", "1.27-alpine 2-rc1", "2"},
		{"1.2", "1.2 1.2.9", "1.3 1.1 1.2.1-rc1"},
		{"1.2.x", "1.2.0 1.2.9", "1.3"},
		{"1.x.x", "1.2.0 1.9", "2"},
		{"*", "0.1 9", "1-rc1"},
		{"1.2.3", "1.2.3 v1.2.3 1.2.3.1", "1.2.4"},
		{"!=1.2.3", "1.2.4", "1.2.3"},
		{">1.2", "1.3", "1.2 1.2.9"},
		{">1.2.3", "1.2.4", "1.2.3"},
		{"<=1.2", "1.2.9 1.1", "1.3 1.3.0-rc1"},
		{"<=1.2.3", "1.2.3", "1.2.4"},
		{"~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3"},
		{"~1.2", "1.2.0 1.2.9", "1.3"},
		{"~1", "1.9", "2"},
		{"^1.2.3", "1.2.3 1.9", "1.2.2 2"},
		{"^0.2.3", "0.2.3 0.2.9", "0.3"},
		{"^0.0.3", "0.0.3", "0.0.4"},
		{"1.2 - 1.4", "1.2 1.4.9", "1.1 1.5"},
		{"<1.2 || >=2", "1.1 2.3", "1.5"},
	} {
		r, err := ParseRange(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		for tag := range strings.FieldsSeq(tt.in) {
			if !r.Has(must(t, tag)) {
				t.Errorf("%s does not have %s", tt.text, tag)
			}
		}
		for tag := range strings.FieldsSeq(tt.out) {
			if r.Has(must(t, tag)) {
				t.Errorf("%s has %s", tt.text, tag)
			}
		}
	}
}

func TestWhatIsNoRangeIsRefused(t *testing.T) {
	for _, text := range []string{"", " ", ">=", "1.2 ||", "nonsense", ">=latest", "=<>1", ">=1.2 <", "- 1"} {
		if r, err := ParseRange(text); err == nil {
			t.Errorf("%.20q is a range: %+v", text, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, tag := range sorted {
		f.Add(tag, ">=1.2 <2")
	}
	f.Fuzz(func(t *testing.T, tag, text string) {
		v, ok := Parse(tag)
		if ok && v.Compare(v) != 0 {
			t.Errorf("%q is not itself", tag)
		}
		if r, err := ParseRange(text); err == nil {
			r.Has(v)
		}
	})
}
