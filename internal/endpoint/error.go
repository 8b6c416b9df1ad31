package endpoint

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/wherry-dev/wherry/internal/pattern"
)

// An Error is an argument that is no endpoint: it names the byte that is wrong.
type Error struct {
	Arg string // as it was given
	At  int    // index of the first wrong byte; len(Arg) where something is missing at the end, -1 where no byte is to blame
	Msg string // what is wrong there

	Closed string // the transport, such as "docker-daemon:", where it is one that leads nowhere
	Secret bool   // the argument has a password in it: Arg is empty, and whoever reports it does not repeat the argument
}

// Error returns one line. The argument is quoted: control characters, look-alike
// letters and broken UTF-8 are shown as code points and bytes, never raw.
func (e *Error) Error() string {
	if e.Secret {
		return e.Msg
	}
	arg := quote(password().ReplaceAllString(e.Arg, "$1***@"))
	if e.At < 0 {
		return arg + ": " + e.Msg
	}
	return fmt.Sprintf("%s is no image reference: at byte %d%s: %s", arg, e.At, e.found(), e.Msg)
}

// password finds what stands behind a user's name in a URL.
var password = pattern.Lazy(`^((?:[a-z][a-z0-9+.-]*://)?[^/@:]+:)[^/@]+@`)

// checkUser refuses a user name or password in front of a host, as URLs have it:
// others see the command line. Behind an @ of a reference without a scheme stands
// a digest, which has no slash.
func checkUser(arg string) error {
	rest, _ := strings.CutPrefix(arg, "docker://")
	scheme := strings.Index(rest, "://")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 && looksLikeDigest(rest[i+1:]) {
		rest = rest[:i]
		if scheme < 0 && strings.Contains(rest, "@") {
			return userInHost()
		}
	}
	i := strings.LastIndexByte(rest, '@')
	if i >= 0 && (scheme >= 0 || strings.Contains(rest[i:], "/")) {
		return userInHost()
	}
	return nil
}

func userInHost() error {
	return &Error{At: -1, Secret: true, Msg: "a user name or password stands in front of a host, where others see it; use wherry login, or --username and --password-stdin"}
}

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
