package endpoint

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	hex64  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	sha256 = "sha256:" + hex64
	sha512 = "sha512:" + hex64 + hex64
)

func TestParseReadsEveryForm(t *testing.T) {
	hub := func(repository string) Endpoint {
		return Endpoint{Transport: Registry, Host: "docker.io", Repository: repository}
	}
	tests := []struct {
		arg  string
		want Endpoint
	}{
		{"nginx", hub("library/nginx")},
		{"nginx:1.27", Endpoint{Transport: Registry, Host: "docker.io", Repository: "library/nginx", Tag: "1.27"}},
		{"repo:TAG", Endpoint{Transport: Registry, Host: "docker.io", Repository: "library/repo", Tag: "TAG"}},
		{"user/app", hub("user/app")},
		{"foo/bar", hub("foo/bar")},
		{"a__b", hub("library/a__b")},
		{"a-----b", hub("library/a-----b")},
		{"docker://nginx", hub("library/nginx")},
		{"docker.io/nginx", hub("library/nginx")},
		{"docker.io/library/nginx", hub("library/nginx")},
		{"index.docker.io/nginx", hub("library/nginx")},
		{"registry-1.docker.io/library/nginx", hub("library/nginx")},
		{"registry.hub.docker.com/user/app", hub("user/app")},
		{"localhost/x", Endpoint{Transport: Registry, Host: "localhost", Repository: "x"}},
		{"localhost:5000/x", Endpoint{Transport: Registry, Host: "localhost:5000", Repository: "x"}},
		{"foo.bar/baz", Endpoint{Transport: Registry, Host: "foo.bar", Repository: "baz"}},
		{"1.2.3.4/x", Endpoint{Transport: Registry, Host: "1.2.3.4", Repository: "x"}},
		{"[::1]:5000/x", Endpoint{Transport: Registry, Host: "[::1]:5000", Repository: "x"}},
		{"[2001:db8::1]/a/b:t", Endpoint{Transport: Registry, Host: "[2001:db8::1]", Repository: "a/b", Tag: "t"}},
		{"host:5000/a/b:tag", Endpoint{Transport: Registry, Host: "host:5000", Repository: "a/b", Tag: "tag"}},
		{"a@" + sha256, Endpoint{Transport: Registry, Host: "docker.io", Repository: "library/a", Digest: sha256}},
		{"q.io/a:t@" + sha512, Endpoint{Transport: Registry, Host: "q.io", Repository: "a", Tag: "t", Digest: sha512}},
		{"a:" + strings.Repeat("t", 128), Endpoint{Transport: Registry, Host: "docker.io", Repository: "library/a", Tag: strings.Repeat("t", 128)}},
		{"q.io/" + strings.Repeat("a", 250), Endpoint{Transport: Registry, Host: "q.io", Repository: strings.Repeat("a", 250)}},

		{"oci:dir", Endpoint{Transport: Layout, Path: "dir"}},
		{"oci:..", Endpoint{Transport: Layout, Path: ".."}},
		{"oci:a:b:c", Endpoint{Transport: Layout, Path: "a", Name: "b:c"}},
		{"ocidir://a/b:c", Endpoint{Transport: Layout, Path: "a/b", Name: "c"}},
		{"oci:/tmp/l:docker.io/library/nginx:1.27", Endpoint{Transport: Layout, Path: "/tmp/l", Name: "docker.io/library/nginx:1.27"}},
		{"oci:l@" + sha256, Endpoint{Transport: Layout, Path: "l", Digest: sha256}},
		{"oci:l:n@" + sha256, Endpoint{Transport: Layout, Path: "l", Name: "n", Digest: sha256}},
		{`oci:C:\l:n`, Endpoint{Transport: Layout, Path: `C:\l`, Name: "n"}},
		{"oci:my dir", Endpoint{Transport: Layout, Path: "my dir"}},
		{"oci-archive:x.tar:n", Endpoint{Transport: OCIArchive, Path: "x.tar", Name: "n"}},
		{"docker-archive:x.tar:nginx:1", Endpoint{Transport: DockerArchive, Path: "x.tar", Name: "nginx:1"}},
		{"dir:a:b", Endpoint{Transport: Dir, Path: "a:b"}},
		{"archive:x", Endpoint{Transport: Archive, Path: "x"}},
		{`archive:C:\x`, Endpoint{Transport: Archive, Path: `C:\x`}},
		{"./x", Endpoint{Transport: Archive, Path: "./x"}},
		{"/a", Endpoint{Transport: Archive, Path: "/a"}},
		{"~/x", Endpoint{Transport: Archive, Path: "~/x"}},
		{"x.tar", Endpoint{Transport: Archive, Path: "x.tar"}},
		{"../x.tar.gz", Endpoint{Transport: Archive, Path: "../x.tar.gz"}},
		{"UP.tgz", Endpoint{Transport: Archive, Path: "UP.tgz"}},
		{"x.tar.zst", Endpoint{Transport: Archive, Path: "x.tar.zst"}},
		{"-", Endpoint{Transport: Stream}},
	}
	for _, tt := range tests {
		t.Run(tt.arg, func(t *testing.T) {
			got, err := Parse(tt.arg)
			if err != nil {
				t.Fatal(err)
			}
			got.Short = ""
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse(%q) differs (-want +got):\n%s", tt.arg, diff)
			}
			again, err := Parse(got.String())
			if err != nil {
				t.Fatalf("String gives %q, which does not parse: %v", got, err)
			}
			again.Short = ""
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("String gives %q, which is another endpoint:\n%s", got, diff)
			}
		})
	}
}

