package badinput

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/wherry-dev/wherry/internal/cli"
	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/internal/testregistry/testimage"
)

var hex64 = strings.Repeat("0123456789abcdef", 4)

// TestReferencesThatAreNone wants the byte that is wrong to be named, and nobody to be asked.
func TestReferencesThatAreNone(t *testing.T) {
	tests := []struct{ name, ref, says string }{
		{"upper case", "UPPER/Repo", `at byte 6 ("R"): a repository name is lower case`},
		{"a tag that is missing", "repo:", "at byte 5 (its end): a tag is missing"},
		{"a tag without a repository", ":tag", "at byte 0"},
		{"a digest without a repository", "@sha256:", "at byte 0"},
		{"an empty part", "a//b", "at byte 2"},
		{"an empty last part", "a/", "at byte 2"},
		{"two dots", "a..b", "at byte 2"},
		{"three underscores", "a___b", "at byte 3"},
		{"a dash in front", "-a", "at byte 0"},

		{"a Cyrillic letter", "ghсr.io/a", `at byte 2 ("\u{441}"): a reference is plain ASCII`},
		{"an override of direction", "gh\u202ecr.io/a", `at byte 2 ("\u{202e}")`},
		{"a joiner of no width", "a\u200db", `at byte 1 ("\u{200d}")`},
		{"a newline", "a\nb", `at byte 1 ("\x0a")`},
		{"an escape sequence", "a\x1b]0;x", `at byte 1 ("\x1b")`},
		{"broken UTF-8", "a\xffb", `at byte 1 ("\xff")`},
		{"percent signs", "%2e%2e", "percent-encoded"},

		{"a path above", "../x", "a path needs a transport in front"},
		{"a Windows path", `C:\x`, "a path needs a transport in front"},
		{"a folder with spaces", "dir with space:tag", "at byte 3"},
		{"a layout without a path", "oci:", "a path is missing"},
		{"a layout without a name", "oci:a:", "a name is missing"},
		{"a tag of 129 characters", "a:" + strings.Repeat("t", 129), "at byte 130"},
		{"a name of 256 characters with its host", "q.io/" + strings.Repeat("a", 251), "at most 255 characters together, not 256"},

		{"a port above 65535", "host:99999/x", "at byte 5"},
		{"an IPv6 address without its end", "[::1/x", "']' is missing"},
		{"an IPv6 address without brackets", "::1:5000/x", "in [ ]"},

		{"upper-case hex", "a@sha256:" + strings.ToUpper(hex64), "lower-case hex"},
		{"63 hex digits", "a@sha256:" + hex64[1:], "64 hex digits, not 63"},
		{"65 hex digits", "a@sha256:" + hex64 + "0", "64 hex digits, not 65"},
		{"sha512 of 64 hex digits", "a@sha512:" + hex64, "128 hex digits, not 64"},
		{"sha1", "a@sha1:" + hex64[:40], "starts with sha256: or sha512:"},
		{"md5", "a@md5:" + hex64[:32], "starts with sha256: or sha512:"},
		{"an algorithm nobody knows", "a@foo:abc", "starts with sha256: or sha512:"},
		{"an algorithm with an encoding", "a@sha256+b64:" + hex64, "starts with sha256: or sha512:"},
		{"a digest that is a path", "a@sha256:../../x", "lower-case hex"},

		{"an argument of 120 KiB", strings.Repeat("a", 120<<10), "at most 255 characters together"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.refused(nil, 2, tt.says, "copy", "--", tt.ref, "oci:layout:v1")
			s.refused(nil, 2, tt.says, "copy", "--", "FROM/app:v1", tt.ref)
			if n := len(s.from.Requests()); n > 0 {
				t.Errorf("%d requests were made", n)
			}
		})
	}
}

func TestADashInFrontIsAFlagUnlessTwoDashesStandBefore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.refused(nil, 2, "unknown flag", "copy", "--xyz", "oci:layout:v1")
	s.refused(nil, 2, "at byte 0", "inspect", "--", "-a")
}

