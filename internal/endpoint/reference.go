package endpoint

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/wherry-dev/wherry/registry"
)

// The grammar's own limits.
const (
	maxTag  = 128
	maxName = 255 // host and repository together, as the distribution spec has it
	maxPort = 1<<16 - 1
)

// reference reads [HOST/]REPOSITORY[:TAG][@DIGEST].
func (p parser) reference() (Endpoint, error) {
	e := Endpoint{Transport: Registry}
	if err := p.plain(); err != nil {
		return Endpoint{}, err
	}
	end := len(p.arg)
	if i := strings.IndexByte(p.arg[p.from:], '@'); i >= 0 {
		end = p.from + i
	}
	from, err := p.host(&e, end)
	if err != nil {
		return Endpoint{}, err
	}
	nameEnd := end
	if i := strings.IndexByte(p.arg[from:end], ':'); i >= 0 {
		nameEnd = from + i
	}
	if err := p.repository(&e, from, nameEnd); err != nil {
		return Endpoint{}, err
	}
	if from == p.from {
		e.Short = p.arg[from:nameEnd]
	}
	if nameEnd < end {
		if err := p.tag(nameEnd+1, end); err != nil {
			return Endpoint{}, err
		}
		e.Tag = p.arg[nameEnd+1 : end]
	}
	if end < len(p.arg) {
		e.Digest, err = p.digest(end + 1)
	}
	if err != nil {
		return Endpoint{}, err
	}
	return e, nil
}

// plain refuses what stands nowhere in a reference, before anything is made of
// the rest: look-alike letters, invisible and control characters, URLs.
func (p parser) plain() error {
	s := p.arg[p.from:]
	for i, c := range []byte(s) {
		switch {
		case c > 0x7e:
			return p.fail(p.from+i, "a reference is plain ASCII")
		case c == ' ':
			return p.fail(p.from+i, "a reference has no spaces")
		case c < 0x20:
			return p.fail(p.from+i, "a reference has no control characters")
		case c == '%':
			return p.fail(p.from+i, "a reference is not percent-encoded")
		case c == '\\':
			return p.fail(p.from+i, "a reference has no backslash; a path needs a transport in front, such as archive:PATH")
		}
	}
	if i := strings.Index(s, "://"); i >= 0 {
		return p.fail(p.from, "a reference has no scheme; leave %s out", s[:i+len("://")])
	}
	if strings.HasPrefix(s, "../") {
		return p.fail(p.from, "a name starts with a letter or a digit; a path needs a transport in front, such as archive:%s", s)
	}
	return nil
}

// host reads the host, which ends at the first slash before end if it is one,
// and returns where the repository starts.
func (p parser) host(e *Endpoint, end int) (int, error) {
	e.Host = registry.DockerHub
	slash := strings.IndexByte(p.arg[p.from:end], '/')
	if slash < 0 {
		return p.from, nil
	}
	to := p.from + slash
	host := p.arg[p.from:to]
	if !isHost(host) {
		return p.from, nil
	}
	if err := p.hostAndPort(p.from, to); err != nil {
		return 0, err
	}
	e.Host = registry.HostName(host)
	return to + 1, nil
}

// isHost is docker's rule for what stands before the first slash.
func isHost(s string) bool {
	return s == "localhost" || strings.ContainsAny(s, ".:") || strings.ToLower(s) != s
}

func (p parser) hostAndPort(from, to int) error {
	s := p.arg[from:to]
	colon := strings.LastIndexByte(s, ':')
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return p.fail(to, "']' is missing after the IPv6 address")
		}
		if addr, err := netip.ParseAddr(s[1:end]); err != nil || !addr.Is6() || addr.Zone() != "" {
			return p.fail(from+1, "between [ and ] stands an IPv6 address")
		}
		if end+1 == len(s) {
			return nil
		}
		if s[end+1] != ':' {
			return p.fail(from+end+1, "after the IPv6 address stands a ':' or a '/'")
		}
		return p.port(from+end+2, to)
	}
	if colon < 0 {
		return p.domain(from, to)
	}
	if first := strings.IndexByte(s, ':'); first != colon {
		return p.fail(from+colon, "a host has one ':' before its port; an IPv6 address stands in [ ]")
	}
	if err := p.domain(from, from+colon); err != nil {
		return err
	}
	return p.port(from+colon+1, to)
}

func (p parser) port(from, to int) error {
	if from == to {
		return p.fail(to, "a port is missing after ':'")
	}
	for i := from; i < to; i++ {
		if !isDigit(p.arg[i]) {
			return p.fail(i, "%s is a host, and its port has digits only", quote(p.arg[p.from:to]))
		}
	}
	if n, err := strconv.Atoi(p.arg[from:to]); err != nil || n > maxPort {
		return p.fail(from, "a port is at most %d", maxPort)
	}
	return nil
}

