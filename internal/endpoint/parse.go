package endpoint

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// schemes are the transports a name can have in front.
var schemes = []struct {
	prefix    string
	transport Transport
	named     bool // PATH may be followed by :NAME or @DIGEST
}{
	{"oci:", Layout, true},
	{"ocidir://", Layout, true},
	{"oci-archive:", OCIArchive, true},
	{"docker-archive:", DockerArchive, true},
	{"dir:", Dir, false},
	{"archive:", Archive, false},
}

// closed are transports that lead nowhere.
var closed = []struct{ prefix, msg string }{
	{"docker-daemon:", "wherry talks to no daemon"},
	{"containers-storage:", "wherry does not read podman's storage"},
	{"bundle:", "bundles come in a later version"},
}

// Parse reads the argument of a verb: an image or repository in a registry, or
// a path. What it refuses is an [*Error].
func Parse(arg string) (Endpoint, error) {
	e, err := parse(arg)
	if err != nil {
		return Endpoint{}, err
	}
	return e, nil
}

func parse(arg string) (Endpoint, error) {
	if arg == "-" {
		return Endpoint{Transport: Stream}, nil
	}
	for _, c := range closed {
		if strings.HasPrefix(arg, c.prefix) {
			return Endpoint{}, &Error{Arg: arg, At: -1, Closed: c.prefix, Msg: c.msg}
		}
	}
	if rest, ok := strings.CutPrefix(arg, storePrefix); ok {
		return parser{arg: arg, from: len(arg) - len(rest)}.inStore()
	}
	for _, s := range schemes {
		rest, ok := strings.CutPrefix(arg, s.prefix)
		if !ok {
			continue
		}
		p := parser{arg: arg, from: len(arg) - len(rest)}
		e := Endpoint{Transport: s.transport, Path: rest}
		if s.named {
			return p.pathAndName(e)
		}
		return e, p.path(rest)
	}
	if isPath(arg) {
		return Endpoint{Transport: Archive, Path: arg}, parser{arg: arg}.path(arg)
	}
	if err := checkUser(arg); err != nil {
		return Endpoint{}, err
	}
	rest, _ := strings.CutPrefix(arg, "docker://")
	p := parser{arg: arg, from: len(arg) - len(rest)}
	return p.reference()
}

// isPath reports whether arg is a path without a transport in front.
func isPath(arg string) bool {
	for _, start := range []string{"./", "/", "~"} {
		if strings.HasPrefix(arg, start) {
			return true
		}
	}
	for _, end := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst"} {
		if strings.HasSuffix(arg, end) {
			return true
		}
	}
	return false
}

// A parser reads arg from an index on.
type parser struct {
	arg  string
	from int
}

func (p parser) fail(at int, format string, args ...any) error {
	return &Error{Arg: p.arg, At: at, Msg: fmt.Sprintf(format, args...)}
}

// path checks a path that runs to the end of arg.
func (p parser) path(path string) error {
	if path == "" {
		return p.fail(len(p.arg), "a path is missing")
	}
	if i := strings.IndexByte(path, 0); i >= 0 {
		return p.fail(p.from+i, "a path has no NUL")
	}
	return nil
}

// pathAndName reads PATH[:NAME][@DIGEST]. The path ends at its first colon,
// except for that of a drive letter.
func (p parser) pathAndName(e Endpoint) (Endpoint, error) {
	end := len(p.arg)
	if at := strings.LastIndexByte(p.arg, '@'); at >= p.from && looksLikeDigest(p.arg[at+1:]) {
		d, err := p.digest(at + 1)
		if err != nil {
			return Endpoint{}, err
		}
		e.Digest, end = d, at
	}
	pathEnd := p.from
	if hasDrive(p.arg[p.from:end]) {
		pathEnd += len("C:")
	}
	if colon := strings.IndexByte(p.arg[pathEnd:end], ':'); colon >= 0 {
		pathEnd += colon
		e.Name = p.arg[pathEnd+1 : end]
		if err := p.name(pathEnd+1, end); err != nil {
			return Endpoint{}, err
		}
	} else {
		pathEnd = end
	}
	e.Path = p.arg[p.from:pathEnd]
	if e.Path == "" {
		return Endpoint{}, p.fail(p.from, "a path is missing")
	}
	return e, p.path(e.Path)
}

func hasDrive(path string) bool {
	return len(path) >= 3 && path[1] == ':' && (path[2] == '\\' || path[2] == '/') && isLetter(path[0])
}

func looksLikeDigest(s string) bool {
	return strings.HasPrefix(s, "sha256:") || strings.HasPrefix(s, "sha512:")
}

// maxPlaceName is how long a name in a layout or archive may be: a full reference.
const maxPlaceName = 512

// name checks what an image is called in a layout or archive: the value of
// org.opencontainers.image.ref.name, or a full reference.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md
func (p parser) name(from, to int) error {
	if from == to {
		return p.fail(to, "a name is missing after ':'")
	}
	if to-from > maxPlaceName {
		return p.fail(from+maxPlaceName, "a name has at most %d characters", maxPlaceName)
	}
	for i := from; i < to; i++ {
		if c := p.arg[i]; !isAlnum(c) && !strings.ContainsRune("-._:@+/", rune(c)) {
			return p.fail(i, "a name has letters, digits and - . _ : @ + / only")
		}
	}
	return nil
}

// digest reads a digest that runs to the end of arg.
func (p parser) digest(from int) (digest.Digest, error) {
	s := p.arg[from:]
	alg, hex, ok := strings.Cut(s, ":")
	want, known := map[string]int{"sha256": 64, "sha512": 128}[alg]
	switch {
	case s == "":
		return "", p.fail(from, "a digest is missing after '@'")
	case !ok:
		return "", p.fail(from, "a digest has the form sha256:HEX")
	case !known:
		return "", p.fail(from, "a digest starts with sha256: or sha512:")
	}
	start := from + len(alg) + 1
	for i, c := range []byte(hex) {
		if !isDigit(c) && (c < 'a' || c > 'f') {
			return "", p.fail(start+i, "a digest has lower-case hex digits only")
		}
	}
	if len(hex) != want {
		return "", p.fail(start+min(len(hex), want), "a %s digest has %d hex digits, not %d", alg, want, len(hex))
	}
	return digest.Digest(s), nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isAlnum(c byte) bool  { return isLetter(c) || isDigit(c) }
