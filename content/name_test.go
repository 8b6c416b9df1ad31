package content_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/wherry-dev/wherry/content"
)

func entryNamed(ref, full string) ocispec.Descriptor {
	d := ocispec.Descriptor{Annotations: map[string]string{}}
	if ref != "" {
		d.Annotations[ocispec.AnnotationRefName] = ref
	}
	if full != "" {
		d.Annotations[content.AnnotationContainerdName] = full
	}
	return d
}

func TestNamesOf(t *testing.T) {
	tests := map[string]struct {
		entry ocispec.Descriptor
		want  []string
	}{
		"none":                    {ocispec.Descriptor{}, nil},
		"a tag alone":             {entryNamed("v1", ""), []string{"v1"}},
		"containerd's alone":      {entryNamed("", "docker.io/library/a:1"), []string{"docker.io/library/a:1"}},
		"docker's pair":           {entryNamed("1", "docker.io/library/a:1"), []string{"docker.io/library/a:1", "1"}},
		"the same in two forms":   {entryNamed("a:1", "docker.io/library/a:1"), []string{"a:1"}},
		"two that are not alike":  {entryNamed("b:2", "docker.io/library/a:1"), []string{"docker.io/library/a:1", "b:2"}},
		"what is no reference":    {entryNamed("A:!", ""), []string{"A:!"}},
		"what WithName has named": {content.WithName(ocispec.Descriptor{}, "a:1"), []string{"a:1"}},
	}
	for name, test := range tests {
		if got := content.NamesOf(test.entry); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestFindName(t *testing.T) {
	entries := []ocispec.Descriptor{
		entryNamed("v1", ""),
		entryNamed("1", "docker.io/library/a:1"),
		entryNamed("b:2", ""),
		entryNamed("", "quay.io/c/d:1"),
		{},
	}
	for ref, want := range map[string][]int{
		"v1":                    {0},
		"a:1":                   {1},
		"a":                     nil,
		"docker.io/library/a:1": {1},
		"1":                     {1}, // the annotation says so; c/d's tag is a farther reading
		"2":                     {2},
		"quay.io/c/d:1":         {3},
		"d:1":                   nil,
		"v2":                    nil,
	} {
		var wanted []ocispec.Descriptor
		for _, i := range want {
			wanted = append(wanted, entries[i])
		}
		got := content.FindName(entries, content.NamesOf, ref)
		if !slices.EqualFunc(got, wanted, func(a, b ocispec.Descriptor) bool {
			return slices.Equal(content.NamesOf(a), content.NamesOf(b))
		}) {
			t.Errorf("%q finds %v, want %v", ref, got, wanted)
		}
	}
}

func TestFamiliarName(t *testing.T) {
	for name, want := range map[string]string{
		"docker.io/library/nginx:1":     "nginx:1",
		"localhost:5000/a/b":            "localhost:5000/a/b:latest",
		"v1":                            "",
		"A:!":                           "",
		"a@sha256:" + zeros(64):         "",
		"docker.io/library/nginx:1.2.3": "nginx:1.2.3",
	} {
		if got := content.FamiliarName(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestIsDigestTag(t *testing.T) {
	for name, want := range map[string]bool{
		"sha256-" + zeros(64):                              true,
		"sha256-" + zeros(64) + ".sig":                     true,
		"docker.io/library/a:sha256-" + zeros(64) + ".att": true,
		"sha512-" + zeros(128) + ".sbom":                   true,
		"sha256-" + zeros(63):                              false,
		"v1":                                               false,
	} {
		if got := content.IsDigestTag(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// likeDigestTags are names that are digest tags, and names that are not quite.
func likeDigestTags() (names []string) {
	for _, repository := range []string{"", "a:", "a/b:5/c:", "a:b:", ":", "a\nb:", "a\n", "a"} {
		for _, alg := range []string{"sha256", "sha512", "sha384", "SHA256", "sha256-sha256", ""} {
			for _, hex := range []string{zeros(63), zeros(64), zeros(65), zeros(127), zeros(128), zeros(129), zeros(63) + "f", zeros(63) + "g", zeros(63) + "F", "-" + zeros(64)} {
				for _, about := range []string{"", ".", ".sig", ".sig.att", ".SIG", ".s1g", ".sig\n", "\n"} {
					names = append(names, repository+alg+"-"+hex+about)
				}
			}
		}
	}
	return names
}

// What a digest tag is, as an expression says it.
func TestDigestTagsAreThoseOfTheirGrammar(t *testing.T) {
	grammar := regexp.MustCompile(`^(?:.*:)?sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{64,128})(?:\.[a-z]+)?$`)
	for _, name := range likeDigestTags() {
		if got, want := content.IsDigestTag(name), grammar.MatchString(name); got != want {
			t.Errorf("%q: %t, want %t", name, got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"", "a\x00", "a\nb", "\xff", "\u009b", strings.Repeat("a", 4097)} {
		if err := content.CheckName(name); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := content.CheckName("docker.io/library/a:1"); err != nil {
		t.Error(err)
	}
}

func zeros(n int) string { return strings.Repeat("0", n) }

func TestBesideName(t *testing.T) {
	const tag = "sha256-0.sig"
	for name, want := range map[string]string{
		"":                                  tag,
		"v1":                                tag,
		"nginx:1":                           "nginx:" + tag,
		"docker.io/library/nginx:1":         "docker.io/library/nginx:" + tag,
		"localhost:5000/a":                  "localhost:5000/a:" + tag,
		"localhost:5000/a:1@sha256:00":      "localhost:5000/a:" + tag,
		digest.FromString("image").String(): tag,
	} {
		if got := content.BesideName(name, tag); got != want {
			t.Errorf("beside %q is %q, want %q", name, got, want)
		}
	}
}

func TestTagsThatReferToADigest(t *testing.T) {
	for _, d := range []digest.Digest{digest.FromString("image"), digest.SHA512.FromString("image")} {
		tags := append(content.DigestTags(d), content.FallbackTag(d))
		for _, tag := range tags {
			if !content.IsDigestTag(tag) || !content.IsDigestTag("localhost:5000/a/b:"+tag) {
				t.Errorf("%s is not known as a tag that refers to a digest", tag)
			}
			if tag == content.FallbackTag(d) && len(tag) > 128 {
				t.Errorf("%s is longer than a tag may be", tag)
			}
		}
		if content.IsDigestTag(d.String()) || content.IsDigestTag("v1") {
			t.Error("a digest and v1 are no such tags")
		}
	}
}

func TestSplitNameTakesNamesApart(t *testing.T) {
	tests := []struct{ name, repository, tag string }{
		{"v1", "", "v1"},
		{"nginx:1.27", "nginx", "1.27"},
		{"docker.io/library/nginx:1.27", "docker.io/library/nginx", "1.27"},
		{"localhost:5000/nginx", "localhost:5000/nginx", "latest"},
		{"localhost:5000/a/b:v2", "localhost:5000/a/b", "v2"},
		{"a/b:v2@sha256:00", "a/b", "v2"},
		{digest.FromString("").String(), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if repository, tag := content.SplitName(tt.name); repository != tt.repository || tag != tt.tag {
				t.Errorf("got %q and %q, want %q and %q", repository, tag, tt.repository, tt.tag)
			}
		})
	}
}

// What is left out by the last part of a name was not the same before.
func TestNamesThatMeanTheSame(t *testing.T) {
	names := []string{
		"nginx", "latest", "nginx:latest", "library/nginx", "docker.io/nginx", "docker.io/library/nginx:latest", "index.docker.io/library/nginx",
		"nginx:1", "docker.io/library/nginx:1", "localhost/nginx", "localhost:5000", "localhost:5000/nginx:latest", "UPPER/nginx", "a/:latest", "a/", ":latest", "",
		"nginx@sha256:" + strings.Repeat("a", 64), "docker.io/library/nginx@sha256:" + strings.Repeat("a", 64), "nginx:1@sha256:" + strings.Repeat("a", 64),
		strings.Repeat("a", 64), "x/" + strings.Repeat("a", 64), "-x:latest", "docker.io/library/-x:latest", "docker.io/library/-x",
	}
	for _, a := range names {
		for _, b := range names {
			want := a == b || content.IsFullName(a) && content.IsFullName(b) && content.NormalName(a) == content.NormalName(b)
			if got := content.SameName(a, b); got != want {
				t.Errorf("SameName(%q, %q) = %t, want %t", a, b, got, want)
			}
		}
	}
}