func TestANameWithoutAHostIsShort(t *testing.T) {
	for arg, want := range map[string]string{
		"nginx": "nginx", "nginx:1.27": "nginx", "team/app@" + sha256: "team/app", "docker://nginx:1": "nginx",
		"docker.io/nginx": "", "localhost/nginx": "", "r.example:5000/a/b": "", "oci:nginx": "", "x.tar": "", "-": "",
	} {
		if got, err := Parse(arg); err != nil || got.Short != want {
			t.Errorf("Parse(%q) has short name %q, %v; want %q", arg, got.Short, err, want)
		}
	}
}

// Wrong lists wrong arguments, the byte to blame and a part of what is said.
var wrong = []struct {
	arg string
	at  int
	msg string
}{
	{"", 0, "a repository name is missing"},
	{"UPPER/Repo", 6, "lower case"},
	{"Nginx", 0, "lower case"},
	{"repo:", 5, "a tag is missing"},
	{":tag", 0, "a repository name is missing"},
	{"@sha256:", 0, "a repository name is missing"},
	{"a@", 2, "a digest is missing"},
	{"a@sha256:", 9, "64 hex digits, not 0"},
	{"a@sha256", 2, "the form sha256:HEX"},
	{"a@md5:abc", 2, "starts with sha256: or sha512:"},
	{"a@" + "sha256:" + strings.ToUpper(hex64), 2 + 7 + 10, "lower-case hex"},
	{"a@" + sha256 + "0", 2 + 7 + 64, "64 hex digits, not 65"},
	{"a//b", 2, "a part of the name is missing"},
	{"a/", 2, "a part of the name is missing"},
	{"q.io/a/", 7, "a part of the name is missing"},
	{"q.io/", 5, "a repository name is missing"},
	{"a..b", 2, "starts and ends with"},
	{"a___b", 3, "starts and ends with"},
	{"a.-b", 2, "starts and ends with"},
	{"-a", 0, "starts and ends with"},
	{"a-", 2, "ends with a letter or a digit"},
	{"a/b-:t", 4, "ends with a letter or a digit"},
	{"ghсr.io/a", 2, "plain ASCII"}, // a Cyrillic es
	{"gh\u202ecr.io/a", 2, "plain ASCII"},
	{"a\u200db", 1, "plain ASCII"},
	{"a\x00b", 1, "no control characters"},
	{"a\nb", 1, "no control characters"},
	{"a\x1b[31m", 1, "no control characters"},
	{"a\x7f", 1, "plain ASCII"},
	{"a\xffb", 1, "plain ASCII"},
	{"%2e%2e", 0, "not percent-encoded"},
	{"../x", 0, "a path needs a transport"},
	{"..", 0, "starts and ends with"},
	{`C:\x`, 2, "a path needs a transport"},
	{"dir with space:tag", 3, "no spaces"},
	{"a:" + strings.Repeat("t", 129), 2 + 128, "at most 128 characters, not 129"},
	{"a:.t", 2, "starts with a letter"},
	{"a:b+c", 3, "letters, digits"},
	{"q.io/" + strings.Repeat("a", 251), 5 + 250, "at most 255 characters together, not 256"},
	{strings.Repeat("a", 250) + ":t", 250 - 13, "at most 255 characters together, not 268"},
	{"host:99999/x", 5, "at most 65535"},
	{"host:/x", 5, "a port is missing"},
	{"host:5x/x", 6, "has digits only"},
	{"a:b/c", 2, "port has digits only"},
	{"[::1/x", 4, "']' is missing"},
	{"[:::1]/x", 1, "an IPv6 address"},
	{"[1.2.3.4]/x", 1, "an IPv6 address"},
	{"[::1]x/y", 5, "stands a ':' or a '/'"},
	{"::1:5000/x", 3, "in [ ]"},
	{"a_b.io/x", 1, "a host name has"},
	{"-a.io/x", 0, "starts with a letter"},
	{"a-.io/x", 1, "ends with a letter"},
	{"a..io/x", 2, "starts with a letter"},
	{"a.io./x", 5, "starts with a letter"},
	{"https://ghcr.io/a", 0, "leave https:// out"},
	{"docker://https://ghcr.io/a", 9, "leave https:// out"},
	{hex64, 0, "an image ID"},
	{"oci:", 4, "a path is missing"},
	{"oci::tag", 4, "a path is missing"},
	{"oci:a:", 6, "a name is missing"},
	{"oci:a:b c", 7, "a name has"},
	{"oci:a:\u202e", 6, "a name has"},
	{"oci:a\x00b", 5, "no NUL"},
	{"oci:a@sha256:12", 15, "64 hex digits, not 2"},
	{"oci-archive:", 12, "a path is missing"},
	{"docker-archive:", 15, "a path is missing"},
	{"dir:", 4, "a path is missing"},
	{"archive:", 8, "a path is missing"},
	{"store:Nginx", 6, "lower case"},
	{"bundle:x", -1, "a later version"},
	{"docker-daemon:nginx:latest", -1, "talks to no daemon"},
	{"containers-storage:nginx", -1, "podman's storage"},
}