// A counter counts the bytes that are read. Whoever asks for the count has waited for the reader to end.
type counter struct {
	io.Reader

	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// TestAMillionReferencesOnStandardInput gives them to every verb that has something to do with standard input or with
// references. None reads a list of references: who wants one has xargs. So nothing waits for their end, or holds them.
func TestAMillionReferencesOnStandardInput(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"where an archive is loaded", []string{"load", "--to", "TO"}, 6, "not a tar file"},
		{"where an archive is copied", []string{"copy", "-", "oci:layout:v1"}, 6, "not a tar file"},
		{"where an archive is looked at", []string{"inspect", "-"}, 6, "not a tar file"},
		{"where an archive is saved", []string{"save", "-o", "image.tar", "-"}, 6, "not a tar file"},
		{"where references are missing", []string{"save", "-o", "image.tar"}, 2, "argument"},
		{"where a password is a line of it", []string{"digest", "--username", "me", "--password-stdin", "FROM/app:v1"}, 0, ""},
		{"where a reference is an argument", []string{"digest", "FROM/app:v1"}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			img := testimage.Single(2)
			img.PutTo(s.from, repo, tag)
			in := &counter{Reader: repeated("registry.example/app:v1\n", 1_000_000)}
			if tt.code == 0 {
				if o := s.run(in, tt.args...); o.Code != 0 || strings.TrimSpace(o.stdout) != img.Root.Digest.String() {
					t.Errorf("exit code %d:\n%s%s", o.Code, o.stdout, o.stderr)
				}
			} else {
				s.refused(in, tt.code, tt.says, tt.args...)
			}
			if in.n > 1<<20 { // what a pipe holds, and what goes into it at once
				t.Errorf("%d bytes were read", in.n)
			}
		})
	}
}

// TestReferencesThatAreOddAndRight copies from and to names at the edge of the grammar.
func TestReferencesThatAreOddAndRight(t *testing.T) {
	long := strings.Repeat("t", 128)
	tests := []struct{ name, repo, tag string }{
		{"a tag in upper case", "repo", "TAG"},
		{"two underscores", "a__b", "v1"},
		{"many dashes", "a-----b", "v1"},
		{"a tag of 128 characters", "a", long},
		{"parts that are called as hosts are", "foo.bar/baz", "v1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			img := testimage.Single(2)
			img.PutTo(s.from, tt.repo, tt.tag)
			o := s.run(nil, "copy", "FROM/"+tt.repo+":"+tt.tag, "TO/"+tt.repo+":"+tt.tag)
			if got := s.to.Digest(tt.repo, tt.tag); o.Code != 0 || got != img.Root.Digest {
				t.Errorf("exit code %d, got %q, want %s:\n%s", o.Code, got, img.Root.Digest, o.stderr)
			}
		})
	}
}

func TestPathsNeedATransport(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	img := testimage.Single(2)
	img.PutTo(s.from, repo, tag)
	for _, to := range []string{"oci:a:b:c", "oci:dir with space:tag", "oci:layout/..", "./here.tar"} {
		if o := s.run(nil, "copy", "FROM/app:v1", to); o.Code != 0 {
			t.Errorf("%s: exit code %d:\n%s", to, o.Code, o.stderr)
		}
	}
	for _, name := range []string{"a/oci-layout", "dir with space/oci-layout", "oci-layout", "here.tar"} {
		if _, err := os.Lstat(s.path(name)); err != nil {
			t.Error(err)
		}
	}
	if o := s.run(nil, "digest", "oci:a:b:c"); strings.TrimSpace(o.stdout) != img.Root.Digest.String() {
		t.Errorf("the image is called differently: %+v", o)
	}
}

func TestAPathAloneIsAnArchive(t *testing.T) {
	for _, path := range []string{"./x", "/nowhere/x", "x.tar"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.refused(nil, 4, "archive "+path+": not found", "copy", path, "oci:layout:v1")
		})
	}
}

