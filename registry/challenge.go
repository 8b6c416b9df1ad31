package registry

import (
	"net/http"
	"strings"
)

// A challenge is what a host answers who it does not let in: the scheme, in
// lower case, and its parameters.
// https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
type challenge struct {
	scheme string
	params map[string]string // keys in lower case
}

// pickChallenge returns the first challenge that can be met.
func pickChallenge(h http.Header) (challenge, bool) {
	for _, value := range h.Values("WWW-Authenticate") {
		for _, c := range parseChallenges(value) {
			if c.scheme == "basic" || c.scheme == "bearer" && c.params["realm"] != "" {
				return c, true
			}
		}
	}
	return challenge{}, false
}

// parseChallenges reads one header, which may hold several challenges. It stops
// at what it cannot read.
func parseChallenges(value string) []challenge {
	const most = 16
	var all []challenge
	p := headerParser{rest: value}
	for len(all) < most {
		p.skip(" \t,")
		scheme := p.token()
		if scheme == "" {
			break
		}
		c := challenge{scheme: strings.ToLower(scheme), params: map[string]string{}}
		p.params(c.params)
		all = append(all, c)
	}
	return all
}

type headerParser struct{ rest string }

func (p *headerParser) skip(chars string) { p.rest = strings.TrimLeft(p.rest, chars) }

func (p *headerParser) token() string {
	end := strings.IndexFunc(p.rest, func(c rune) bool { return !isTokenChar(c) })
	if end < 0 {
		end = len(p.rest)
	}
	token := p.rest[:end]
	p.rest = p.rest[end:]
	return token
}

func isTokenChar(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

// params reads key=value pairs up to the next challenge. A token that no "="
// follows is that challenge's scheme. The first value of a key counts.
func (p *headerParser) params(into map[string]string) {
	for {
		p.skip(" \t,")
		before := p.rest
		key := strings.ToLower(p.token())
		p.skip(" \t")
		if key == "" || !strings.HasPrefix(p.rest, "=") {
			p.rest = before
			if key != "" {
				return
			}
			if !p.junk() {
				return
			}
			continue
		}
		p.rest = strings.TrimLeft(p.rest[1:], "= \t") // more than one "=" is the end of a token68
		value := p.value()
		if _, twice := into[key]; !twice {
			into[key] = value
		}
	}
}

// junk passes over a character that belongs nowhere.
func (p *headerParser) junk() bool {
	if p.rest == "" {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *headerParser) value() string {
	if !strings.HasPrefix(p.rest, `"`) {
		end := strings.IndexAny(p.rest, ", \t")
		if end < 0 {
			end = len(p.rest)
		}
		value := p.rest[:end]
		p.rest = p.rest[end:]
		return value
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	p.rest = ""
	return b.String()
}
