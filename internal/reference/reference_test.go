package reference_test

import (
	"regexp"
	"strings"
	"testing"

	docker "github.com/distribution/reference"

	"github.com/wherry-dev/wherry/internal/reference"
)

// fromDocker returns what docker's parser has read.
func fromDocker(ref docker.Reference) (n reference.Named, isNamed bool) {
	named, isNamed := ref.(docker.Named)
	if !isNamed {
		return n, false
	}
	n = reference.Named{Domain: docker.Domain(named), Path: docker.Path(named)}
	if tagged, ok := ref.(docker.Tagged); ok {
		n.Tag = tagged.Tag()
	}
	if digested, ok := ref.(docker.Digested); ok {
		n.Digest = digested.Digest()
	}
	return n, true
}

// compare checks that s is read, written and refused as docker does it.
func compare(t *testing.T, s string) {
	t.Helper()
	plain, plainErr := docker.Parse(s)
	agree(t, "Parse", s, plain, plainErr, reference.Parse)
	named, err := docker.ParseNormalizedNamed(s)
	agree(t, "ParseNormalized", s, named, err, reference.ParseNormalized)
	if got, want := reference.IsDomain(s), dockerDomain.MatchString(s); got != want {
		t.Errorf("IsDomain(%q) = %t, docker: %t", s, got, want)
	}
}

var dockerDomain = regexp.MustCompile("^" + docker.DomainRegexp.String() + "$")

func agree(t *testing.T, call, s string, want docker.Reference, wantErr error, parse func(string) (reference.Named, error)) {
	t.Helper()
	got, err := parse(s)
	if err != nil || wantErr != nil {
		if err == nil || wantErr == nil || err.Error() != wantErr.Error() {
			t.Errorf("%s(%q) = %+v, %v; docker: %v, %v", call, s, got, err, want, wantErr)
		}
		return
	}
	named, ok := fromDocker(want)
	if !ok || got != named || got.String() != want.String() {
		t.Errorf("%s(%q) = %+v; docker: %+v, %s", call, s, got, named, want)
		return
	}
	ref, _ := want.(docker.Named)
	if got.Name() != ref.Name() || got.IsRepository() != docker.IsNameOnly(ref) || got.Image().String() != docker.TagNameOnly(ref).String() {
		t.Errorf("%s(%q) is %q, image %q; docker: %q, %q", call, s, got.Name(), got.Image(), ref.Name(), docker.TagNameOnly(ref))
	}
	if f := got.Familiar(); f.String() != docker.FamiliarString(want) || f.Name() != docker.FamiliarName(ref) {
		t.Errorf("%s(%q) is shown as %q, docker: %q", call, s, f, docker.FamiliarString(want))
	}
}

const hex64 = "6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"

var (
	hosts = []string{
		"", "a/", "a.b/", "localhost/", "UP/", "Up.b:1/", "a:1/", "a.b:5000/", "[::1]/", "[::1]:1/", "[::1]:/", "[::1]a/", "[]/", "[::g]/", "[::1/", "docker.io/",
		"index.docker.io/", "docker.io/library/", "-a.b/", "a-.b/", "a--b.c/", "a..b/", ".a/", "a./", "a_b.c/", ":1/", "a:/", "a:b/", "a:1:2/", "1.2.3.4:5/", "ä.b/",
	}
	paths = []string{
		"a", "a/b", "a/b/c", "A", "a/B", "a.b", "a..b", "a_b", "a__b", "a___b", "a-b", "a---b", "a._b", "a-_b", "-a", "a-", "a_", "a__", "a.", ".a", "a//b", "/a", "a/", "",
		"library/a", "library/a/b", hex64, strings.ToUpper(hex64), hex64[1:], strings.Repeat("a", 248), strings.Repeat("a", 256), "a+b", "a b", "ä", "\u212a", "a\n", "\xff",
	}
	tags    = []string{"", ":", ":t", ":T.t-_1", ":.t", ":-t", ":_t", ":t/u", ":t:u", ":1", ":ä", ":t\n", ":" + strings.Repeat("t", 128), ":" + strings.Repeat("t", 129)}
	digests = []string{
		"", "@", "@sha256:" + hex64, "@sha512:" + hex64 + hex64, "@sha384:" + hex64[:32] + hex64, "@sha256:", "@sha256:" + hex64[1:], "@sha256:" + hex64 + "0",
		"@sha256:" + strings.ToUpper(hex64), "@md5:" + hex64[:32], "@md5:" + hex64[:31], "@a+b.c-d_e:" + hex64, "@a++b:" + hex64, "@+a:" + hex64, "@a+:" + hex64, "@1a:" + hex64, "@a+1:" + hex64,
		"@:" + hex64, "@SHA256:" + hex64, "@sha256:" + hex64 + "@sha256:" + hex64, "@" + hex64, "@sha256:" + hex64 + ":t", "@ä:" + hex64,
	}
)

func TestNamesMeanWhatTheyMeanToDocker(t *testing.T) {
	for _, host := range hosts {
		compare(t, strings.TrimSuffix(host, "/"))
		for _, path := range paths {
			compare(t, host+path)
			compare(t, host+path+":t@sha256:"+hex64)
		}
	}
	for _, name := range []string{"", "a", "a.b:5/c", "A/b", "localhost/a/b"} {
		for _, tag := range tags {
			for _, digest := range digests {
				compare(t, name+tag+digest)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, host := range hosts {
		f.Add(host + "a:t")
	}
	for _, path := range paths {
		f.Add("a.b/" + path)
	}
	for _, tag := range tags {
		f.Add("a" + tag)
	}
	for _, digest := range digests {
		f.Add("a" + digest)
	}
	f.Fuzz(compare)
}
