package cli

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/wherry-dev/wherry/internal/doctor"
	"github.com/wherry-dev/wherry/registry/config"
)

// privateEndings are those of hosts that no public name server knows, most of them from
// RFC 2606, RFC 6762 (appendix G), RFC 8375 and ICANN's list of private use.
var privateEndings = []string{
	"corp", "home", "home.arpa", "internal", "intranet", "invalid", "lan", "local", "localdomain", "localhost", "private", "test", "example",
}

// registryLabels are what people call the hosts of registries.
var registryLabels = []string{"registry", "docker", "harbor", "artifactory", "nexus", "quay"}

// isHostAlone reports whether arg, what somebody wants to search for, is a registry with
// no term after it: Docker Hub shall not learn what private ones are called. A name with
// dots may be a term, such as node.js; it is a registry where anything says so.
func (f *Factory) isHostAlone(arg string) bool {
	if strings.ContainsAny(arg, "/ \t") {
		return false
	}
	if strings.Contains(arg, ":") || arg == "localhost" {
		return true
	}
	name := strings.ToLower(strings.TrimSuffix(arg, "."))
	return strings.Contains(name, ".") && (isNamedAsHost(name) || f.hasSettings(name) || f.hasCredential(name))
}

// isNamedAsHost reports whether a name with dots, in lower case, is that of a host by its
// looks: an address, one that everybody knows, one that has a private ending, is called as
// registries are, or has three labels or more and the last of letters, as terms do not.
func isNamedAsHost(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil || doctor.IsWellKnown(name) {
		return true
	}
	labels := strings.Split(name, ".")
	last := labels[len(labels)-1]
	switch {
	case slices.ContainsFunc(privateEndings, func(ending string) bool { return strings.HasSuffix(name, "."+ending) }):
		return true
	case slices.Contains(registryLabels, labels[0]):
		return true
	}
	return len(labels) >= 3 && strings.Trim(last, "abcdefghijklmnopqrstuvwxyz") == ""
}

// hasSettings reports whether settings are about a host of that name.
func (f *Factory) hasSettings(name string) bool {
	view, err := f.View()
	if err != nil {
		return false // whoever asks a host is told
	}
	return slices.ContainsFunc(view.Places(), func(p config.Place) bool { return meansHost(p.Host, name) })
}

// hasCredential reports whether a file has a credential for a host of that name.
func (f *Factory) hasCredential(name string) bool {
	files, err := f.authFiles()
	if err != nil {
		return false // nobody is shown any here
	}
	for _, file := range files {
		for key := range file.Auths {
			if meansHost(file.format.parse(key).host, name) {
				return true
			}
		}
		for key := range file.CredHelpers {
			if meansHost(dockers.parse(key).host, name) {
				return true
			}
		}
	}
	return false
}

// meansHost reports whether what settings or credentials are about, a host or a pattern,
// means a host of that name, whatever its port.
func meansHost(about, name string) bool {
	about, _, _ = strings.Cut(about, ":")
	domain, every := strings.CutPrefix(about, "*.")
	return about == name || matchHost(about, name) || every && strings.HasSuffix(name, "."+domain)
}
