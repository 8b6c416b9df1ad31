package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/content"
)

// A loader reads the files and keeps what it found.
type loader struct {
	from  From
	files []File
}

// read reads a file of another program. It reports whether there is one that may
// be read.
func (l *loader) read(path string) ([]byte, bool, error) {
	if path == "" {
		return nil, false, nil
	}
	raw, err := readFile(path)
	if l.absent(path, err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	l.files = append(l.files, File{Path: path})
	return withoutMark(raw), true, nil
}

// said notes what the file that was read last has.
func (l *loader) said(f File) {
	last := &l.files[len(l.files)-1]
	last.Registries, last.Mirrors, last.ShortNames = f.Registries, f.Mirrors, f.ShortNames
}

// withoutMark leaves out the byte order mark that some editors begin files with.
func withoutMark(raw []byte) []byte { return []byte(strings.TrimPrefix(string(raw), "\ufeff")) }

func (l *loader) loadOwn(v *View) error {
	if l.from.Own == "" {
		return nil
	}
	raw, err := readFile(l.from.Own)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l.files = append(l.files, File{Path: l.from.Own})
	v.own, err = parseOwn(l.from.Own, withoutMark(raw))
	said := File{Registries: len(v.own)}
	for _, e := range v.own {
		said.Mirrors += len(e.mirrors.Value)
	}
	l.said(said)
	return err
}

func (l *loader) loadContainers(v *View) error {
	if err := l.containersMain(v); err != nil {
		return err
	}
	dropIns, err := l.dropIns()
	if err != nil {
		return err
	}
	for _, file := range dropIns {
		if _, err := l.containersFile(v, file); err != nil {
			return err
		}
	}
	return l.containersNamed(v, "CONTAINERS_REGISTRIES_CONF_OVERRIDE")
}

// containersMain reads the one registries.conf that counts.
func (l *loader) containersMain(v *View) error {
	if l.from.Env("CONTAINERS_REGISTRIES_CONF") != "" {
		return l.containersNamed(v, "CONTAINERS_REGISTRIES_CONF")
	}
	for _, file := range l.containersFolders("registries.conf") {
		if found, err := l.containersFile(v, file); found || err != nil {
			return err
		}
	}
	return nil
}

// containersNamed reads the file that a variable names, which must be there.
func (l *loader) containersNamed(v *View, variable string) error {
	file := l.from.Env(variable)
	if file == "" {
		return nil
	}
	found, err := l.containersFile(v, file)
	if err == nil && !found {
		err = fmt.Errorf("%s: %s is not there or may not be read: %w", variable, file, content.ErrInvalid)
	}
	return err
}

func (l *loader) containersFile(v *View, file string) (found bool, err error) {
	raw, found, err := l.read(file)
	if !found {
		return false, err
	}
	c, err := parseContainers(file, raw)
	if err == nil {
		l.said(c.said())
		v.containers.update(c)
	}
	return true, err
}

// containersFolders returns where a file of podman's may be, the user's first.
func (l *loader) containersFolders(name string) []string {
	return []string{
		l.userConfig("containers/" + name), l.system("/etc/containers/" + name), l.system("/usr/share/containers/" + name),
	}
}

// dropIns lists the drop-ins of registries.conf in the order of their names. Of
// two with the same name the user's counts alone.
func (l *loader) dropIns() ([]string, error) {
	folders := l.containersFolders("registries.conf.d")
	if l.from.Env("CONTAINERS_REGISTRIES_CONF") != "" {
		folders = nil
	}
	if named := l.from.Env("CONTAINERS_REGISTRIES_CONF_DIR"); named != "" {
		folders = []string{named}
	}
	paths := map[string]string{}
	for _, folder := range slices.Backward(folders) {
		if folder == "" {
			continue
		}
		entries, err := os.ReadDir(folder)
		if l.absent(folder, err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.IsDir() && strings.HasSuffix(e.Name(), ".conf") {
				paths[e.Name()] = filepath.Join(folder, e.Name())
			}
		}
	}
	var files []string
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		files = append(files, paths[name])
	}
	return files, nil
}

func (l *loader) loadAliases(v *View) error {
	const name = "containers/short-name-aliases.conf"
	v.aliases = map[string]Value[string]{}
	for _, file := range []string{l.system("/var/cache/" + name), l.user("XDG_CACHE_HOME", ".cache", name)} {
		raw, found, err := l.read(file)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		c, err := parseContainers(file, raw)
		if err != nil {
			return err
		}
		l.said(c.said())
		maps.Copy(v.aliases, c.aliases)
	}
	return nil
}

// loadContainerd reads the folders of certs.d. The user's folder of a host
// replaces the system's.
func (l *loader) loadContainerd(v *View) error {
	v.containerd = containerdConf{}
	for _, folder := range []string{l.system("/etc/containerd/certs.d"), l.userConfig("containerd/certs.d")} {
		names, err := l.hostFolders(folder)
		if err != nil {
			return err
		}
		for _, name := range names {
			found, err := l.hosts(filepath.Join(folder, name))
			if err != nil {
				return err
			}
			v.containerd[strings.ToLower(name)] = found
		}
	}
	return nil
}

// hosts reads one folder of containerd's certs.d: its hosts.toml, or else the
// certificates in it.
func (l *loader) hosts(folder string) (hostsFile, error) {
	file := filepath.Join(folder, "hosts.toml")
	raw, found, err := l.read(file)
	if err != nil {
		return hostsFile{}, err
	}
	if found && len(raw) > 0 {
		h, err := parseHosts(file, raw)
		l.said(File{Registries: 1, Mirrors: len(h.mirrors)})
		return h, err
	}
	h, err := readCerts(folder, keyInside)
	if l.absent(folder, err) {
		err = nil
	}
	l.saw(folder, h)
	return hostsFile{server: hostsEntry{path: apiPath, capabilities: Value[Capabilities]{Value: pullResolvePush}, settings: h}}, err
}

func (l *loader) loadDocker(v *View) error {
	for _, file := range []string{l.userConfig("docker/daemon.json"), l.home(".docker/daemon.json"), l.system("/etc/docker/daemon.json")} {
		raw, found, err := l.read(file)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		c, err := parseDaemon(file, raw)
		if err != nil {
			return err
		}
		l.said(c.said())
		v.docker.fill(c)
	}
	return nil
}

// loadEnvironment reads the variables that every program knows. It comes after
// daemon.json, over which they count.
func (l *loader) loadEnvironment(v *View) (err error) {
	if v.proxies, err = environmentProxies(l.from.Env); err != nil {
		return err
	}
	v.proxies = v.proxies.or(v.docker.proxies)
	if file := l.from.Env("SSL_CERT_FILE"); file != "" {
		v.roots = []Value[string]{{file, Origin{Variable: "SSL_CERT_FILE"}}}
	}
	return nil
}

// loadCerts reads the names of certificates.
func (l *loader) loadCerts(v *View) (err error) {
	v.containersCerts, err = l.certsOf(l.userConfig("containers/certs.d"), l.system("/etc/containers/certs.d"), l.system("/usr/share/containers/certs.d"))
	if err == nil {
		v.dockerCerts, err = l.certsOf(l.userConfig("docker/certs.d"), l.home(".docker/certs.d"), l.system("/etc/docker/certs.d"))
	}
	return err
}

func (l *loader) certsOf(folders ...string) ([]certsConf, error) {
	var all []certsConf
	for _, folder := range folders {
		if folder == "" {
			continue
		}
		found, err := l.certs(folder)
		if err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}
