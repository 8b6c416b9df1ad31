package httpx

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A Kind is what a server names a URL for.
type Kind uint8

// The kinds.
const (
	Redirect       Kind = iota // of what is read: a blob, a manifest, a list
	UploadLocation             // where an upload session is, or is from now on
	NextPage                   // where a list goes on
	TokenServer                // the realm of a challenge
	TokenRedirect              // of a request to a token server
	ForeignLayer               // in an image: the word of whoever made it
)

// A Policy decides what becomes of the URLs that servers name, all of them. The
// zero Policy of a URL is that of a redirect by a registry far away.
//
// Credentials, which are passwords, tokens, headers that the user configured,
// and client certificates, go to the origin the user named: scheme, host and
// port. A URL is trusted with them only if it is of the origin that named it and
// that was itself trusted, so what has led away once gets none, wherever it
// leads: a storage server cannot have us do with our credentials what it likes.
// A token server is trusted with what is exchanged for a token.
//
// A scheme never weakens. A list goes on where it began. A foreign layer, and
// whatever a token server is told in plain http that is not the registry's own,
// is asked for without credentials.
//
// An address may be no nearer than the registry's own ([Reach]). Here that is
// decided of addresses in URLs, however they are written; what a name stands for
// is known when it is dialed, and decided by the same rule then ([Dial.Allow]).
// Proxies look names up themselves: behind one, nobody here learns that a name
// stands for an address of the proxy's own network, and the proxy's rules must
// see to that. For the same reason a registry behind a proxy counts as far away.
type Policy struct {
	Kind  Kind
	From  *url.URL // what was asked, and answered with the URL
	Reach Reach    // how near the registry is that all began with
}

// A Named is a URL that may be asked.
type Named struct {
	URL *url.URL

	// Trusted says that it may see the credentials that From may see; of a token
	// server, what is exchanged for a token.
	Trusted bool
}

// maxURL is more than servers take (RFC 9112 §3 asks for 8000), and signed URLs need.
const maxURL = 16 << 10

// Decide resolves the URL that text is against From (RFC 3986) and says whether
// and as what it may be asked. Its query stays byte for byte. What may not be
// asked is a [*RefusedError], which names the host.
func (p Policy) Decide(text string) (Named, error) {
	to, err := p.resolve(text)
	if err != nil {
		return Named{}, err
	}
	if reason := p.forbids(to); reason != "" {
		if to.Host == "" {
			reason += ", and " + p.From.Host + " named it"
		}
		return Named{}, &RefusedError{Target: Redact(to), Reason: reason}
	}
	return Named{URL: to, Trusted: p.trusts(to)}, nil
}

// resolve returns the URL that is meant.
func (p Policy) resolve(text string) (*url.URL, error) {
	if text == "" || len(text) > maxURL {
		return nil, &RefusedError{Reason: fmt.Sprintf("%s named a URL of %d bytes", p.From.Host, len(text))}
	}
	named, err := url.Parse(text)
	if err != nil {
		return nil, &RefusedError{Reason: p.From.Host + " named a URL that cannot be read"}
	}
	to := p.From.ResolveReference(named)
	to.Fragment, to.RawFragment = "", ""
	if !named.IsAbs() && (p.Kind == TokenServer || p.Kind == ForeignLayer) {
		return nil, &RefusedError{Target: Redact(to), Reason: "the URL is not absolute"}
	}
	if p.isMisled(to) {
		to.Scheme, to.Host = p.From.Scheme, p.From.Host
	}
	return to, nil
}

// isMisled reports whether the answer names its own host in http though it was
// asked in https: behind a proxy that ends TLS, a registry does not know better.
func (p Policy) isMisled(to *url.URL) bool {
	return (p.Kind == UploadLocation || p.Kind == NextPage) && p.From.Scheme == "https" && to.Scheme == "http" &&
		sameName(to.Hostname(), p.From.Hostname())
}

// forbids returns why a URL may not be asked, "" if it may.
func (p Policy) forbids(to *url.URL) string {
	switch {
	case to.Scheme != "https" && to.Scheme != "http", to.Hostname() == "", to.Opaque != "":
		return "not an http or https URL"
	case to.User != nil:
		return "the URL holds user information"
	case p.From.Scheme == "https" && to.Scheme == "http":
		return "it leads from https to http"
	case p.Kind == ForeignLayer && to.Scheme == "http" && p.Reach != Loopback:
		return "a foreign layer is in plain http"
	case p.Kind == NextPage && !SameOrigin(p.From, to):
		return "a list goes on at another host"
	case SameOrigin(p.From, to):
		return ""
	}
	if n, err := strconv.Atoi(port(to)); err != nil || n < 1 || n > 65535 {
		return "there is no such port"
	}
	return p.forbidsHost(to.Hostname())
}

// forbidsHost is about what can be told from a host as it is written.
func (p Policy) forbidsHost(name string) string {
	at, known := reachOfName(name)
	switch {
	case !isPlainHost(name):
		return "the host is written neither as a name nor as an address"
	case known && !p.Reach.Allows(at):
		return nearer
	}
	return ""
}

// nearer is why an address is refused, here and when it is dialed.
const nearer = "a server named an address that is nearer than the registry's own"

// trusts says who sees credentials.
func (p Policy) trusts(to *url.URL) bool {
	switch p.Kind {
	case ForeignLayer:
		return false
	case TokenServer:
		return to.Scheme == "https" || sameName(to.Hostname(), p.From.Hostname()) || isThisMachine(to.Hostname())
	case Redirect, UploadLocation, NextPage, TokenRedirect:
	}
	return SameOrigin(p.From, to)
}

// SameOrigin reports whether two URLs have scheme, host and port in common. How
// the host's letters are written, and whether a scheme's own port, does not matter.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && sameName(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// sameName compares as DNS does: letters that only Unicode takes for the same
// are others.
func sameName(a, b string) bool { return isASCII(a) && isASCII(b) && strings.EqualFold(a, b) }

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= 0x80 }) < 0
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// isPlainHost reports whether a host is a name of DNS or an address in the usual
// notation. Resolvers and proxies also take 0x7f.1, 017700000001 or 2130706433
// for addresses, and letters beyond ASCII for digits; and which of this
// machine's interfaces an address is at, a server has no business to say.
func isPlainHost(name string) bool {
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Zone() == ""
	}
	other := func(c rune) bool {
		return c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	}
	if strings.ContainsFunc(name, other) {
		return false
	}
	last := strings.TrimRight(name, ".")
	last = strings.ToLower(last[strings.LastIndex(last, ".")+1:])
	if digits, hex := strings.CutPrefix(last, "0x"); hex {
		return strings.Trim(digits, "0123456789abcdef") != ""
	}
	return strings.Trim(last, "0123456789") != "" // no top-level domain is a number (RFC 3696 §2)
}

// reachOfName returns how near a host is, where that can be told from how it is written.
func reachOfName(name string) (Reach, bool) {
	if addr, err := netip.ParseAddr(name); err == nil {
		return ReachOf(addr), true
	}
	if IsLoopbackHost(name) {
		return Loopback, true
	}
	return Public, false
}
