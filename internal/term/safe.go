package term

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Safe returns one line of outside text as it may be shown: control characters
// (ESC, DEL, line ends and C1 among them), bidirectional controls, characters
// without width and bytes that are not UTF-8 are written out as \x1b or
// \u{202e}. All other text is returned as it is.
func Safe(s string) string { return escape(s, "") }

// SafeText is Safe for text of several lines: line feeds and tabs stay.
func SafeText(s string) string { return escape(s, "\n\t") }

// SafeJSON is SafeText for JSON, which stays JSON that says the same.
func SafeJSON(s string) string {
	var b strings.Builder
	for at := 0; at < len(s); {
		r, n := utf8.DecodeRuneInString(s[at:])
		switch hi, lo := utf16.EncodeRune(r); {
		case !isBad(s[at:], r, n), strings.ContainsRune("\n\t", r):
			b.WriteString(s[at : at+n])
		case hi == utf8.RuneError:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		}
		at += n
	}
	return b.String()
}

func escape(s, keep string) string {
	at := 0
	for at < len(s) {
		r, n := utf8.DecodeRuneInString(s[at:])
		if isBad(s[at:], r, n) && !strings.ContainsRune(keep, r) {
			break
		}
		at += n
	}
	if at == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:at])
	for at < len(s) {
		r, n := utf8.DecodeRuneInString(s[at:])
		switch {
		case !isBad(s[at:], r, n), strings.ContainsRune(keep, r):
			b.WriteString(s[at : at+n])
		case n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[at])
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
		at += n
	}
	return b.String()
}

// isBad reports whether the first rune r of s, n bytes long, must not reach a
// terminal as it is.
func isBad(s string, r rune, n int) bool {
	if r < utf8.RuneSelf {
		return r < 0x20 || r == 0x7f
	}
	if r == utf8.RuneError && n == 1 && s != "" {
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}
