package outside_test

import (
	"testing"

	"github.com/wherry-dev/wherry/internal/outside"
)

func TestTextFromOutside(t *testing.T) {
	for _, tt := range []struct {
		name, text, printable, quote string
	}{
		{"plain text", "app/x", "app/x", `"app/x"`},
		{"letters of other alphabets", "größe 漢", "größe 漢", `"größe 漢"`},
		{"an escape sequence", "a\x1b[2J\u202e", `a\x1b[2J\u202e`, `"a\x1b[2J\u202e"`},
		{"a quote", `a" is fine`, `a" is fine`, `"a\" is fine"`},
		{"what is escaped already", `a\x1b`, `a\x1b`, `"a\\x1b"`},
		{"bytes that are no UTF-8", "a\xff", "a\uFFFD", `"a\xff"`},
		{"long text", "0123456789abcdefg", "0123456789abcdef…", `"0123456789abcdef…"`},
		{"text that is just not long", "0123456789abcdef", "0123456789abcdef", `"0123456789abcdef"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := outside.Printable(tt.text, 16); got != tt.printable {
				t.Errorf("printable: %s, want %s", got, tt.printable)
			}
			if got := outside.Quote(tt.text, 16); got != tt.quote {
				t.Errorf("quoted: %s, want %s", got, tt.quote)
			}
		})
	}
}