func TestParsePointsAtTheWrongByte(t *testing.T) {
	for _, tt := range wrong {
		t.Run(tt.arg, func(t *testing.T) {
			got, err := Parse(tt.arg)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Parse = %v, %v, want an *Error", got, err)
			}
			if e.At != tt.at || !strings.Contains(e.Msg, tt.msg) {
				t.Errorf("at byte %d: %s; want at byte %d: …%s…", e.At, e.Msg, tt.at, tt.msg)
			}
			if got != (Endpoint{}) {
				t.Errorf("Parse gives %v besides the error", got)
			}
			checkPrintable(t, e.Error())
		})
	}
}

func checkPrintable(t *testing.T, message string) {
	t.Helper()
	for _, r := range message {
		if r < 0x20 || r > 0x7e && r != '…' {
			t.Errorf("message %q has %U in it", message, r)
		}
	}
}

func TestErrorShowsTheByte(t *testing.T) {
	tests := []struct{ arg, want string }{
		{"ghсr.io/a", `"gh\u{441}r.io/a" is no image reference: at byte 2 ("\u{441}"): a reference is plain ASCII`},
		{"a\x1b]0;x", `"a\x1b]0;x" is no image reference: at byte 1 ("\x1b"): a reference has no control characters`},
		{"repo:", `"repo:" is no image reference: at byte 5 (its end): a tag is missing after ':'`},
		{"store:X", `"store:X" is no image reference: at byte 6 ("X"): a repository name is lower case`},
	}
	for _, tt := range tests {
		_, err := Parse(tt.arg)
		if err == nil || err.Error() != tt.want {
			t.Errorf("Parse(%q): %v\nwant %s", tt.arg, err, tt.want)
		}
	}
}

func TestErrorCutsALongArgument(t *testing.T) {
	_, err := Parse(strings.Repeat("a", 1<<20) + "//")
	if err == nil || len(err.Error()) > 500 {
		t.Fatalf("the message has %d bytes", len(err.Error()))
	}
}

func TestParseHostTakesWhatLoginTakes(t *testing.T) {
	tests := []struct{ arg, want string }{
		{"ghcr.io", "ghcr.io"},
		{"localhost:5000", "localhost:5000"},
		{"myhost", "myhost"},
		{"[::1]:5000", "[::1]:5000"},
		{"index.docker.io", "docker.io"},
		{"https://index.docker.io/v1/", "docker.io"},
		{"https://ghcr.io/", "ghcr.io"},
		{"http://host:80/v2/", "host:80"},
	}
	for _, tt := range tests {
		got, err := ParseHost(tt.arg)
		if err != nil || got != tt.want {
			t.Errorf("ParseHost(%q) = %q, %v, want %q", tt.arg, got, err, tt.want)
		}
	}
	for _, arg := range []string{"", "https://", "/", "ghcr.io/user", "a b", "ho\u202est", "a:b:c", "a:99999", "-a"} {
		if got, err := ParseHost(arg); err == nil {
			t.Errorf("ParseHost(%q) = %q, want an error", arg, got)
		}
	}
}

func TestRefAndFullName(t *testing.T) {
	tests := []struct{ arg, ref, full string }{
		{"nginx", "latest", "docker.io/library/nginx:latest"},
		{"nginx:1", "1", "docker.io/library/nginx:1"},
		{"nginx:1@" + sha256, sha256, "docker.io/library/nginx:1"},
		{"q.io/a@" + sha256, sha256, "q.io/a@" + sha256},
		{"oci:l", "", ""},
		{"oci:l:n", "n", "n"},
		{"oci:l:n@" + sha256, sha256, "n"},
		{"x.tar", "", ""},
	}
	for _, tt := range tests {
		e, err := Parse(tt.arg)
		if err != nil {
			t.Fatal(err)
		}
		if e.Ref() != tt.ref || e.FullName() != tt.full {
			t.Errorf("%s: Ref %q, FullName %q, want %q and %q", tt.arg, e.Ref(), e.FullName(), tt.ref, tt.full)
		}
	}
}

func TestAPasswordInAWrongArgumentIsNotShown(t *testing.T) {
	for _, arg := range []string{"https://me:S3cret@host/a:v", "docker://me:S3cret@host/a", "me:S3cret@host/a"} {
		_, err := Parse(arg)
		if err == nil || strings.Contains(err.Error(), "S3cret") {
			t.Errorf("%q: %v", arg, err)
		}
	}
}
