package cli

import (
	"cmp"
	"iter"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/registry"
)

// hubKey is under what the credentials of Docker Hub stand, for reasons of
// history.
const hubKey = "https://index.docker.io/v1/"

// An authFormat says whose a file of credentials is: what may stand in its keys
// depends on that.
type authFormat uint8

const (
	dockers authFormat = iota // hosts, or URLs of them
	podmans                   // parts of a host as well: quay.io/team, quay.io/team/app
)

// An authKey is what a key of a file of credentials is about: a host, all hosts
// that a pattern fits, or with a path a part of a host. The zero authKey is about
// nothing.
type authKey struct{ host, path string }

// parse reads a key: docker's older ones are URLs. What has a path is about no
// host in docker's files.
func (f authFormat) parse(key string) authKey {
	host := strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	isURL := len(host) < len(key)
	host, part, _ := strings.Cut(host, "/")
	part = strings.TrimRight(part, "/")
	if (isURL || f == dockers) && (part == "v1" || part == "v2") {
		part = ""
	}
	k := authKey{host: registry.HostName(strings.ToLower(host)), path: part}
	if part != "" && (f == dockers || isURL || k.isPattern()) || k.isPattern() && !isHostPattern(k.host) {
		return authKey{}
	}
	return k
}

func (k authKey) isPattern() bool { return strings.Contains(k.host, "*") }

// vagueness tells hosts, which are 0, from patterns.
func (k authKey) vagueness() int {
	if k.isPattern() {
		return 1
	}
	return 0
}

// isHostPattern reports whether a pattern may stand for hosts. The last label of
// one is spelt out: none stands for all hosts there are.
func isHostPattern(pattern string) bool {
	const most = 255
	name, port, _ := strings.Cut(pattern, ":")
	last := name[strings.LastIndexByte(name, '.')+1:]
	return len(pattern) <= most && !strings.Contains(last+port, "*") &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_*") == ""
}

// covers reports whether the key is about a repository of host; "" is none.
func (k authKey) covers(host, repository string) bool {
	if k.path != "" && repository != k.path && !strings.HasPrefix(repository, k.path+"/") {
		return false
	}
	return k.host == host || k.isPattern() && matchHost(k.host, host)
}

// matchHost reports whether a pattern fits a host: label by label, so that no star
// stands for a dot, with as many labels and the same port. Addresses fit none.
func matchHost(pattern, host string) bool {
	pattern, wantPort, _ := strings.Cut(pattern, ":")
	name, port, _ := strings.Cut(host, ":")
	want, labels := strings.Split(pattern, "."), strings.Split(name, ".")
	if _, err := netip.ParseAddr(name); err == nil || port != wantPort || len(labels) != len(want) {
		return false
	}
	for i, label := range labels {
		if fits, err := path.Match(want[i], label); err != nil || !fits || label == "" {
			return false
		}
	}
	return true
}

// bestKey returns the key that fits a repository of host best: the host before a
// pattern, the longest path, the longest pattern. Where a host stands there under
// several spellings, the likeliest counts.
func (f authFormat) bestKey(keys iter.Seq[string], host, repository string) (best string, found bool) {
	host = strings.ToLower(host)
	spellings := hostKeys(host)
	unlikely := func(key string) int {
		if i := slices.Index(spellings, key); i >= 0 {
			return i
		}
		return len(spellings)
	}
	var fits []string
	for key := range keys {
		if f.parse(key).covers(host, repository) {
			fits = append(fits, key)
		}
	}
	if len(fits) == 0 {
		return "", false
	}
	return slices.MinFunc(fits, func(a, b string) int {
		x, y := f.parse(a), f.parse(b)
		return cmp.Or(
			cmp.Compare(x.vagueness(), y.vagueness()),
			-cmp.Compare(len(x.path), len(y.path)),
			-cmp.Compare(len(x.host), len(y.host)),
			cmp.Compare(unlikely(a), unlikely(b)),
			strings.Compare(a, b),
		)
	}), true
}

// hostKey returns the key under which credentials for host are written.
func hostKey(host string) string {
	if host == registry.DockerHub {
		return hubKey
	}
	return host
}

// hostKeys returns how others may have written host, the likeliest first.
func hostKeys(host string) []string {
	if host == registry.DockerHub {
		return []string{hubKey, registry.DockerHub, "index.docker.io"}
	}
	return []string{host}
}
