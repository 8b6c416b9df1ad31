// Package outside makes text from outside fit for a message: short, and without
// what could move a terminal's cursor or read backwards.
package outside

import (
	"strconv"
	"strings"
	"unicode"
)

// Printable returns s, of which it leaves out what is behind about so many bytes, with
// what is not printable escaped as in Go. What is escaped already, such as in the
// message of an error that quotes, stays as it is.
func Printable(s string, most int) string {
	var b strings.Builder
	for _, c := range strings.ToValidUTF8(s, "\uFFFD") {
		if b.Len() >= most {
			b.WriteString("…")
			break
		}
		if unicode.IsPrint(c) {
			b.WriteRune(c)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(c), "'"))
	}
	return b.String()
}

// Quote returns s between quotes as %q does, of which it leaves out what is behind so
// many bytes. Nothing in s ends the quote.
func Quote(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}
