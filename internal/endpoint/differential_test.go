package endpoint

import (
	"strconv"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// compare checks that arg, if it names an image in a registry at all, is read
// as docker's own parser reads it.
func compare(t *testing.T, arg string) {
	t.Helper()
	got, err := Parse(arg)
	if err == nil && got.Transport != Registry || strings.Contains(arg, "://") {
		return
	}
	want, wantErr := reference.ParseNormalizedNamed(arg)
	if err != nil {
		if wantErr == nil && !weAreStricter(want, arg) {
			t.Errorf("Parse(%q): %v; docker reads it as %s", arg, err, want)
		}
		return
	}
	if wantErr != nil {
		t.Errorf("Parse(%q) = %s; docker: %v", arg, got, wantErr)
		return
	}
	tag, digest := "", ""
	if tagged, ok := want.(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	if digested, ok := want.(reference.Digested); ok {
		digest = digested.Digest().String()
	}
	host, repository := reference.Domain(want), reference.Path(want)
	if isHubAlias(host) {
		host, repository = got.Host, got.Repository
	}
	if got.Host != host || got.Repository != repository || got.Tag != tag || got.Digest.String() != digest {
		t.Errorf("Parse(%q) = %+v; docker: %q %q %q %q", arg, got, host, repository, tag, digest)
	}
}

func isHubAlias(host string) bool {
	return host == "registry-1.docker.io" || host == "registry.hub.docker.com"
}

// weAreStricter lists where wherry refuses what docker takes.
func weAreStricter(ref reference.Named, arg string) bool {
	for _, c := range closed {
		if strings.HasPrefix(arg, c.prefix) {
			return true // a transport in wherry
		}
	}
	for _, s := range schemes {
		if strings.HasPrefix(arg, s.prefix) {
			return true
		}
	}
	if strings.HasPrefix(arg, storePrefix) {
		return true
	}
	host := reference.Domain(ref)
	if host == "" || strings.HasPrefix(host, "[") {
		return true // docker takes a_b.io/x for a path without a host, and [1] for an address
	}
	if _, port, ok := strings.Cut(host, ":"); ok {
		n, err := strconv.Atoi(port)
		if err != nil || n > maxPort {
			return true // a port that there is not
		}
	}
	if d, ok := ref.(reference.Digested); ok && d.Digest().Algorithm() == "sha384" {
		return true // no image has one
	}
	return len(host)+len("/library/")+len(reference.Path(ref)) > maxName // docker counts without the host
}

func TestParseAgreesWithDocker(t *testing.T) {
	for _, tt := range wrong {
		compare(t, tt.arg)
	}
	hosts := []string{"", "a/", "a.b/", "localhost/", "UP/", "a:1/", "a.b:5000/", "[::1]/", "[::1]:1/", "docker.io/", "index.docker.io/", "registry-1.docker.io/", "-a.b/", "a-.b/", "a..b/", "a_b.c/", ":1/", "a:/", "1.2.3.4:5/"}
	paths := []string{"a", "a/b", "a/b/c", "A", "a/B", "a.b", "a..b", "a_b", "a__b", "a___b", "a-b", "a---b", "-a", "a-", "a_", ".a", "a//b", "/a", "a/", "", "library/a", hex64, strings.Repeat("a", 248), strings.Repeat("a", 256), "a+b", "a b", "ä"}
	tags := []string{"", ":", ":t", ":T.t-_1", ":.t", ":-t", ":_t", ":t/u", ":t:u", ":" + strings.Repeat("t", 128), ":" + strings.Repeat("t", 129)}
	digests := []string{"", "@", "@" + sha256, "@" + sha512, "@sha256:", "@sha256:" + hex64[1:], "@" + sha256 + "0", "@sha256:" + strings.ToUpper(hex64), "@md5:" + hex64[:32], "@" + sha256 + "@" + sha256}
	for _, host := range hosts {
		for _, path := range paths {
			compare(t, host+path)
			compare(t, host+path+":t@"+sha256)
		}
	}
	for _, name := range []string{"a", "a.b:5/c", "A/b", "localhost/a/b"} {
		for _, tag := range tags {
			for _, digest := range digests {
				compare(t, name+tag+digest)
			}
		}
	}
}

// FuzzParse holds that no argument breaks the parser, that what it reads comes
// back as it is, that what it refuses is printed harmlessly, and that images in
// a registry are what docker takes them for.
func FuzzParse(f *testing.F) {
	for _, tt := range wrong {
		f.Add(tt.arg)
	}
	for _, seed := range []string{"nginx", "a.b:5000/c/d:e@" + sha256, "[::1]:5/x", "oci:a:b", `oci:C:\x:y`, "x.tar", "-", "oci:a@b@" + sha512} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		compare(t, arg)
		e, err := Parse(arg)
		if err != nil {
			checkPrintable(t, err.Error())
			return
		}
		again, err := Parse(e.String())
		again.Short, e.Short = "", ""
		if err != nil || again != e {
			t.Errorf("Parse(%q) = %+v; its String %q gives %+v, %v", arg, e, e, again, err)
		}
	})
}
