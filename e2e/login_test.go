package e2e

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"
)

// A confidant is a box whose every output is searched for boatman's password.
type confidant struct{ *box }

// wherry runs the binary with the password on its standard input, wants that exit code, and returns all it says.
func (c confidant) wherry(code int, args ...string) string {
	c.t.Helper()
	r := c.run(call{Tool: "wherry", Args: append(args, "--debug"), Stdin: strings.NewReader(boatman.password + "\n")})
	said := r.Stdout + r.Stderr
	if r.Code != code {
		c.t.Errorf("wherry %s: exit code %d, want %d\n%s", strings.Join(args, " "), r.Code, code, said)
	}
	for _, secret := range []string{
		boatman.password,
		base64.StdEncoding.EncodeToString([]byte(boatman.user + ":" + boatman.password)),
		base64.StdEncoding.EncodeToString([]byte(boatman.password)),
	} {
		if strings.Contains(said, secret) {
			c.t.Errorf("wherry %s gives the password away:\n%s", strings.Join(args, " "), said)
		}
	}
	return said
}

func TestLogin(t *testing.T) {
	for _, kind := range []registryKind{distribution3, distribution2} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			free, closed, b := startRegistry(t, craneServe), startRegistryWithLogin(t, kind), newBox(t)
			c := confidant{b}
			f := smallFleet(t, free, "app")
			from, to := free.ref("app:v1"), closed.ref("app:v1")

			// A stranger is told what to do.
			hint := "wherry login " + closed.Host
			for _, args := range [][]string{{"copy", from, to}, {"copy", to, "oci:" + b.path("layout")}, {"tags", closed.ref("app")}, {"digest", to}} {
				if said := c.wherry(5, args...); !strings.Contains(said, hint) {
					t.Errorf("wherry %s gives no hint %q: %s", args[0], hint, said)
				}
			}
			if r := b.run(call{Tool: "wherry", Args: []string{"login", closed.Host, "--username", boatman.user, "--password-stdin"}, Stdin: strings.NewReader("wrong")}); r.Code != 5 {
				t.Errorf("a wrong password: exit code %d, want 5: %s", r.Code, r.Stderr)
			}
			c.wherry(5, "digest", to)

			c.wherry(0, "login", closed.Host, "--username", boatman.user, "--password-stdin")
			c.wherry(0, "copy", from, to)
			c.wherry(0, "copy", to, "oci:"+b.path("layout")+":v1")
			onDisk(t, b.path("layout")).sameFleet(f, "v1")
			// Peers find the login that we wrote.
			if got := b.crane("digest", to); got != f.Index.Digest {
				t.Errorf("crane digest = %s, want %s", got, f.Index.Digest)
			}
			b.skopeo("inspect", "--raw", "docker://"+to)
			if tags := c.wherry(0, "tags", closed.ref("app")); !strings.Contains(tags, f.SigTag) {
				t.Errorf("the tags lack %s: %s", f.SigTag, tags)
			}

			c.wherry(0, "logout", closed.Host)
			if said := c.wherry(5, "copy", from, closed.ref("other:v1")); !strings.Contains(said, hint) {
				t.Errorf("after logout there is no hint %q: %s", hint, said)
			}
			b.noFileSays(boatman.password)
		})
	}
}

// noFileSays wants a secret nowhere in the box's home and work folder, plain or in base64.
func (b *box) noFileSays(secret string) {
	b.t.Helper()
	coded := strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(boatman.user+":"+secret)), "=")
	b.eachFile(func(path string, text string) {
		if strings.Contains(text, secret) || strings.Contains(text, coded) {
			b.t.Errorf("%s has the password", path)
		}
	})
}

func TestLoginsOfOthersAreUsed(t *testing.T) {
	free, closed := startRegistry(t, craneServe), startRegistryWithLogin(t, distribution3)
	newBox(t).crane("push", sample(t, "docker-busybox-layers.tar"), free.ref("app:v1"))
	from := free.ref("app:v1")
	login := []string{"login", "-u", boatman.user, "--password-stdin"}
	for _, c := range []struct {
		Name string
		log  func(b *box)
		Args []string
	}{
		{"crane's", func(b *box) {
			b.must(call{Tool: "crane", Args: []string{"auth", "login", closed.Host, "-u", boatman.user, "--password-stdin"}, Stdin: strings.NewReader(boatman.password)})
		}, nil},
		{"skopeo's", func(b *box) {
			b.must(call{Tool: "skopeo", Args: append(login, "--tls-verify=false", closed.Host), Stdin: strings.NewReader(boatman.password)})
		}, nil},
		{"podman's in a file", func(b *box) {
			b.must(call{Tool: "podman", Args: append(login, "--tls-verify=false", "--authfile", b.path("auth.json"), closed.Host), Stdin: strings.NewReader(boatman.password)})
		}, []string{"--authfile", "auth.json"}},
		{"the command line's", func(*box) {}, []string{"--dst-username", boatman.user, "--dst-password-stdin"}},
	} {
		t.Run(c.Name, func(t *testing.T) {
			b := confidant{newBox(t)}
			to := closed.ref("app:" + strings.Trim(strings.Map(letters, c.Name), "-"))
			c.log(b.box)
			b.wherry(0, append([]string{"copy", from, to}, c.Args...)...)
			if c.Args != nil {
				b.wherry(5, "digest", to)
			}
		})
	}
	t.Run("the command line's for the source", func(t *testing.T) {
		b := confidant{newBox(t)}
		b.wherry(0, "copy", closed.ref("app:crane-s"), "docker-archive:"+b.path("app.tar"), "--username", boatman.user, "--password-stdin")
		if _, err := os.Stat(b.path("app.tar")); err != nil {
			t.Error(err)
		}
	})
}

// letters is for strings.Map: what is no letter becomes a dash.
func letters(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return '-'
}
