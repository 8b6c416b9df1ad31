package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A keeping is one way in which a machine keeps credentials.
type keeping struct {
	Name  string
	setUp func(b *box, host string)
	File  string // that has the credential afterwards, in the box's home; "" is none, a helper has it
	Not   string // who knows nothing of it
}

var keepings = []keeping{
	{"docker's file", func(*box, string) {}, ".docker/config.json", ""},
	{"podman's file", func(b *box, _ string) { b.write(filepath.Join(b.Home, ".config/containers/auth.json"), "{}") }, ".config/containers/auth.json", ""},
	{"a file that the environment names", func(b *box, _ string) {
		b.env = append(b.env, "REGISTRY_AUTH_FILE="+filepath.Join(b.Home, "named.json"))
	}, "named.json", ""},
	{"a helper for the host", func(b *box, host string) {
		b.helper()
		b.write(filepath.Join(b.Home, ".docker/config.json"), `{"credHelpers": {"`+host+`": "box"}, "HttpHeaders": {"X-Kept": "1"}}`)
	}, "", ""},
	{"a helper for all hosts", func(b *box, _ string) {
		b.helper()
		b.write(filepath.Join(b.Home, ".docker/config.json"), `{"credsStore": "box"}`)
	}, "", "podman"},
	{"a helper that registries.conf names", func(b *box, _ string) {
		b.helper()
		b.write(filepath.Join(b.Home, ".config/containers/registries.conf"), `credential-helpers = ["box", "containers-auth.json"]`)
		b.env = append(b.env, "WHERRY_OWN_ONLY=")
	}, "", "crane"},
}

// helper puts docker-credential-box into the box's path, which keeps one credential in a file.
func (b *box) helper() {
	b.t.Helper()
	bin := filepath.Join(b.Home, "bin")
	b.write(filepath.Join(bin, "docker-credential-box"), `#!/bin/sh
kept="$HOME/kept"
case $1 in
store) cat > "$kept" ;;
get) read -r host
	if [ -s "$kept" ] && grep -q "\"$host\"" "$kept"; then cat "$kept"; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm -f "$kept" ;;
list) echo "{}" ;;
esac
`)
	if err := os.Chmod(filepath.Join(bin, "docker-credential-box"), 0o700); err != nil {
		b.t.Fatal(err)
	}
	b.env = append(b.env, "PATH="+bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
}

// keeps wants the credential where it belongs, readable by its owner only, and nowhere else.
func (b *box) keeps(k keeping) {
	b.t.Helper()
	where := k.File
	if where == "" {
		where = "kept"
	}
	fi, err := os.Stat(filepath.Join(b.Home, where))
	if err != nil {
		b.t.Fatal(err)
	}
	if k.File != "" && fi.Mode().Perm() != 0o600 {
		b.t.Errorf("%s has mode %v", where, fi.Mode())
	}
	if k.File == "" {
		b.eachFile(func(path, text string) {
			if strings.HasSuffix(path, ".json") && strings.Contains(text, `"auth"`) {
				b.t.Errorf("%s has a credential too: %s", path, text)
			}
		})
	}
}

// startWithImage starts a registry that asks for boatman's login and has app:v1, and returns the digest of that.
func startWithImage(t *testing.T) (*registry, string) {
	t.Helper()
	closed, b := startRegistryWithLogin(t, distribution3), confidant{newBox(t)}
	b.wherry(0, "copy", sample(t, "docker-busybox-layers.tar"), closed.ref("app:v1"), "--dst-username", boatman.user, "--dst-password-stdin")
	b.wherry(0, "login", closed.Host, "--username", boatman.user, "--password-stdin")
	return closed, b.box.wherry("digest", closed.ref("app:v1"))
}

func TestOthersUseWhatLoginKeeps(t *testing.T) {
	closed, digest := startWithImage(t)
	for _, k := range keepings {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			b := confidant{newBox(t)}
			k.setUp(b.box, closed.Host)
			b.wherry(0, "login", closed.Host, "--username", boatman.user, "--password-stdin")
			b.keeps(k)
			if got := b.box.wherry("digest", closed.ref("app:v1")); got != digest {
				t.Errorf("wherry digest = %s, want %s", got, digest)
			}
			b.othersUse(k, closed, digest)
			b.wherry(0, "logout", closed.Host)
			b.noFileSays(boatman.password)
			if said := b.wherry(5, "digest", closed.ref("app:v1")); !strings.Contains(said, "wherry login "+closed.Host) {
				t.Errorf("after logout there is no hint: %s", said)
			}
		})
	}
}

