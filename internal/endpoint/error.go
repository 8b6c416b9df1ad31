package endpoint

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// An Error is an argument that is no endpoint: it names the byte that is wrong.
type Error struct {
	Arg string // as it was given
	At  int    // index of the first wrong byte; len(Arg) where something is missing at the end, -1 where no byte is to blame
	Msg string // what is wrong there

	Closed string // the transport, such as "docker-daemon:", where it is one that leads nowhere
}

// Error returns one line. The argument is quoted: control characters, look-alike
// letters and broken UTF-8 are shown as code points and bytes, never raw.
func (e *Error) Error() string {
	arg := quote(password.ReplaceAllString(e.Arg, "$1***@"))
	if e.At < 0 {
		return arg + ": " + e.Msg
	}
	return fmt.Sprintf("%s is no image reference: at byte %d%s: %s", arg, e.At, e.found(), e.Msg)
}

// password finds what stands behind a user's name in a URL.
var password = regexp.MustCompile(`^((?:[a-z][a-z0-9+.-]*://)?[^/@:]+:)[^/@]+@`)

// found shows what stands at the wrong byte.
func (e *Error) found() string {
	if e.At >= len(e.Arg) {
		return " (its end)"
	}
	_, n := utf8.DecodeRuneInString(e.Arg[e.At:])
	return " (" + quote(e.Arg[e.At:e.At+n]) + ")"
}

// quote returns s in double quotes, all but printable ASCII escaped, and cut
// where it is too long for a line.
func quote(s string) string {
	const most = 200
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		if i >= most {
			b.WriteString("…")
			break
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0x7f:
			fmt.Fprintf(&b, `\u{%x}`, r)
		case r == '"':
			b.WriteString(`\"`)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
