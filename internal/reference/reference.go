// Package reference reads names of images as docker does. The grammar, what a
// short name stands for and the messages are those of
// https://pkg.go.dev/github.com/distribution/reference, against which it is
// tested. That package compiles its regular expressions when a program starts,
// which takes every start 3 ms, and matches each name with four of them.
package reference

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	hub       = "docker.io"
	legacyHub = "index.docker.io"
	official  = "library/" // what a name of one part is in on Docker Hub
	latest    = "latest"

	maxPath     = 255 // bytes of a path
	maxTag      = 128 // bytes of a tag
	leastDigest = 32  // hex digits of a digest
	identifier  = 64  // hex digits of an image ID
)

// What is wrong with a name.
var (
	ErrFormat    = errors.New("invalid reference format")
	ErrUppercase = errors.New("repository name must be lowercase")
	ErrEmpty     = errors.New("repository name must have at least one component")
	ErrTooLong   = fmt.Errorf("repository name must not be more than %d characters", maxPath)
)

// A Named is a repository, or an image of it by its tag, its digest or both.
type Named struct {
	Domain string // host and port; empty where nothing says them
	Path   string
	Tag    string
	Digest digest.Digest
}

// Name returns the name of the repository.
func (n Named) Name() string {
	if n.Domain == "" {
		return n.Path
	}
	return n.Domain + "/" + n.Path
}

// String returns what [Parse] reads.
func (n Named) String() string {
	s := n.Name()
	if n.Tag != "" {
		s += ":" + n.Tag
	}
	if n.Digest != "" {
		s += "@" + n.Digest.String()
	}
	return s
}

// IsRepository reports whether it has neither a tag nor a digest.
func (n Named) IsRepository() bool { return n.Tag == "" && n.Digest == "" }

// Image returns n, with the tag latest where it is a repository.
func (n Named) Image() Named {
	if n.IsRepository() {
		n.Tag = latest
	}
	return n
}

// Familiar returns what docker shows of it: without the host of Docker Hub, and
// without the library of its official images.
func (n Named) Familiar() Named {
	if n.Domain != hub {
		return n
	}
	n.Domain = ""
	if rest, ok := strings.CutPrefix(n.Path, official); ok && !strings.Contains(rest, "/") {
		n.Path = rest
	}
	return n
}

// ParseNormalized reads a name as a user of docker writes it: nginx is
// docker.io/library/nginx. A first part is a host if it is localhost, or has a
// dot, a colon or a capital.
func ParseNormalized(s string) (Named, error) {
	if len(s) == identifier && all(s, isLowerHex) {
		return Named{}, fmt.Errorf("invalid repository name (%s), cannot specify 64-byte hexadecimal strings", s)
	}
	domain, rest := splitDomain(s)
	if remote, _, _ := strings.Cut(rest, ":"); strings.ToLower(remote) != remote {
		return Named{}, fmt.Errorf("invalid reference format: repository name (%s) must be lowercase", remote)
	}
	return Parse(domain + "/" + rest)
}

// splitDomain returns the host that s has, or Docker Hub, and what is in it.
func splitDomain(s string) (domain, rest string) {
	first, behind, ok := strings.Cut(s, "/")
	switch {
	case !ok:
		return hub, official + s
	case first == legacyHub:
		domain, rest = hub, behind
	case first == "localhost", strings.ContainsAny(first, ".:"), strings.ToLower(first) != first:
		domain, rest = first, behind
	default:
		domain, rest = hub, s
	}
	if domain == hub && !strings.Contains(rest, "/") {
		rest = official + rest
	}
	return domain, rest
}