// othersUse wants peers that know of a keeping to get in with it.
func (b *box) othersUse(k keeping, closed *registry, digest string) {
	b.t.Helper()
	if k.Not != "crane" {
		if got := b.crane("digest", closed.ref("app:v1")); got != digest {
			b.t.Errorf("crane digest = %s, want %s", got, digest)
		}
	}
	if k.Not == "podman" {
		return
	}
	b.skopeo("inspect", "--raw", "docker://"+closed.ref("app:v1"))
	if got := b.podman("login", "--get-login", closed.Host); got != boatman.user {
		b.t.Errorf("podman is logged in as %q", got)
	}
	b.podman("pull", "--quiet", "--tls-verify=false", closed.ref("app:v1"))
}

func TestWhatOthersKeepIsUsed(t *testing.T) {
	closed, digest := startWithImage(t)
	password := func() *strings.Reader { return strings.NewReader(boatman.password) }
	login := []string{"login", "-u", boatman.user, "--password-stdin"}
	for _, c := range []struct {
		Name   string
		setUp  func(b *box, host string)
		log    call
		From   string // as --get-login tells it in --json
		logout []string
	}{
		{"crane's", nil, call{Tool: "crane", Args: []string{"auth", "login", closed.Host, "-u", boatman.user, "--password-stdin"}}, "/.docker/config.json", nil},
		{"crane's by a helper", keepings[4].setUp, call{Tool: "crane", Args: []string{"auth", "login", closed.Host, "-u", boatman.user, "--password-stdin"}}, "docker-credential-box, which ", nil},
		{"skopeo's", nil, call{Tool: "skopeo", Args: append(login, "--tls-verify=false", closed.Host)}, "/containers/auth.json", []string{"logout", closed.Host}},
		{"podman's", nil, call{Tool: "podman", Args: append(login, "--tls-verify=false", closed.Host)}, "/containers/auth.json", []string{"logout", closed.Host}},
		{"podman's for a part of the host", nil, call{Tool: "podman", Args: append(login, "--tls-verify=false", closed.ref("app"))}, "", nil},
		{"podman's by a helper", func(b *box, host string) {
			b.helper()
			b.write(filepath.Join(b.Home, "named.json"), `{"credHelpers": {"`+host+`": "box"}}`)
			b.env = append(b.env, "REGISTRY_AUTH_FILE="+filepath.Join(b.Home, "named.json"))
		}, call{Tool: "podman", Args: append(login, "--tls-verify=false", closed.Host)}, "docker-credential-box, which ", []string{"logout", closed.Host}},
		{"podman's by a helper of registries.conf", keepings[5].setUp, call{Tool: "podman", Args: append(login, "--tls-verify=false", closed.Host)}, "docker-credential-box, which ", []string{"logout", closed.Host}},
		{"docker's", nil, call{Tool: "docker", Args: append(login, closed.Host)}, "/.docker/config.json", []string{"logout", closed.Host}},
		{"docker's by a helper", keepings[3].setUp, call{Tool: "docker", Args: append(login, closed.Host)}, "docker-credential-box, which ", []string{"logout", closed.Host}},
	} {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			b := confidant{newBox(t)}
			b.env = append(b.env, "DOCKER_HOST=unix://"+b.path("none.sock")) // docker logs in by itself where there is no daemon
			if c.setUp != nil {
				c.setUp(b.box, closed.Host)
			}
			c.log.Stdin = password()
			b.must(c.log)
			if got := b.box.wherry("digest", closed.ref("app:v1")); got != digest {
				t.Errorf("wherry digest = %s, want %s", got, digest)
			}
			if c.From == "" {
				b.wherry(5, "login", "--get-login", closed.Host)
				b.wherry(5, "tags", closed.ref("other"))
				return
			}
			if said := b.wherry(0, "login", "--get-login", "--json", closed.Host); !strings.Contains(said, `"user": "`+boatman.user+`"`) || !strings.Contains(said, c.From) {
				t.Errorf("--get-login says %s, want it from %s", said, c.From)
			}
			if c.logout != nil {
				b.must(call{Tool: c.log.Tool, Args: c.logout})
				b.wherry(5, "digest", closed.ref("app:v1"))
			}
		})
	}
}
