package main

import (
	"bufio"
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A place is where an image is, as tools are told: host:port/name:tag, and whether the host speaks https.
type place struct {
	ref string
	tls bool
}

// host is the registry that the place is in.
func (p place) host() string {
	host, _, _ := strings.Cut(p.ref, "/")
	return host
}

// plainly is the flag where the host speaks http, and nothing where it speaks https.
func (p place) plainly(flag string) []string {
	if p.tls {
		return nil
	}
	return []string{flag}
}

// A tool is one program under comparison and how it is told what to do.
type tool struct {
	name    string
	path    string // empty until it was found
	version []string
	env     []string                           // beside the new home
	pull    func(src place, l string) []string // an image to an OCI layout directory, under the tag v1
	copy    func(src, dst place) []string      // an image between repositories
}

// contenders are wherry and its peers, wherry first: the others are compared with the first that is there.
var contenders = []tool{
	{
		name: "wherry", version: []string{"version"},
		pull: func(src place, l string) []string { return []string{"copy", src.ref, "oci:" + l + ":v1"} },
		copy: func(src, dst place) []string { return []string{"copy", src.ref, dst.ref} },
	},
	{
		name: "crane", version: []string{"version"},
		pull: func(src place, l string) []string { return []string{"pull", "--format=oci", src.ref, l} },
		copy: func(src, dst place) []string { return []string{"copy", src.ref, dst.ref} },
	},
	{
		name: "regctl", version: []string{"version"},
		pull: func(src place, l string) []string {
			return []string{"image", "copy", "--host", regctlHost(src), src.ref, "ocidir://" + l + ":v1"}
		},
		copy: func(src, dst place) []string {
			return []string{"image", "copy", "--host", regctlHost(src), "--host", regctlHost(dst), src.ref, dst.ref}
		},
	},
	{
		name: "oras", version: []string{"version"},
		pull: func(src place, l string) []string {
			return slices.Concat([]string{"cp", "--no-tty"}, src.plainly("--from-plain-http"), []string{"--to-oci-layout", src.ref, l + ":v1"})
		},
		copy: func(src, dst place) []string {
			return slices.Concat([]string{"cp", "--no-tty"}, src.plainly("--from-plain-http"), dst.plainly("--to-plain-http"), []string{src.ref, dst.ref})
		},
	},
	{
		name: "skopeo", version: []string{"--version"},
		// As root skopeo keeps what it knows of blobs in /var/lib, beyond its home and this run, unless it believes to be rootless.
		env: []string{"_CONTAINERS_ROOTLESS_UID=1000"},
		pull: func(src place, l string) []string {
			return slices.Concat([]string{"copy", "--insecure-policy"}, src.plainly("--src-tls-verify=false"), []string{"docker://" + src.ref, "oci:" + l + ":v1"})
		},
		copy: func(src, dst place) []string {
			return slices.Concat([]string{"copy", "--insecure-policy"}, src.plainly("--src-tls-verify=false"), dst.plainly("--dest-tls-verify=false"),
				[]string{"docker://" + src.ref, "docker://" + dst.ref})
		},
	},
}

// quiet is wherry when it is told not to look for what refers to an image, as its peers do not look.
func (t tool) quiet() tool {
	loud := t.copy
	t.name += " --no-referrers"
	t.copy = func(src, dst place) []string { return append(loud(src, dst), "--no-referrers") }
	return t
}

// regctlHost is regctl's way of saying what a host speaks.
func regctlHost(p place) string {
	if p.tls {
		return "reg=" + p.host() + ",tls=enabled"
	}
	return "reg=" + p.host() + ",tls=disabled"
}

// findTools returns the contenders that are here, and the names of those that are not.
func findTools(wherry string) (found []tool, absent []string, err error) {
	pins, err := readPins(".ci/versions")
	if err != nil {
		return nil, nil, err
	}
	for _, t := range contenders {
		if t.name == "wherry" {
			t.path, err = exec.LookPath(wherry)
		} else {
			t.path, err = find(t.name, pins)
		}
		switch {
		case err == nil:
			t.path, err = filepath.Abs(t.path)
			found = append(found, t)
		case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
			absent, err = append(absent, t.name), nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
	if len(found) == 0 {
		return nil, nil, errors.New("no tool to compare was found")
	}
	return found, absent, nil
}

// find looks a program up where .ci/tools puts what it pins, then in PATH.
func find(name string, pins map[string]string) (string, error) {
	if version, ok := pins[name]; ok {
		dir := os.Getenv("WHERRY_TOOLS")
		if dir == "" {
			dir = filepath.Join(cacheFolder(), "wherry-tools")
		}
		if path, err := exec.LookPath(filepath.Join(dir, name+"-"+version)); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// readPins reads lines of name_version=v1.2.3.
func readPins(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("run bench from the root of the repository: %w", err)
	}
	pins := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if name, version, ok := strings.Cut(lines.Text(), "_version="); ok && !strings.HasPrefix(name, "#") {
			pins[strings.ReplaceAll(name, "_", "-")] = version
		}
	}
	return pins, nil
}

func cacheFolder() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return os.TempDir()
	}
	return dir
}

// says is the version a tool tells, in one line, and the Go it was built with.
func (t tool) says(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, t.path, t.version...).Output()
	if err != nil {
		return "unknown: " + err.Error()
	}
	line := strings.TrimPrefix(firstVersion(string(out)), t.name+" ")
	if info, err := buildinfo.ReadFile(t.path); err == nil && !strings.Contains(line, info.GoVersion) {
		line += " (" + info.GoVersion + ")"
	}
	return line
}

// firstVersion finds the first word of a program's output that looks like a version.
func firstVersion(text string) string {
	for word := range strings.FieldsSeq(text) {
		word = strings.Trim(word, ",;()\"")
		digits := strings.TrimPrefix(word, "v")
		if digits != "" && digits[0] >= '0' && digits[0] <= '9' && strings.Contains(digits, ".") {
			return word
		}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// ensureImage makes the real images where they are missing, which takes minutes and root on Debian.
func ensureImage(ctx context.Context, path string) (err error) {
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return nil
	}
	pins, err := readPins(".ci/versions")
	if err != nil {
		return err
	}
	crane, err := find("crane", pins)
	if err != nil {
		return fmt.Errorf("%s is missing, and to make it: %w", path, err)
	}
	dir, err := os.MkdirTemp("", "wherry-bench-path-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Symlink(crane, filepath.Join(dir, "crane")); err != nil {
		return err
	}
	script := exec.CommandContext(ctx, "bench/make-real.sh", filepath.Dir(path))
	script.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
	script.Stdout, script.Stderr = os.Stderr, os.Stderr
	return script.Run()
}