func TestADigestOfSHA512IsAReference(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var w workshop
	w.Algorithm = digest.SHA512
	root := s.give(&w.Builder, w.image(w.layer(), ""))
	if o := s.run(nil, "digest", "FROM/app@"+root.String()); strings.TrimSpace(o.stdout) != root.String() {
		t.Errorf("exit code %d:\n%s%s", o.Code, o.stdout, o.stderr)
	}
	s.refused(nil, 4, "not found", "digest", "FROM/app@"+digest.SHA512.FromString("another").String())
}

// A proxy stands before all hosts that are not on loopback, and notes which are asked for.
type proxy struct {
	mu    sync.Mutex
	hosts []string
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts = append(p.hosts, req.Method+" "+req.Host)
	w.WriteHeader(http.StatusForbidden)
}

// TestReferencesAreSplitAsDockerSplitsThem looks at which host is asked.
func TestReferencesAreSplitAsDockerSplitsThem(t *testing.T) {
	tests := []struct{ ref, host string }{
		{"foo/bar", "registry-1.docker.io:443"},
		{"foo.bar/baz", "foo.bar:443"},
		{"192.0.2.4/x", "192.0.2.4:443"},
		{"[2001:db8::1]:5000/x", "[2001:db8::1]:5000"},
		{"q.io/" + strings.Repeat("a", 250), "q.io:443"},
	}
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			t.Parallel()
			var p proxy
			server := httptest.NewServer(&p)
			defer server.Close()
			s := newScene(t)
			s.env = append(s.env, "HTTPS_PROXY="+server.URL, "HTTP_PROXY="+server.URL)
			o := s.run(nil, "digest", "--retries", "1", tt.ref)
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.hosts) == 0 || slices.ContainsFunc(p.hosts, func(h string) bool { return h != "CONNECT "+tt.host }) || o.Code == 0 {
				t.Errorf("asked were %v, want %s; exit code %d:\n%s", p.hosts, tt.host, o.Code, o.stderr)
			}
		})
	}
}

// TestLoopbackHostsAreHosts asks registries on loopback, by each of their names.
func TestLoopbackHostsAreHosts(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(listen, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			r := testregistry.New(testregistry.Config{})
			if err := r.Listen(listen); err != nil {
				var lc net.ListenConfig
				if l, err6 := lc.Listen(context.Background(), "tcp", listen); err6 == nil {
					_ = l.Close()
					t.Fatal(err)
				}
				t.Skipf("this machine has no such address: %v", err)
			}
			defer r.Close()
			img := testimage.Single(2)
			img.PutTo(r, "x", tag)
			host := r.Host()
			if strings.HasPrefix(listen, "127") {
				host = strings.Replace(host, "127.0.0.1", "localhost", 1)
			}
			if o := s.run(nil, "digest", host+"/x:v1"); strings.TrimSpace(o.stdout) != img.Root.Digest.String() {
				t.Errorf("%s: exit code %d:\n%s%s", host, o.Code, o.stdout, o.stderr)
			}
		})
	}
}

func TestLocalhostWithoutAPortIsAHost(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	if o := s.run(nil, "digest", "--retries", "1", "localhost/x"); o.Code == 0 || !strings.Contains(o.stderr, "//localhost/v2/x/manifests/latest") {
		t.Errorf("exit code %d, want localhost to be asked:\n%s", o.Code, o.stderr)
	}
}

// TestArgumentsThatNoKernelPassesOn reads those that a process cannot be started with.
func TestArgumentsThatNoKernelPassesOn(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, ref, says string }{
		{"a NUL", "a\x00b", `at byte 1 ("\x00"): a reference has no control characters`},
		{"1 MiB", strings.Repeat("a", 1<<20), "at most 255 characters together"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, err strings.Builder
			code := cli.Main(t.Context(), []string{"inspect", tt.ref}, cli.Stdio{In: strings.NewReader(""), Out: &out, Err: &err}, func(string) string { return "" })
			if code != 2 || out.String() != "" || !strings.Contains(err.String(), tt.says) || err.Len() > 1000 || strings.Count(err.String(), "\n") != 1 {
				t.Errorf("exit code %d:\n%.1000q", code, err.String())
			}
		})
	}
}