// Parse reads a name as it is spelt out: a first part that could be a host is one
// if another follows.
func Parse(s string) (Named, error) {
	n, ok := match(s)
	switch {
	case ok && len(n.Path) > maxPath:
		return Named{}, ErrTooLong
	case ok && n.Digest != "":
		if _, err := digest.Parse(n.Digest.String()); err != nil {
			return Named{}, err
		}
		return n, nil
	case ok:
		return n, nil
	case s == "":
		return Named{}, ErrEmpty
	}
	if _, ok := match(strings.ToLower(s)); ok {
		return Named{}, ErrUppercase
	}
	return Named{}, ErrFormat
}

// match reads [domain/]path[:tag][@digest].
func match(s string) (n Named, ok bool) {
	name, d, digested := strings.Cut(s, "@")
	if digested && !isDigest(d) {
		return n, false
	}
	n.Digest = digest.Digest(d)
	slash := strings.LastIndexByte(name, '/') + 1
	last, tag, tagged := strings.Cut(name[slash:], ":")
	if tagged && !isTag(tag) {
		return n, false
	}
	n.Tag, n.Path = tag, name[:slash+len(last)]
	if first, rest, ok := strings.Cut(n.Path, "/"); ok && IsDomain(first) {
		n.Domain, n.Path = first, rest
	}
	return n, isPath(n.Path)
}

// IsDomain reports whether s is a host, by its name or an IPv6 address in
// brackets, with or without a port.
func IsDomain(s string) bool {
	if address, ok := strings.CutPrefix(s, "["); ok {
		address, port, ok := strings.Cut(address, "]")
		return ok && address != "" && all(address, func(c byte) bool { return isHex(c) || c == ':' }) &&
			(port == "" || port[0] == ':' && isPort(port[1:]))
	}
	name, port, ok := strings.Cut(s, ":")
	if ok && !isPort(port) {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		end := len(part) - 1
		if end < 0 || part[0] == '-' || part[end] == '-' || !all(part, func(c byte) bool { return isAlnum(c) || c == '-' }) {
			return false
		}
	}
	return true
}

func isPort(s string) bool { return s != "" && all(s, isDigit) }

// isPath reports whether s is parts with slashes between them.
func isPath(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if !isPart(part) {
			return false
		}
	}
	return true
}

// isPart reports whether s is small letters and digits with separators between
// them, each a dot, one or two underscores, or dashes.
func isPart(s string) bool {
	for {
		word := 0
		for word < len(s) && isLowerAlnum(s[word]) {
			word++
		}
		if word == 0 || word == len(s) {
			return word > 0
		}
		s = s[word:]
		switch {
		case strings.HasPrefix(s, "__"):
			s = s[2:]
		case s[0] == '.' || s[0] == '_':
			s = s[1:]
		case s[0] == '-':
			s = strings.TrimLeft(s, "-")
		default:
			return false
		}
	}
}

func isTag(s string) bool {
	return s != "" && len(s) <= maxTag && s[0] != '.' && s[0] != '-' &&
		all(s, func(c byte) bool { return isAlnum(c) || c == '_' || c == '.' || c == '-' })
}

// isDigest reports whether s is an algorithm, of words with one of -_+. between
// them, and hex digits.
func isDigest(s string) bool {
	algorithm, hex, ok := strings.Cut(s, ":")
	if !ok || len(hex) < leastDigest || !all(hex, isHex) {
		return false
	}
	for algorithm != "" {
		i := strings.IndexAny(algorithm, "-_+.")
		word := algorithm
		if i >= 0 {
			word = algorithm[:i]
		}
		if word == "" || isDigit(word[0]) || !all(word, isAlnum) {
			return false
		}
		if i < 0 {
			return true
		}
		algorithm = algorithm[i+1:]
	}
	return false
}

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool      { return '0' <= c && c <= '9' }
func isLowerHex(c byte) bool   { return isDigit(c) || 'a' <= c && c <= 'f' }
func isHex(c byte) bool        { return isLowerHex(c) || 'A' <= c && c <= 'F' }
func isLowerAlnum(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'z' }
func isAlnum(c byte) bool      { return isLowerAlnum(c) || 'A' <= c && c <= 'Z' }