// domain checks labels with dots between them.
func (p parser) domain(from, to int) error {
	for i := from; ; i++ {
		start := i
		for i < to && (isAlnum(p.arg[i]) || p.arg[i] == '-' && i > start) {
			i++
		}
		switch {
		case i == start:
			return p.fail(i, "a part of a host name starts with a letter or a digit")
		case p.arg[i-1] == '-':
			return p.fail(i-1, "a part of a host name ends with a letter or a digit")
		case i == to:
			return nil
		case p.arg[i] != '.':
			return p.fail(i, "a host name has letters, digits, '-' and '.' only")
		}
	}
}

// repository reads components with slashes between them.
func (p parser) repository(e *Endpoint, from, to int) error {
	name := p.arg[from:to]
	if name == "" {
		return p.fail(to, "a repository name is missing")
	}
	for i := from; i <= to; i++ {
		end := to
		if slash := strings.IndexByte(p.arg[i:to], '/'); slash >= 0 {
			end = i + slash
		}
		if err := p.component(i, end); err != nil {
			return err
		}
		i = end
	}
	// The whole of what the user wrote, so that an image ID is not taken for a name.
	if len(p.arg)-p.from == 64 && strings.Trim(p.arg[p.from:], "0123456789abcdef") == "" {
		return p.fail(from, "64 hex digits are an image ID and not a name; write NAME@sha256:%s", name)
	}
	if e.Host == registry.DockerHub && !strings.Contains(name, "/") {
		name = hubLibrary + name
	}
	if n := len(e.Host) + len("/") + len(name); n > maxName {
		return p.fail(max(from, to-(n-maxName)), "host and repository name have at most %d characters together, not %d", maxName, n)
	}
	e.Repository = name
	return nil
}

// component checks one part of a repository name: lower-case letters and digits
// with separators between them, which are one dot, one or two underscores, or
// any number of dashes.
func (p parser) component(from, to int) error {
	if from == to {
		return p.fail(to, "a part of the name is missing")
	}
	for i := from; ; {
		start := i
		for i < to && (isDigit(p.arg[i]) || p.arg[i] >= 'a' && p.arg[i] <= 'z') {
			i++
		}
		if i == start {
			return p.fail(i, "%s", p.misfit(i, to))
		}
		if i == to {
			return nil
		}
		n := separator(p.arg[i:to])
		if n == 0 {
			return p.fail(i, "%s", p.misfit(i, to))
		}
		i += n
	}
}

func separator(s string) int {
	switch {
	case strings.HasPrefix(s, "__"):
		return 2
	case s[0] == '.' || s[0] == '_':
		return 1
	}
	return len(s) - len(strings.TrimLeft(s, "-"))
}

// misfit says why the byte at i, before to, is not one of a name.
func (p parser) misfit(i, to int) string {
	if i == to {
		return "a part of a name ends with a letter or a digit"
	}
	switch c := p.arg[i]; {
	case c >= 'A' && c <= 'Z':
		return "a repository name is lower case"
	case strings.IndexByte("._-", c) >= 0:
		return "a part of a name starts and ends with a letter or a digit, with '.', '_', '__' or dashes in between"
	}
	return "a repository name has a-z, 0-9, and '.', '_', '-' in between"
}

func (p parser) tag(from, to int) error {
	if from == to {
		return p.fail(to, "a tag is missing after ':'")
	}
	for i := from; i < to; i++ {
		c := p.arg[i]
		if isAlnum(c) || c == '_' || i > from && (c == '.' || c == '-') {
			continue
		}
		if i == from && (c == '.' || c == '-') {
			return p.fail(i, "a tag starts with a letter, a digit or '_'")
		}
		return p.fail(i, "a tag has letters, digits, '_', '.' and '-' only")
	}
	if to-from > maxTag {
		return p.fail(from+maxTag, "a tag has at most %d characters, not %d", maxTag, to-from)
	}
	return nil
}

// ParseHost reads the argument of a verb that is about a registry: HOST[:PORT].
// Docker Hub's spellings become docker.io, and a https:// or http:// in front, a
// slash behind, are taken away, as docker has it for `login`.
func ParseHost(arg string) (string, error) {
	if strings.Contains(arg, "@") {
		return "", userInHost()
	}
	p := parser{arg: arg}
	for _, scheme := range []string{"https://", "http://"} {
		if strings.HasPrefix(arg, scheme) {
			p.from = len(scheme)
		}
	}
	to := len(arg)
	for _, path := range []string{"/v1/", "/v2/", "/"} {
		if strings.HasSuffix(arg, path) && to-len(path) >= p.from {
			to -= len(path)
			break
		}
	}
	if i := strings.IndexByte(arg[p.from:to], '/'); i >= 0 {
		return "", p.fail(p.from+i, "a registry is HOST[:PORT], without a repository")
	}
	for i := p.from; i < to; i++ {
		if arg[i] <= 0x20 || arg[i] > 0x7e {
			return "", p.fail(i, "a host is plain ASCII")
		}
	}
	if p.from == to {
		return "", p.fail(to, "a host is missing")
	}
	if err := p.hostAndPort(p.from, to); err != nil {
		return "", err
	}
	return registry.HostName(arg[p.from:to]), nil
}
