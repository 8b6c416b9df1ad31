package term

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSafeWritesOutWhatATerminalWouldObey(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain text stays", "nginx:1.27 – größer 日本", "nginx:1.27 – größer 日本"},
		{"empty text stays", "", ""},
		{"a backslash stays", `a\b`, `a\b`},
		{"escape", "a\x1b[31mred", `a\x1b[31mred`},
		{"bell, line feed, carriage return and tab", "\a\n\r\t", `\x07\x0a\x0d\x09`},
		{"NUL and DEL", "\x00\x7f", `\x00\x7f`},
		{"C1 in UTF-8", "\u009b31m", `\u{9b}31m`},
		{"right-to-left override", "gnp\u202eexe", `gnp\u{202e}exe`},
		{"isolates", "\u2066\u2069", `\u{2066}\u{2069}`},
		{"zero width", "a\u200bb\u200dc\ufeffd", `a\u{200b}b\u{200d}c\u{feff}d`},
		{"soft hyphen", "a\u00adb", `a\u{ad}b`},
		{"fillers that look like nothing", "\u3164\u115f", `\u{3164}\u{115f}`},
		{"line and paragraph separators", "\u2028\u2029", `\u{2028}\u{2029}`},
		{"tag characters", "\U000e0041", `\u{e0041}`},
		{"bytes that are no UTF-8", "a\xffb\xc3", `a\xffb\xc3`},
		{"a true replacement character", "\ufffd", "\ufffd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Safe(tt.in); got != tt.want {
				t.Errorf("Safe(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestSafeTextKeepsLinesAndTabs(t *testing.T) {
	if got, want := SafeText("a\tb\nc\rd\x1be"), "a\tb\nc\\x0dd\\x1be"; got != want {
		t.Errorf("SafeText = %q, want %q", got, want)
	}
}

func TestSafeJSONSaysTheSame(t *testing.T) {
	in := "{\n\t\"a\": \"\\u001b\u009b31m\u202e\U000e0001\x7fü\"\n}\n"
	want := "{\n\t\"a\": \"\\u001b\\u009b31m\\u202e\\udb40\\udc01\\u007fü\"\n}\n"
	got := SafeJSON(in)
	if got != want {
		t.Errorf("SafeJSON = %q, want %q", got, want)
	}
	var before, after map[string]string
	if err := errors.Join(json.Unmarshal([]byte(in), &before), json.Unmarshal([]byte(got), &after)); err != nil || !maps.Equal(before, after) {
		t.Errorf("%q became %q, %v", before, after, err)
	}
}

func FuzzSafe(f *testing.F) {
	for _, seed := range []string{"", "nginx", "\x1b[2J", "\u202e", "a\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Safe(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Safe(%q) = %q is not UTF-8", s, got)
		}
		if again := Safe(got); again != got {
			t.Fatalf("Safe(%q) = %q, again %q", s, got, again)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e }) {
			t.Fatalf("Safe(%q) = %q has control characters", s, got)
		}
	})
}
